"""A whole state through the log: every server replaces its own at the same entry (deviation 17).

The state travels as entries of at most `PIECE_BYTES`, all of one term; the last one makes every server load what it
collected, aside, while applying waits, and take it over. An entry of another term forgets what was collected. No
snapshot is written between the first and the last piece, so a snapshot never holds half of one.

    entry = RESTORE, msgpack [ID of the restoration, number of the piece, number of pieces, piece]
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack

from yurt.server.raft.callbacks import tell
from yurt.server.raft.core.applying import RESTORE, Applying
from yurt.server.raft.errors import NotLeader, OutcomeUnknown, Overloaded, StorageFull
from yurt.server.raft.peer import Peer

PIECE_BYTES = 512 << 10
PIECES_UNAPPLIED_MAX = 4
RETRY_SECONDS = 0.2
OUTPUT_BYTES = 1 << 20


class Collector:
    """The pieces of a restoration so far. They count in one term only; entries are handed in in their order. Pure."""

    def __init__(self) -> None:
        self._identity, self._term = b"", 0
        self.pieces: list[bytes] = []

    def entry(self, term: int) -> None:
        """An entry of that term is next."""
        if term != self._term:
            self.pieces = []

    def take(self, term: int, command: bytes) -> bool | None:
        """Take a piece in: whether it was the last one; None if it does not belong to what is here."""
        identity, number, total, piece = msgpack.unpackb(command[1:], max_bin_len=len(command))
        if number == 0:
            self._identity, self._term, self.pieces = identity, term, []
        if identity != self._identity or len(self.pieces) != number:
            self.pieces = []
            return None
        self.pieces.append(piece)
        return bool(number + 1 == total)


@dataclass(eq=False)
class Proposed:
    """A restoration that this leader brings into the log."""

    identity: bytes
    pieces: Sequence[bytes]
    callback: Callable[[Any, Exception | None], None]
    appended: int = 0
    applied: int = 0


class Restoring(Applying):
    """Replacing the state."""

    def __init__(self, own: Peer, **parts: Any) -> None:
        super().__init__(own, **parts)
        self._collector = Collector()

    _proposed: Proposed | None = None

    @property
    def is_restoring(self) -> bool:
        """Whether a part of a restoration is applied, but not its end."""
        return bool(self._collector.pieces)

    # --- the leader

    def restore_state(self, pieces: Sequence[bytes], callback: Callable[[Any, Exception | None], None]) -> None:
        """Replace the state on every server by `pieces`: joined, the zlib stream of what the machine loads.

        `callback(result, None)` when it is applied here. Like a proposal it ends with `NotLeader`, `Overloaded` (one
        is under way), `StorageFull` (not done) or `OutcomeUnknown`. The caller has made sure that it can be loaded.
        """
        if not self.is_leader_role or self.stopped or self.is_handing_over:
            callback(None, NotLeader())
        elif self._proposed is not None:
            callback(None, Overloaded())
        elif not self.storage.journal.writable:
            callback(None, StorageFull())
        else:
            self._proposed = Proposed(self.chance.randbytes(16), pieces, callback)
            self._append_pieces(self._proposed)

    def _append_pieces(self, proposed: Proposed) -> None:
        """Bring the next pieces into the log, a few at a time."""
        if self._proposed is not proposed or self.stopped:
            return
        if not self.is_leader_role:
            self._end_proposed(proposed, None, NotLeader())  # the last piece is not in the log
            return
        if not self.storage.journal.writable or self.is_handing_over:
            self.runtime.call_later(RETRY_SECONDS, lambda: self._append_pieces(proposed))
            return
        total = len(proposed.pieces)
        while proposed.appended < min(total, proposed.applied + PIECES_UNAPPLIED_MAX):
            number = proposed.appended
            packed = msgpack.packb([proposed.identity, number, total, proposed.pieces[number]])
            proposed.appended += 1
            index = self.log.last_index + 1
            self.waiting[index] = [(self.term, lambda result, error: self._piece_applied(proposed, result, error))]
            self.append_entries([(RESTORE + packed, index, self.term)])
        self.replicate()

    def _piece_applied(self, proposed: Proposed, result: Any, error: Exception | None) -> None:
        if self._proposed is not proposed:
            return
        if error is not None:
            complete = proposed.appended == len(proposed.pieces)
            self._end_proposed(proposed, None, OutcomeUnknown() if complete else NotLeader())
            return
        proposed.applied += 1
        if proposed.applied == len(proposed.pieces):
            self._end_proposed(proposed, result, None)
        else:
            self._append_pieces(proposed)

    def end_restoration(self) -> None:
        """Answer whoever waits for a restoration of which no piece is on its way: it is surely not done."""
        if self._proposed is not None:
            self._end_proposed(self._proposed, None, NotLeader())

    def _end_proposed(self, proposed: Proposed, result: Any, error: Exception | None) -> None:
        self._proposed = None
        tell(proposed.callback, result, error)

    # --- every server

    def apply_other(self, index: int, term: int, command: bytes) -> bool:
        """Collect a piece; False if applying has to wait for the state to be loaded."""
        self._collector.entry(term)
        if command[:1] != RESTORE:
            return super().apply_other(index, term, command)
        is_last = self._collector.take(term, command)
        if is_last:
            self._load(index, term, self._collector)
            return False
        self.finish_entry(index, term, [] if is_last is None else [None])
        return True

    def applied_batch(self, term: int) -> None:
        """An entry with commands was applied."""
        self._collector.entry(term)

    def _load(self, index: int, term: int, collector: Collector) -> None:
        self.apply_waits = True

        def loaded(result: Any, error: BaseException | None) -> None:
            if self.stopped or self._collector is not collector:
                return  # a snapshot of a later state was installed meanwhile
            self.apply_waits, self._collector = False, Collector()
            if error is not None:
                self.fatal(error)
                return
            outcome = self.machine.swap_above(result)
            self.finish_entry(index, term, [outcome])
            self.state_replaced()
            self.schedule_apply()

        def work() -> Any:
            with self.loading():
                return self.machine.load(inflated(collector.pieces))

        self.runtime.run_aside(work, loaded)

    def forget_entry(self) -> None:
        """A snapshot took the place of what was being applied."""
        super().forget_entry()
        self._collector = Collector()

    def state_replaced(self) -> None:
        """Tell those who go by the changes of commands."""

    @property
    def is_handing_over(self) -> bool:
        """Whether the leadership is being transferred."""
        raise AssertionError("the transfer knows")


def inflated(pieces: Sequence[bytes]) -> Iterator[bytes]:
    """The state that pieces hold."""
    inflater = zlib.decompressobj()
    for piece in pieces:
        data = piece
        while data:
            yield inflater.decompress(data, OUTPUT_BYTES)
            data = inflater.unconsumed_tail
    yield inflater.flush()
    if not inflater.eof:
        raise ValueError("the state that was restored is not whole")
