"""A machine with nodes, jobs and allocations, and short words for commands."""

from __future__ import annotations

from itertools import count
from typing import Any

import msgspec

from yurt.fsm import commands as c
from yurt.fsm import commands_nodes as n
from yurt.fsm.machine import Applied, Machine, Refused
from yurt.fsm.store.schema import ALLOCATIONS, DEPLOYMENTS, EVALUATIONS, JOB_SUMMARIES, JOBS, NODES
from yurt.fsm.structs.allocation import AllocatedResources, Allocation
from yurt.fsm.structs.deployment import Deployment, DeploymentState
from yurt.fsm.structs.evaluation import Evaluation
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import Job, TaskGroupSummary
from yurt.fsm.structs.node import Node
from yurt.fsm.structs.plan import Placement
from yurt.fsm.structs.task import Task

SECOND = 1_000_000_000
NOW = 1_800_000_000 * SECOND
KEY = ("default", "web")


class World:
    """One machine; every command is a second later than the one before."""

    def __init__(self) -> None:
        self.machine, self._numbers, self.now = Machine(), count(1), NOW

    def do(self, command: c.Command) -> Any:
        """Apply a command that is taken; its result."""
        self.now += SECOND
        outcome = self.machine.apply(c.encode(_at(command, self.now)))
        assert isinstance(outcome, Applied), outcome
        return outcome.value

    def refused(self, command: c.Command) -> tuple[int, str]:
        """Apply a command that is refused; its status and text."""
        outcome = self.machine.apply(c.encode(_at(command, self.now)))
        assert isinstance(outcome, Refused), outcome
        return outcome.status, outcome.text

    def node(self, node_id: str = "n1", *, ready: bool = True, **fields: Any) -> Node:
        """Register a node."""
        node = Node(id=node_id, secret_id="secret", datacenter="dc1", **fields)
        self.do(n.RegisterNode(node=node, seed="seed"))
        if ready:
            self.status("ready", node_id)
        return self.nodes(node_id)

    def status(self, status: str, node_id: str = "n1", event: str = "") -> n.NodeWritten:
        """Set a node's status."""
        change = n.NodeStatus(node_id=node_id, status=status, event=event)
        result: n.NodeWritten = self.do(n.UpdateNodeStatuses(statuses=(change,), seed=self.fresh("seed")))
        return result

    def job(self, job_id: str = "web", **fields: Any) -> Job:
        """Register a job of one group `g`."""
        group = fields.pop("group", TaskGroup(name="g", count=2, tasks=(Task(name="t", driver="mock_driver"),)))
        job = Job(id=job_id, name=job_id, task_groups=(group,), **fields)
        self.do(c.RegisterJob(job=job, eval_id=self.fresh("eval")))
        return self.jobs(job_id)

    def place(self, alloc_id: str, *, job_id: str = "web", node_id: str = "n1", **fields: Any) -> Allocation:
        """Place an allocation by a plan."""
        job = self.jobs(job_id)
        row = Allocation(
            id=alloc_id, name=f"{job_id}.g[0]", namespace="default", job_id=job_id, task_group="g", node_id=node_id,
            desired_status="run", client_status="pending", eval_id="plan", allocated_resources=AllocatedResources(),
            **fields,
        )  # fmt: skip
        self.do(c.ApplyPlan(eval_id="plan", placed=(Placement(allocation=row, job_version=job.version),)))
        return self.alloc(alloc_id)

    def deploy(self, **state: Any) -> Deployment:
        """A running deployment `d` of the job's newest version."""
        job = self.jobs()
        row = Deployment(
            id="d", namespace="default", job_id="web", job_version=job.version, job_create_index=job.create_index,
            status_description="Deployment is running", task_groups={"g": DeploymentState(**state)},
        )  # fmt: skip
        self.do(c.ApplyPlan(eval_id="plan", deployment=row))
        return self.deployment()

    def report(self, alloc_id: str, status: str, **fields: Any) -> None:
        """The node says what became of an allocation."""
        update = n.AllocUpdate(id=alloc_id, client_status=status, **fields)
        self.do(n.UpdateAllocations(updates=(update,), seed=self.fresh("seed")))

    def fresh(self, what: str) -> str:
        """An ID that was not there."""
        return f"{what}-{next(self._numbers):03d}"

    def nodes(self, node_id: str = "n1") -> Node:
        """The stored node."""
        return _found(self.machine.view().get(NODES, node_id))

    def jobs(self, job_id: str = "web") -> Job:
        """The stored job."""
        return _found(self.machine.view().get(JOBS, ("default", job_id)))

    def alloc(self, alloc_id: str = "a1") -> Allocation:
        """The stored allocation."""
        return _found(self.machine.view().get(ALLOCATIONS, alloc_id))

    def deployment(self) -> Deployment:
        """The stored deployment `d`."""
        return _found(self.machine.view().get(DEPLOYMENTS, "d"))

    def group(self, job_id: str = "web") -> TaskGroupSummary:
        """The summary of group `g`."""
        summary = _found(self.machine.view().get(JOB_SUMMARIES, ("default", job_id)))
        found: TaskGroupSummary = summary.summary["g"]
        return found

    def evaluations(self, *triggers: str) -> list[Evaluation]:
        """All evaluations with one of these triggers, oldest first."""
        rows = self.machine.view().scan(EVALUATIONS, order="created")
        return [one for one in rows if not triggers or one.triggered_by in triggers]


def _found(row: Any) -> Any:
    assert row is not None
    return row


def _at(command: c.Command, now_ns: int) -> c.Command:
    changed: c.Command = msgspec.structs.replace(command, now_ns=now_ns)
    return changed
