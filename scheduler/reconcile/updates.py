"""Whether a changed group is replaced or changed where it is (spec scheduling §7.7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.network import Network, Port
from yurt.fsm.structs.service import Service
from yurt.fsm.structs.task import Task
from yurt.scheduler.feasible.classes import Feasibility
from yurt.scheduler.feasible.distinct import hosts_scopes, property_limits
from yurt.scheduler.feasible.operands import resolve
from yurt.scheduler.sizes import cpu_per_core, size_wanted
from yurt.scheduler.working import Working

IGNORE, IN_PLACE, DESTRUCTIVE = "ignore", "in place", "destructive"


class Updates:
    """Decides for allocations of older versions of a job; comparisons are remembered by version.

    What it compares with is asked for when an allocation of an older version is there, and not before.
    """

    def __init__(self, job: Job, feasibility: Callable[[], Feasibility], working: Callable[[], Working]) -> None:
        self._job, self._feasibility, self._working = job, feasibility, working
        self._known: dict[tuple[int, int, str], bool] = {}

    def kind(self, allocation: Allocation, group: TaskGroup) -> str:
        """Return the kind of update an allocation of the group needs: ignore, in place or destructive."""
        old = allocation.job
        if old is None or old.job_modify_index == self._job.job_modify_index:
            return IGNORE
        if self._changed(old, group):
            return DESTRUCTIVE
        if allocation.is_terminal:
            return IGNORE
        cluster = self._working().cluster
        row = cluster.rows.get(allocation.node_id, -1)
        node = cluster.nodes[row] if row >= 0 else None
        if node is None or not self._feasibility().targets(node):
            return DESTRUCTIVE
        if _only_run_duration(old.group(group.name), group):
            return IN_PLACE
        return IN_PLACE if self._stays(allocation, group, row) else DESTRUCTIVE

    def _changed(self, old: Job, group: TaskGroup) -> bool:
        key = (old.create_index, old.version, group.name)
        changed = self._known.get(key)
        if changed is None:
            before = old.group(group.name)
            changed = before is None or needs_replacement(old, before, self._job, group)
            self._known[key] = changed
        return changed

    def _stays(self, allocation: Allocation, group: TaskGroup, row: int) -> bool:
        """Whether the changed group may be where the allocation is, without it."""
        working = self._working()
        if self._feasibility().refusal(group, row):
            return False
        node = working.node(row)
        working.release(allocation)
        try:
            after = working.used[row] + size_wanted(group, cpu_per_core(node))
            if (after > working.cluster.total[row]).any():
                return False
            whole_job, own_group = hosts_scopes(self._job, group)
            if (whole_job and working.job_counts[row]) or (own_group and working.group_counts(group.name)[row]):
                return False
            return self._property_free(group, row)
        finally:
            working.restore(allocation)

    def _property_free(self, group: TaskGroup, row: int) -> bool:
        working = self._working()
        for limit in property_limits(self._job, group, [working.node(row)]):
            counts = working.job_counts if limit.whole_job else working.group_counts(group.name)
            for other in counts.nonzero()[0].tolist():
                other_node = working.cluster.nodes[other]
                if other_node is not None:
                    limit.count(resolve(limit.attribute, other_node), int(counts[other]))
            if not limit.allowed()[0]:
                return False
        return True


def needs_replacement(old_job: Job, old: TaskGroup, job: Job, group: TaskGroup) -> bool:
    """Whether the group changed in something that a running allocation cannot follow."""
    old_tasks = {task.name: task for task in old.tasks or ()}
    tasks = group.tasks or ()
    if len(old_tasks) != len(tasks) or any(task.name not in old_tasks for task in tasks):
        return True
    if _group_essence(old) != _group_essence(group) or _consul_differs(old, group):
        return True
    return any(_task_essence(old_job, old, old_tasks[task.name]) != _task_essence(job, group, task) for task in tasks)


def _group_essence(group: TaskGroup) -> tuple[Any, ...]:
    return (
        group.ephemeral_disk,
        tuple(_network_essence(one) for one in group.networks or ()),
        tuple(_service_essence(one) for one in group.services or () if one.connect is not None),
        group.volumes or {},
        bool(group.restart_policy and group.restart_policy.render_templates),
    )


def _network_essence(network: Network) -> tuple[Any, ...]:
    return (
        network.mode or "host",
        network.mbits,
        network.hostname,
        network.dns,
        network.cni,
        tuple(sorted((*_port_essence(port), port.value) for port in network.reserved_ports or ())),
        tuple(sorted(_port_essence(port) for port in network.dynamic_ports or ())),
    )


def _port_essence(port: Port) -> tuple[str, int, str]:
    return (port.label, port.to, port.host_network or "default")


def _service_essence(service: Service) -> tuple[Any, ...]:
    connect = service.connect
    assert connect is not None
    sidecar = connect.sidecar_service.port if connect.sidecar_service else None
    return (connect.native, connect.gateway, connect.sidecar_task, sidecar, service.port_label, service.cluster)


def _consul_differs(old: TaskGroup, group: TaskGroup) -> bool:
    before, after = old.consul, group.consul
    if (before.namespace if before else "") != (after.namespace if after else ""):
        return True
    if before is None or after is None:
        return False
    return (before.cluster, before.partition) != (after.cluster, after.partition)


def _task_essence(job: Job, group: TaskGroup, task: Task) -> tuple[Any, ...]:
    resources = task.resources
    return (
        task.driver,
        task.user,
        task.config or {},
        task.env or {},
        {**(job.meta or {}), **(group.meta or {}), **(task.meta or {})},
        task.artifacts or (),
        task.vault,
        task.secrets or (),
        task.consul,
        task.templates or (),
        task.csi_plugin_config,
        task.volume_mounts or (),
        (
            resources.cpu,
            resources.cores,
            resources.memory_mb,
            resources.memory_max_mb,
            resources.devices or (),
            resources.numa,
            resources.secrets_mb,
            tuple(_network_essence(one) for one in resources.networks or ()),
        )
        if resources
        else None,
        task.identity,
        task.identities or (),
        bool(task.log_config and task.log_config.disabled),
        bool(task.restart_policy and task.restart_policy.render_templates),
    )


def _only_run_duration(old: TaskGroup | None, group: TaskGroup) -> bool:
    """Whether nothing but max_run_duration differs."""
    if old is None or old.max_run_duration == group.max_run_duration:
        return False
    return bool(replace(old, max_run_duration=group.max_run_duration) == group)
