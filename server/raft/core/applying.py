"""Applying what is committed, in slices that keep the loop free."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgpack

from yurt.server.raft.callbacks import tell
from yurt.server.raft.core.space import Space
from yurt.server.raft.errors import NotLeader

BATCH = b"B"
DIGEST = b"H"
RESTORE = b"R"
SLICE_SECONDS = 0.005


def pack_batch(payloads: list[bytes]) -> bytes:
    """The entry that carries commands."""
    packed: bytes = msgpack.packb(payloads)
    return BATCH + packed


class Applying(Space):
    """From commit index to last applied, one command after another."""

    _apply_scheduled = False
    _position = 0  # commands of the entry in work that are applied already
    _pending: list[Any]
    _payloads: list[bytes]
    apply_waits = False  # an entry's work goes on elsewhere
    observe_apply: Callable[[float], None] | None = None  # is told how many seconds each command took

    @property
    def is_mid_entry(self) -> bool:
        """Whether a part of an entry's commands is applied."""
        return self._position > 0

    def schedule_apply(self) -> None:
        """Apply soon; what is small at once."""
        if not self._apply_scheduled:
            self._apply_scheduled = True
            self.runtime.call_soon(self._apply_slice)

    def _apply_slice(self) -> None:
        self._apply_scheduled = False
        if self.stopped or self.apply_waits:
            return
        try:
            deadline = self.runtime.now() + SLICE_SECONDS
            while self.last_applied < self.commit_index:
                if not self._apply_entry(deadline):
                    if not self.apply_waits:
                        self.schedule_apply()
                    return
        except BaseException as error:  # noqa: BLE001 (whatever strikes here strikes this server alone: it must end)
            self.fatal(error)
            return
        self.after_apply()

    def _apply_entry(self, deadline: float) -> bool:
        """Apply the next entry, or a part of it; False if the time is up."""
        index = self.last_applied + 1
        command, _, term = self.log.at(index)
        if command[:1] == DIGEST:
            self.apply_digest(index, command)
        if command[:1] != BATCH:
            return self.apply_other(index, term, command)
        payloads = msgpack.unpackb(command[1:], max_bin_len=64 << 20) if self._position == 0 else self._payloads
        if self._position == 0:
            self._payloads = payloads
            self._pending = []
        now = self.runtime.now()
        while self._position < len(payloads):
            self._pending.append(self.machine.apply(payloads[self._position]))
            self._position += 1
            before, now = now, self.runtime.now()
            if self.observe_apply is not None:
                self.observe_apply(now - before)
            if now > deadline and self._position < len(payloads):
                return False
        self.count_commands(len(payloads))
        results, self._pending, self._payloads, self._position = self._pending, [], [], 0
        self.applied_batch(term)
        self.finish_entry(index, term, results)
        return True

    def apply_other(self, index: int, term: int, command: bytes) -> bool:
        """Apply an entry that carries no commands; False if applying has to wait."""
        self.finish_entry(index, term, [index])  # a configuration's callback gets its index
        return True

    def applied_batch(self, term: int) -> None:
        """An entry with commands was applied."""

    def forget_entry(self) -> None:
        """Forget the entry being applied: it is part of an installed snapshot."""
        self._position, self._pending, self._payloads, self.apply_waits = 0, [], [], False

    def finish_entry(self, index: int, term: int, results: list[Any]) -> None:
        """Count first, then tell those who wait; a callback that raises disturbs nobody."""
        self.last_applied = index
        callbacks = self.waiting.pop(index, ())
        for position, (proposed_in, callback) in enumerate(callbacks):
            if proposed_in == term and position < len(results):
                tell(callback, results[position], None)
            else:
                tell(callback, None, NotLeader())

    def count_commands(self, count: int) -> None:
        """So many commands were applied."""
        raise AssertionError("agreement counts")

    def apply_digest(self, index: int, entry: bytes) -> None:
        """Compare this server's state with the leader's."""
        raise AssertionError("agreement compares")

    def after_apply(self) -> None:
        """All that is committed is applied."""
        raise AssertionError("the engine goes on")
