"""Summaries counted as allocations change: each summary is written once a command (spec scheduling §17.4)."""

from __future__ import annotations

from yurt.fsm.store.schema import JOB_SUMMARIES
from yurt.fsm.store.transaction import Transaction
from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.base import replace

BINS = {
    "pending": "starting", "running": "running", "complete": "complete", "failed": "failed", "lost": "lost",
    "unknown": "unknown",
}  # fmt: skip
_LEFT = frozenset({"starting", "running", "lost", "unknown"})  # complete and failed count over the job's life


class Tally:
    """The changes to job summaries that follow from a command's allocations."""

    __slots__ = ("_moves",)

    def __init__(self) -> None:
        self._moves: dict[tuple[str, str], dict[tuple[str, str], int]] = {}

    def count(self, old: Allocation | None, new: Allocation) -> None:
        """An allocation was stored in place of another (None: it is new)."""
        if old is not None and old.client_status == new.client_status:
            return
        moves = self._moves.setdefault((new.namespace, new.job_id), {})
        into = (new.task_group, BINS.get(new.client_status, "starting"))
        moves[into] = moves.get(into, 0) + 1
        if old is None:
            out = (new.task_group, "queued")
        else:
            out = (new.task_group, BINS.get(old.client_status, "starting"))
            if out[1] not in _LEFT:
                return
        moves[out] = moves.get(out, 0) - 1

    def store(self, txn: Transaction) -> None:
        """Write the summaries that changed."""
        for key, moves in self._moves.items():
            summary = txn.get(JOB_SUMMARIES, key)
            if summary is None:
                continue
            groups = dict(summary.summary)
            for (name, bin_), number in moves.items():
                if name in groups and number:
                    groups[name] = replace(groups[name], **{bin_: max(0, getattr(groups[name], bin_) + number)})
            if groups != summary.summary:
                txn.put(JOB_SUMMARIES, replace(summary, summary=groups, modify_index=txn.index))
