"""The part of its log that a starting server may keep, given its newest valid snapshot. Pure."""

from __future__ import annotations

from typing import Protocol

from yurt.server.raft.errors import WAY_OUT, Corrupt


class Extent(Protocol):
    """The extent of a log, as recovery asks for it."""

    @property
    def first_index(self) -> int:
        """Index of the first entry, or of the next one if there is none."""

    @property
    def last_index(self) -> int:
        """Index of the last entry, or of the one before the first."""

    def term_at(self, index: int) -> int | None:
        """The term of an entry, or of the one before the first; None if it is not there."""


def keeps_log(snapshot: tuple[int, int] | None, log: Extent) -> bool:
    """Tell whether the log goes on from the snapshot (index, term); if not it must be reset to it.

    The log is kept if it holds the snapshot's last entry. It is dropped if it ends before that or differs there: then
    the server took the snapshot from a leader and stopped before it emptied its log. Raises `Corrupt` if entries
    between snapshot and log are missing, which no crash can cause: a snapshot was lost or damaged.
    """
    index, term = snapshot or (0, 0)
    if log.first_index > index + 1:
        what = f"the newest good snapshot ends at entry {index}" if snapshot else "there is no good snapshot"
        raise Corrupt(
            f"{what}, and the log begins at entry {log.first_index}: entries between them are missing. {WAY_OUT}"
        )
    if snapshot is None:
        return True
    return log.last_index >= index and log.term_at(index) == term
