"""A small state for scheduler tests: nodes, a job, its allocations; evaluate, look at the plan, apply it, go on."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from yurt.fsm.store.changes import Change
from yurt.fsm.store.schema import (
    ALLOCATIONS,
    DEPLOYMENTS,
    EVALUATIONS,
    JOB_VERSIONS,
    JOBS,
    NODE_POOLS,
    NODES,
    SCHEDULER_CONFIG,
    Table,
)
from yurt.fsm.store.store import Store
from yurt.fsm.store.view import View
from yurt.fsm.structs.allocation import (
    AllocatedCpu,
    AllocatedMemory,
    AllocatedResources,
    AllocatedShared,
    AllocatedTask,
    Allocation,
    AllocDeploymentStatus,
    AllocState,
    DesiredTransition,
    RescheduleTracker,
    TaskState,
)
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.deployment import Deployment, DeploymentState
from yurt.fsm.structs.evaluation import DesiredUpdates, Evaluation
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.network import Network
from yurt.fsm.structs.node import (
    Driver,
    Node,
    NodeAddress,
    NodeCpu,
    NodeDisk,
    NodeMemory,
    NodeNetwork,
    NodePool,
    NodeResources,
)
from yurt.fsm.structs.operator import SchedulerConfiguration
from yurt.fsm.structs.plan import AllocationStop
from yurt.fsm.structs.policies import EphemeralDisk, MigrateStrategy, ReschedulePolicy, RestartPolicy, UpdateStrategy
from yurt.fsm.structs.resources import Resources
from yurt.fsm.structs.task import LogConfig, Task
from yurt.fsm.structs.times import SECOND, to_rfc3339
from yurt.scheduler.cluster import Cluster
from yurt.scheduler.evaluate import evaluate
from yurt.scheduler.outcome import Outcome

NOW = 1_795_466_967 * SECOND
MINUTE, HOUR = 60 * SECOND, 3600 * SECOND
TABLES: dict[type, Table[Any, Any]] = {
    Node: NODES,
    NodePool: NODE_POOLS,
    Allocation: ALLOCATIONS,
    Deployment: DEPLOYMENTS,
    Evaluation: EVALUATIONS,
    SchedulerConfiguration: SCHEDULER_CONFIG,
}
UPDATE = UpdateStrategy(max_parallel=4, health_check="checks", progress_deadline=600 * SECOND)
CANARY = UpdateStrategy(max_parallel=2, health_check="checks", progress_deadline=600 * SECOND, canary=2)
SERVICE_POLICY = ReschedulePolicy(delay=30 * SECOND, delay_function="exponential", max_delay=HOUR, unlimited=True)
AT_ONCE = ReschedulePolicy(delay=0, delay_function="constant", unlimited=True)
BATCH_POLICY = ReschedulePolicy(attempts=1, interval=24 * HOUR, delay=5 * SECOND, delay_function="constant")


def node(number: int, *, cpu: int = 4000, memory: int = 8192, **fields: Any) -> Node:
    """A ready node with an address and two drivers; its class follows from what is in a class."""
    address = f"192.0.2.{number % 250}"
    networks = (Network(mode="host", device="eth0", ip=address, mbits=1000),)
    at = NodeNetwork(mode="host", device="eth0", addresses=(NodeAddress(alias="default", address=address),))
    resources = NodeResources(
        cpu=NodeCpu(cpu_shares=cpu, total_cpu_cores=4, reservable_cpu_cores=(0, 1, 2, 3)),
        memory=NodeMemory(memory_mb=memory),
        disk=NodeDisk(disk_mb=100_000),
        networks=networks,
        node_networks=(at,),
        min_dynamic_port=20000,
        max_dynamic_port=32000,
    )
    fields = {
        "id": f"node-{number:05d}",
        "name": f"n{number}",
        "datacenter": "dc1",
        "node_resources": resources,
        "attributes": {"kernel.name": "linux"},
        "drivers": {name: Driver(detected=True, healthy=True) for name in ("mock_driver", "raw_exec")},
        "status": "ready",
        "scheduling_eligibility": "eligible",
        **fields,
    }
    return Node(**{"computed_class": class_of(fields), **fields})


def class_of(fields: dict[str, Any]) -> str:
    """Any stable hash will do."""
    kept = {
        key: {name: value for name, value in (fields.get(key) or {}).items() if not name.startswith("unique.")}
        for key in ("attributes", "meta")
    }
    text = msgspec.json.encode([kept, *(fields.get(key) for key in ("datacenter", "node_class", "node_pool"))])
    return f"v1:{zlib.crc32(text)}"


def task(**fields: Any) -> Task:
    fields = {"resources": Resources(cpu=100, memory_mb=64), **fields}
    return Task(
        **{"name": "t", "driver": "mock_driver", "config": {"run_for": "1h"}, "log_config": LogConfig(), **fields}
    )


def group(name: str = "g", count: int = 1, **fields: Any) -> TaskGroup:
    defaults = {
        "tasks": (task(),),
        "ephemeral_disk": EphemeralDisk(),
        "migrate": MigrateStrategy(max_parallel=1),
        "restart_policy": RestartPolicy(),
        "reschedule_policy": SERVICE_POLICY,
    }
    return TaskGroup(name=name, count=count, **{**defaults, **fields})


def job(*groups: TaskGroup, **fields: Any) -> Job:
    return Job(**{
        "id": "j", "name": "j", "task_groups": groups, "create_index": 10, "modify_index": 10, "job_modify_index": 10,
        "status": "running", **fields,
    })  # fmt: skip


def newer(old: Job, *groups: TaskGroup, **fields: Any) -> Job:
    """The next version of a job."""
    index = old.job_modify_index + 100
    changes = {"version": old.version + 1, "modify_index": index, "job_modify_index": index, **fields}
    if groups:
        changes["task_groups"] = groups
    return replace(old, **changes)


def alloc(of: Job, index: int, on: str | Node = "", *, named: str = "g", **fields: Any) -> Allocation:
    """An allocation of a group, running unless told."""
    own = of.group(named)
    prefix = of.name if of.type in ("system", "sysbatch") else of.id
    tasks = {
        one.name: AllocatedTask(
            cpu=AllocatedCpu(cpu_shares=one.resources.cpu), memory=AllocatedMemory(memory_mb=one.resources.memory_mb)
        )
        for one in ((own.tasks or ()) if own else ())
        if one.resources
    }
    disk = own.ephemeral_disk.size_mb if own and own.ephemeral_disk else 0
    number = fields.pop("number", index)
    return Allocation(**{
        "id": f"alloc-{named}-{of.version}-{number:05d}", "name": f"{prefix}.{named}[{index}]", "namespace": of.namespace,
        "job_id": of.id, "job": of, "task_group": named, "node_id": on.id if isinstance(on, Node) else on or f"node-{index:05d}",
        "desired_status": "run", "client_status": "running", "create_index": of.job_modify_index + 1,
        "allocated_resources": AllocatedResources(
            tasks=tasks, task_lifecycles=dict.fromkeys(tasks), shared=AllocatedShared(disk_mb=disk)
        ), **fields,
    })  # fmt: skip


def allocs(of: Job, indexes: Iterable[int], **fields: Any) -> list[Allocation]:
    return [alloc(of, index, **fields) for index in indexes]


def ended(at_ns: int, *, failed: bool = True) -> dict[str, Any]:
    """Fields of an allocation whose task ended."""
    state = TaskState(state="dead", failed=failed, started_at=to_rfc3339(at_ns - HOUR), finished_at=to_rfc3339(at_ns))
    return {"client_status": "failed" if failed else "complete", "task_states": {"t": state}}


def unknown(since_ns: int, status: str = "unknown") -> dict[str, Any]:
    """Fields of an allocation whose node was given up."""
    return {"client_status": status, "alloc_states": (AllocState(value="unknown", time=to_rfc3339(since_ns)),)}


def rolling(of: Job, status: str = "running", *, index: int = 500, **groups: DeploymentState) -> Deployment:
    """A deployment of that version."""
    return Deployment(
        id=f"deployment-{of.version}", namespace=of.namespace, job_id=of.id, job_version=of.version,
        job_create_index=of.create_index, job_modify_index=of.modify_index, task_groups=groups, status=status,
        create_index=index,
    )  # fmt: skip


def in_deployment(of: Job, *, healthy: bool | None = None, canary: bool = False) -> dict[str, Any]:
    return {
        "deployment_id": f"deployment-{of.version}",
        "deployment_status": AllocDeploymentStatus(healthy=healthy, canary=canary),
    }


class Picture:
    """A state that grows by hand or by applied plans. `now_ns` is the clock."""

    def __init__(self, *rows: Any, nodes: int = 0) -> None:
        self._store = Store(_raise)
        self._index = 1000
        self.now_ns = NOW
        self._listeners: list[Callable[[int, list[Change]], None]] = []
        self.put(*(node(number) for number in range(nodes)), *rows)

    def put(self, *rows: Any) -> None:
        """Store rows; a job is stored with its version."""
        self._index += 1
        transaction = self._store.begin(self._index)
        for row in rows:
            if isinstance(row, Node):
                row = replace(row, modify_index=self._index)
            if isinstance(row, Job):
                transaction.put(JOBS, row)
                transaction.put(JOB_VERSIONS, row)
            else:
                transaction.put(TABLES[type(row)], row)
        changes = self._store.commit(transaction)
        for listener in self._listeners:
            listener(self._index, changes)

    def listen(self, listener: Callable[[int, list[Change]], None]) -> None:
        """Call it after each commit that follows."""
        self._listeners.append(listener)

    @property
    def view(self) -> View:
        return self._store.view()

    def evaluation(self, of: Job, trigger: str = "job-register", **fields: Any) -> Evaluation:
        return Evaluation(**{
            "id": f"eval-{self._index}", "namespace": of.namespace, "priority": of.priority, "type": of.type,
            "triggered_by": trigger, "job_id": of.id, "status": "pending", **fields,
        })  # fmt: skip

    def evaluate(
        self, of: Job, trigger: str = "job-register", *, cluster: Cluster | None = None, **fields: Any
    ) -> Outcome:
        return evaluate(self.view, self.evaluation(of, trigger, **fields), now_ns=self.now_ns, cluster=cluster)

    def apply(self, outcome: Outcome, *, client: str = "running") -> None:
        """Do to the state what a plan says; new allocations are at once what clients make of them."""
        rows: dict[str, Allocation] = {}

        def row(identifier: str) -> Allocation:
            found = rows.get(identifier) or self.view.get(ALLOCATIONS, identifier)
            assert found is not None
            return found

        for stop in outcome.stopped:
            rows[stop.id] = _stopped(row(stop.id), stop)
        for eviction in outcome.evicted:
            rows[eviction.id] = replace(
                row(eviction.id),
                desired_status="evict",
                client_status="complete",
                preempted_by_allocation=eviction.preempted_by,
            )
        for change in outcome.updated:
            changed = row(change.id)
            if change.job_version is not None:
                version = self.view.get(JOB_VERSIONS, (changed.namespace, changed.job_id, change.job_version))
                changed = replace(changed, job=version, deployment_id=change.deployment_id)
            if change.client_status:
                changed = replace(changed, client_status=change.client_status)
            if change.alloc_state is not None:
                changed = replace(changed, alloc_states=(*(changed.alloc_states or ()), change.alloc_state))
            if change.followup_eval_id is not None:
                changed = replace(changed, followup_eval_id=change.followup_eval_id)
            if change.last_reschedule is not None:
                tracker = changed.reschedule_tracker or RescheduleTracker()
                changed = replace(changed, reschedule_tracker=replace(tracker, last_reschedule=change.last_reschedule))
            rows[change.id] = changed
        for placement in outcome.placed:
            new = placement.allocation
            version = self.view.get(JOB_VERSIONS, (new.namespace, new.job_id, placement.job_version))
            assert version is not None
            rows[new.id] = replace(new, job=version, client_status=client, create_index=self._index + 1)
            if new.previous_allocation:
                rows[new.previous_allocation] = replace(row(new.previous_allocation), next_allocation=new.id)
        more = [outcome.deployment] if outcome.deployment is not None else []
        for update in outcome.deployment_updates:
            deployment = self.view.get(DEPLOYMENTS, update.deployment_id)
            more.append(replace(deployment, status=update.status, status_description=update.description))
        self.put(
            *rows.values(),
            *(replace(one, create_index=self._index) for one in more),
            outcome.evaluation,
            *outcome.created,
        )


def _stopped(one: Allocation, stop: AllocationStop) -> Allocation:
    tracker = one.reschedule_tracker
    if stop.last_reschedule is not None:
        tracker = replace(tracker or RescheduleTracker(), last_reschedule=stop.last_reschedule)
    status = stop.client_status or (one.client_status if one.is_client_terminal else "complete")
    return replace(
        one, desired_status="stop", desired_description=stop.description, client_status=status,
        followup_eval_id=stop.followup_eval_id or one.followup_eval_id, reschedule_tracker=tracker,
    )  # fmt: skip


def _raise(error: Exception) -> None:
    raise error


def names(outcome: Outcome) -> list[int]:
    """The indexes of what is placed, in order."""
    return [int(one.allocation.name.rpartition("[")[2][:-1]) for one in outcome.placed]


def updates(outcome: Outcome, named: str = "g") -> dict[str, int]:
    """The counters of a group that are not zero."""
    annotations = outcome.evaluation.plan_annotations
    assert annotations is not None and annotations.desired_tg_updates is not None
    record = annotations.desired_tg_updates[named]
    return {name: value for name in DesiredUpdates.__struct_fields__ if (value := getattr(record, name))}


def stops(outcome: Outcome) -> dict[str, str]:
    """What ends, with its description."""
    return {one.id: one.description for one in outcome.stopped}


MIGRATE = DesiredTransition(migrate=True)
RESCHEDULE = DesiredTransition(reschedule=True)
