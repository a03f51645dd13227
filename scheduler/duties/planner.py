"""Plans looked at once more before they are proposed: the state may have moved on (spec scheduling §6). Pure.

Every node of a plan is looked at alone; one that does not fit drops out of the plan, and the evaluation goes round
again. The room of plans on their way, this one included, is reserved in the cluster's columns.
"""

from __future__ import annotations

from collections.abc import Iterable

from yurt.fsm.commands import ApplyPlan
from yurt.fsm.store.reader import Reader
from yurt.fsm.store.schema import ALLOCATIONS, JOBS, NODES
from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.evaluation import BLOCKED, AllocMetric, Evaluation
from yurt.fsm.structs.node import Node
from yurt.scheduler.cluster import Cluster
from yurt.scheduler.network import reserved_ports
from yurt.scheduler.outcome import Outcome
from yurt.scheduler.sizes import capacity, size_of


def checked(command: ApplyPlan, reader: Reader, cluster: Cluster) -> ApplyPlan:
    """The same command if all of it fits, else one without the nodes that do not, and without the plan's evaluation."""
    by_node: dict[str, list[Allocation]] = {}
    for placement in command.placed:
        by_node.setdefault(placement.allocation.node_id, []).append(placement.allocation)
    leaving = {one.id for one in command.stopped} | {one.id for one in command.evicted}
    unfit = {node_id for node_id, placed in by_node.items() if not _fits(reader, cluster, node_id, placed, leaving)}
    if not unfit:
        return command
    kept = unfinished(command).evaluations
    if _all_at_once(reader, command):
        nothing: ApplyPlan = replace(command, placed=(), stopped=(), evicted=(), changed=(), evaluations=kept)
        return nothing
    fitted: ApplyPlan = replace(
        command,
        placed=tuple(one for one in command.placed if one.allocation.node_id not in unfit),
        stopped=tuple(one for one in command.stopped if _node_of(reader, one.id) not in unfit),
        evicted=tuple(one for one in command.evicted if _node_of(reader, one.id) not in unfit),
        evaluations=kept,
    )
    return fitted


def unfinished(command: ApplyPlan) -> ApplyPlan:
    """The same without the end of its evaluation, which goes round again."""
    kept = tuple(one for one in command.evaluations if one.id != command.eval_id and one.status != BLOCKED)
    changed: ApplyPlan = replace(command, evaluations=kept)
    return changed


def _node_of(reader: Reader, alloc_id: str) -> str:
    found = reader.get(ALLOCATIONS, alloc_id)
    return found.node_id if found is not None else ""


def _all_at_once(reader: Reader, command: ApplyPlan) -> bool:
    first = command.placed[0].allocation
    job = reader.get(JOBS, (first.namespace, first.job_id))
    return job is not None and job.all_at_once


def _fits(reader: Reader, cluster: Cluster, node_id: str, placed: list[Allocation], leaving: set[str]) -> bool:
    """Whether a node takes what a plan places on it."""
    node = reader.get(NODES, node_id)
    row = cluster.rows.get(node_id)
    if node is None or row is None or not node.is_ready:
        return False
    if bool((cluster.used[row] <= cluster.total[row]).all()) and not any(map(_holds, placed)):
        return True
    there = {
        one.id: one
        for one in reader.find(ALLOCATIONS, "node", node_id)
        if not one.is_terminal and one.id not in leaving
    }
    there.update((one.id, one) for one in (*cluster.reserved_on(node_id), *placed))
    sizes = [size_of(one.allocated_resources) for one in there.values()]
    room = capacity(node)
    if any(sum(size[at] for size in sizes) > room[at] for at in range(len(room))):
        return False
    return not _collides(node, there.values())


def _holds(allocation: Allocation) -> bool:
    """Whether it has something that no other may have: ports, cores, devices."""
    resources = allocation.allocated_resources
    if resources is None:
        return False
    return bool(resources.shared.ports) or any(
        task.cpu.reserved_cores or task.devices for task in (resources.tasks or {}).values()
    )


def _collides(node: Node, allocations: Iterable[Allocation]) -> bool:
    taken: set[tuple[str, object]] = {(ip, port) for ip, ports in reserved_ports(node).items() for port in ports}
    for allocation in allocations:
        for thing in _things(allocation):
            if thing in taken:
                return True
            taken.add(thing)
    return False


def _things(allocation: Allocation) -> Iterable[tuple[str, object]]:
    resources = allocation.allocated_resources
    if resources is None:
        return
    for port in resources.shared.ports or ():
        if not port.ignore_collision:
            yield (port.host_ip, port.value)
    for task in (resources.tasks or {}).values():
        yield from (("core", core) for core in task.cpu.reserved_cores or ())
        for device in task.devices or ():
            yield from (("device", one) for one in device.device_ids or ())


def timed(outcome: Outcome, elapsed_ns: int) -> None:
    """Note in the metrics of what found no place how long the search took."""
    outcome.evaluation = _timed(outcome.evaluation, elapsed_ns)
    outcome.created = [_timed(one, elapsed_ns) for one in outcome.created]


def _timed(evaluation: Evaluation, elapsed_ns: int) -> Evaluation:
    if not evaluation.failed_tg_allocs:
        return evaluation
    failed: dict[str, AllocMetric] = {
        name: replace(metric, allocation_time=elapsed_ns) for name, metric in evaluation.failed_tg_allocs.items()
    }
    changed: Evaluation = replace(evaluation, failed_tg_allocs=failed)
    return changed
