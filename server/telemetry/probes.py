"""The measurements of the engine and the state, under the names that dashboards know (spec cluster §2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from yurt.fsm.machine import Machine
from yurt.fsm.store.changes import Change
from yurt.fsm.store.schema import ALLOCATIONS, DEPLOYMENTS, EVALUATIONS, JOBS, NODES, Table
from yurt.fsm.structs.job import DEAD, PENDING, RUNNING
from yurt.server.raft.consensus import Consensus, Status
from yurt.server.raft.transport.transport import PeerTransport, counters_of
from yurt.server.telemetry.metrics import Metrics

InTurns = Callable[[Callable[[], Iterator[None]]], None]


def measure_engine(metrics: Metrics, engine: Consensus, transport: PeerTransport) -> None:
    """Indexes, term, role, peers, snapshots, the time that commands take."""
    gauge = metrics.gauge
    gauge("nomad.raft.appliedIndex", lambda: float(engine.status().applied_index))
    gauge("nomad.raft.lastIndex", lambda: float(engine.status().last_index))
    gauge("nomad.raft.commitIndex", lambda: float(engine.status().commit_index))
    gauge("nomad.raft.term", lambda: float(engine.term))
    gauge("nomad.raft.peers", lambda: float(len(engine.configuration)))
    gauge("yurt.raft.is_leader", lambda: float(engine.is_ready))
    gauge("yurt.raft.has_leader", lambda: float(engine.leader is not None))
    gauge("yurt.raft.last_contact.seconds", engine.last_contact_seconds)
    gauge("yurt.raft.apply_pending", lambda: float(_pending(engine.status())))
    gauge("yurt.raft.snapshot.index", lambda: float(engine.status().snapshot_index))
    gauge("yurt.raft.snapshot.age.seconds", lambda: engine.status().snapshot_seconds)
    gauge("yurt.storage.writable", lambda: float(engine.status().is_writable))
    metrics.group("yurt.raft.peer", lambda: counters_of(transport))


def _pending(status: Status) -> int:
    return status.commit_index - status.applied_index


def measure_state(metrics: Metrics, machine: Machine, in_turns: InTurns) -> None:
    """The state's index, the number of its rows, jobs by status; `in_turns` does long work, again if it breaks."""
    metrics.gauge("nomad.state.snapshotIndex", lambda: float(machine.index))
    statuses = _JobStatuses(machine, in_turns)
    for status in (PENDING, RUNNING, DEAD):
        metrics.gauge(f"nomad.nomad.job_status.{status}", partial(statuses.count, status))
    for table in (JOBS, EVALUATIONS, ALLOCATIONS, DEPLOYMENTS, NODES):
        metrics.gauge("yurt.state.rows", partial(_rows_of, machine, table), (("table", table.name),))


class _JobStatuses:
    """How many jobs have which status, without looking at all of them."""

    def __init__(self, machine: Machine, in_turns: InTurns) -> None:
        self._machine, self._in_turns = machine, in_turns
        self._counts: Counter[str] = Counter()
        machine.on_commit(self._committed)
        machine.on_replaced(self._recount)

    def _recount(self, _index: int, _restored: bool) -> None:
        """Count the new state; what changes meanwhile is counted as it changes."""
        self._in_turns(self._look)

    def _look(self) -> Iterator[None]:
        counts: Counter[str] = Counter()
        self._counts = counts
        view = self._machine.view()
        view.pin()
        for job in view.scan(JOBS):
            counts[job.status] += 1
            yield
            if counts is not self._counts:
                return  # another state took this one's place

    def _committed(self, _index: int, changes: list[Change]) -> None:
        for change in changes:
            if change.table is JOBS:
                if change.old is not None:
                    self._counts[change.old.status] -= 1
                if change.new is not None:
                    self._counts[change.new.status] += 1

    def count(self, status: str) -> float:
        """How many have it."""
        return float(self._counts[status])


def _rows_of(machine: Machine, table: Table[Any, Any]) -> float:
    return float(machine.view().count(table))
