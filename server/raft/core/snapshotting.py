"""Snapshots made here, and the log that they let go (spec raft-engine §6)."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from yurt.fsm.errors import YurtError
from yurt.server.raft.core.installing import Installing
from yurt.server.raft.errors import DiskFailed
from yurt.server.raft.storage.apart import Abandoned
from yurt.server.raft.storage.snapshots import Snapshot

log = logging.getLogger("raft.snapshots")

SHARE = 10  # a snapshot is not begun before this many times the seconds that the last one took


@dataclass(eq=False)
class Attempt:
    """A snapshot being written."""

    snapshot: Snapshot
    begun: float
    abandoned: bool = False


class Snapshotting(Installing):
    """State that stands for the beginning of the log."""

    _attempt: Attempt | None = None
    _look_at = 0.0
    _not_before = 0.0
    _looking = False
    snapshots_written = snapshots_failed = 0

    # --- when

    def maybe_snapshot(self) -> None:
        """Write a snapshot if the log has grown enough since the last one, and it is time to look."""
        self.forget_outgoing()
        grown = self.last_applied - self.snapshot.index
        large = self.log_bytes >= self.config.snapshot_bytes and grown > 0
        due = large or grown >= self.config.snapshot_entries
        if not due or self.snapshotting or self.is_mid_entry or self.is_restoring or self.stopped:
            return
        now = self.runtime.now()
        wait = max(self._not_before, 0.0 if large else self._look_at) - now
        if wait <= 0:
            self.take_snapshot()
        elif not self._looking:
            self._looking = True
            self.runtime.call_later(wait, self._look_again)

    def _look_again(self) -> None:
        self._looking = False
        self.maybe_snapshot()

    # --- how

    def take_snapshot(self) -> None:
        """Write the state as of now, aside."""
        assert not self.is_mid_entry and not self.is_restoring, "a snapshot is of whole entries"
        term = int(self.log.term_at(self.last_applied) or 0)
        placed = self.configurations.at(self.last_applied)
        wanted = Snapshot(self.last_applied, term, placed.servers, configuration_index=placed.index)
        attempt = self._attempt = Attempt(wanted, self.runtime.now())
        self.snapshotting = True
        self._log_bytes_before, self.log_bytes = self.log_bytes, 0
        capture = self.machine.capture()

        def chunks() -> Iterator[bytes]:
            for chunk in self.machine.write(capture):
                if attempt.abandoned:
                    raise Abandoned("the snapshot was given up")
                yield chunk

        def work() -> Snapshot:
            if attempt.abandoned:
                raise Abandoned("the snapshot was given up")
            writer = self.storage.snapshots.begin(wanted)
            try:
                writer.fill(chunks)
                return writer.finish()
            except BaseException:
                with contextlib.suppress(OSError):
                    writer.abandon()
                raise

        self.runtime.run_aside(work, lambda snapshot, error: self._snapshot_written(attempt, snapshot, error))

    _log_bytes_before = 0
    on_snapshot: Callable[[], None] | None = None  # called when one was written

    def _snapshot_written(self, attempt: Attempt, snapshot: Any, error: BaseException | None) -> None:
        self.snapshotting, self._attempt = False, None
        if self.stopped:
            return
        now = self.runtime.now()
        seconds = now - attempt.begun
        self._not_before = now + (SHARE * seconds if self.config.snapshot_interval else 0.0)
        self._look_at = now + self.config.snapshot_interval * (1 + self.chance.random())
        if error is not None:
            self._snapshot_failed(attempt, error)
            return
        self.snapshots_written += 1
        if self.on_snapshot is not None:
            self.on_snapshot()
        log.info("snapshot written", extra={"index": snapshot.index, "bytes": snapshot.size, "seconds": seconds})
        if snapshot.index > self.snapshot.index:
            self.snapshot = snapshot
            self.configurations.forget_before(snapshot.index)
            self.drop_log()
        self.maybe_snapshot()

    def _snapshot_failed(self, attempt: Attempt, error: BaseException) -> None:
        """The log is kept: nothing is lost, the next attempt comes with the next look. A broken disk is final."""
        self.log_bytes += self._log_bytes_before
        if isinstance(error, DiskFailed) or not isinstance(error, YurtError):
            self.fatal(error)
        elif not isinstance(error, Abandoned):
            self.snapshots_failed += 1
            log.warning("a snapshot failed", extra={"index": attempt.snapshot.index, "cause": str(error)})
            self.log_bytes = min(self.log_bytes, self.config.snapshot_bytes // 2)
            now = self.runtime.now()
            self._not_before = now + max(self.config.election, SHARE * (now - attempt.begun))
            self.maybe_snapshot()

    def abandon_snapshot(self) -> None:
        """Give up the one being written: a newer one comes."""
        if self._attempt is not None:
            self._attempt.abandoned = True
            if self.storage.snapshots.apart is not None:
                self.storage.snapshots.apart.abandon()

    def end_snapshotting(self) -> None:
        """The engine stops."""
        self.abandon_snapshot()
        self.end_sending_all()
        self.drop_incoming()

    def drop_log(self) -> None:
        """Let go what lies before the older kept snapshot, but for trailing entries and what a receiver will need."""
        kept, pinned = self.storage.snapshots.kept_index(), self.storage.snapshots.pinned_index()
        upto = min(self._before_trailing(kept if pinned is None else min(kept, pinned)), self.last_applied)
        if upto >= self.log.first_index:
            self.issue(self.log.drop(upto))

    def _before_trailing(self, index: int) -> int:
        """The index before the trailing entries, of which there may be a number and an amount of bytes."""
        room = self.config.snapshot_bytes
        for _ in range(self.config.trailing_entries):
            if index < self.log.first_index or room <= 0:
                break
            room -= len(self.log.at(index)[0])
            index -= 1
        return index

    def snapshot_stats(self) -> dict[str, str]:
        """Counters as texts."""
        return {
            "last_snapshot_index": str(self.snapshot.index),
            "last_snapshot_term": str(self.snapshot.term),
            "snapshot_in_work": str(self.snapshotting).lower(),
            "snapshots_written": str(self.snapshots_written),
            "snapshots_failed": str(self.snapshots_failed),
            "snapshots_sending": str(len(self.outgoing)),
            "snapshot_receiving": self.receiving(),
        }
