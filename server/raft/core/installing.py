"""A snapshot on its way in: taken in pieces, verified, loaded aside, and then taken over in one step (§6).

Nothing of the server's state changes before the file is durable under its name and its state is loaded. The step that
takes it over changes log, state, indexes and configuration together; the answer waits until the log's reset is durable
too. A crash in between finds the published snapshot and resets the log at the next start.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass, field
from typing import Any

from yurt.fsm.errors import YurtError
from yurt.server.raft.core.messages import (
    FAILED,
    GO_ON,
    INSTALLED,
    UNKNOWN,
    SnapshotAnswer,
    SnapshotBegin,
    SnapshotChunk,
)
from yurt.server.raft.core.sending import Sending
from yurt.server.raft.errors import Corrupt, DiskFailed
from yurt.server.raft.peer import Peer
from yurt.server.raft.storage.snapshots import Snapshot, SnapshotReceiver

log = logging.getLogger("raft.snapshots")

QUEUE_BYTES_MAX = 4 << 20


@dataclass(eq=False)
class Incoming:
    """The snapshot being received: its sender, its announcement (with the term), and how much of it is here."""

    peer: Peer
    begin: SnapshotBegin
    receiver: SnapshotReceiver | None = None
    queue: list[bytes] = field(default_factory=list)
    taken: int = 0  # bytes written or queued
    busy: bool = False
    dropped: bool = False

    @property
    def queued(self) -> int:
        """Bytes that wait to be written."""
        return sum(len(data) for data in self.queue)

    def is_of(self, peer: Peer, message: SnapshotBegin | SnapshotChunk) -> bool:
        """Whether a message belongs to this transfer: same leader, same term, same snapshot."""
        own = self.begin
        return (peer, message.term, message.index, message.snapshot_term) == (
            self.peer, own.term, own.index, own.snapshot_term,
        )  # fmt: skip


class Installing(Sending):
    """The follower's side."""

    incoming: Incoming | None = None

    def on_snapshot_begin(self, peer: Peer, message: SnapshotBegin) -> None:
        """Say from where on it is wanted, or that it is needless."""
        if not self._is_led_by(peer, message) or self._is_needless(peer, message):
            return
        have = self.incoming
        same = have is not None and have.is_of(peer, message)
        if have is None or not same or (have.begin.size, have.begin.crc) != (message.size, message.crc):
            self.drop_incoming()
            self.abandon_snapshot()
            have = self.incoming = Incoming(peer, message)
            log.info("receiving a snapshot", extra={"peer": peer.id, "index": message.index, "bytes": message.size})
        self._answer_snapshot(peer, message, GO_ON, have.taken)

    def on_snapshot_chunk(self, peer: Peer, message: SnapshotChunk) -> None:
        """Take the next piece; one out of order is answered with what is wanted."""
        if not self._is_led_by(peer, message) or self._is_needless(peer, message):
            return
        have = self.incoming
        if have is None or not have.is_of(peer, message):
            self._answer_snapshot(peer, message, UNKNOWN)
            return
        fits = message.data and have.taken + len(message.data) <= have.begin.size
        if message.offset != have.taken or not fits or have.queued > QUEUE_BYTES_MAX:
            self._answer_snapshot(peer, message, GO_ON, have.taken)
            return
        have.taken += len(message.data)
        have.queue.append(message.data)
        self._write_queued(have, message)

    def _is_led_by(self, peer: Peer, message: SnapshotBegin | SnapshotChunk) -> bool:
        if message.term < self.term:
            self._answer_snapshot(peer, message, UNKNOWN)
            return False
        self.follow(peer, message.term)
        return True

    def _is_needless(self, peer: Peer, message: SnapshotBegin | SnapshotChunk) -> bool:
        """Whether everything in the snapshot is committed here; if so answer INSTALLED.

        Committed entries match the snapshot; an entry of its index and term in the log is committed by it.
        """
        if message.index > self.commit_index and self.log.term_at(message.index) == message.snapshot_term:
            self.commit_to(message.index)
        if message.index > self.commit_index:
            return False
        self._answer_snapshot(peer, message, INSTALLED)
        return True

    def _answer_snapshot(self, peer: Peer, message: SnapshotBegin | SnapshotChunk, state: int, offset: int = 0) -> None:
        answer = SnapshotAnswer(
            self.cluster, self.term, message.sequence, message.index, message.snapshot_term, offset, state
        )
        self.hold(self._issued_lsn, lambda: self.send_message(peer, answer))

    # --- writing

    def _write_queued(self, have: Incoming, message: SnapshotChunk) -> None:
        """Write what waits, in order, aside; then answer the newest piece."""
        if have.busy or not have.queue:
            return
        have.busy = True
        queue, have.queue = have.queue, []

        def work() -> None:
            if have.receiver is None:
                begin = have.begin
                announced = Snapshot(begin.index, begin.snapshot_term, [], crc=begin.crc)
                have.receiver = self.storage.snapshots.receive(announced, begin.size)
            for data in queue:
                have.receiver.write(data)

        def done(_result: Any, error: BaseException | None) -> None:
            have.busy = False
            if have.dropped:
                self._discard(have)
            elif error is not None:
                self._incoming_failed(have, message, error)
            elif have.queue:
                self._write_queued(have, message)
            elif have.taken == have.begin.size:
                self._install(have, message)
            else:
                self._answer_snapshot(have.peer, message, GO_ON, have.taken)

        self.runtime.run_aside(work, done)

    def _incoming_failed(self, have: Incoming, message: SnapshotChunk, error: BaseException) -> None:
        """Without space, or with another snapshot than was announced, it begins anew; a broken disk is final."""
        self.drop_incoming()
        if self.stopped:
            return
        if isinstance(error, DiskFailed) or not isinstance(error, YurtError):
            self.fatal(error)
            return
        log.warning("a snapshot was not installed", extra={"index": have.begin.index, "cause": str(error)})
        self._answer_snapshot(have.peer, message, FAILED)

    def drop_incoming(self) -> None:
        """Discard the snapshot being received."""
        have, self.incoming = self.incoming, None
        if have is not None:
            have.dropped = True
            have.queue.clear()
            if not have.busy:
                self._discard(have)

    def _discard(self, have: Incoming) -> None:
        """Remove the file; nobody writes into it any more."""
        receiver, have.receiver = have.receiver, None
        if receiver is not None:
            with contextlib.suppress(OSError):
                receiver.abandon()

    # --- installing

    def _install(self, have: Incoming, message: SnapshotChunk) -> None:
        """Verify, load, publish: aside; then take it over."""
        have.busy = True
        receiver = have.receiver
        assert receiver is not None

        def work() -> tuple[Snapshot, Any]:
            found = receiver.check()
            with self.loading():
                loaded = self._loaded(receiver)
            receiver.publish()
            return found, loaded

        def done(result: Any, error: BaseException | None) -> None:
            have.busy = False
            if error is not None:
                self._incoming_failed(have, message, error)
                return
            have.receiver = None
            if self.incoming is have:
                self.incoming = None
            if not self.stopped:
                self._take_over(*result)
                self._answer_snapshot(have.peer, message, INSTALLED)

        self.runtime.run_aside(work, done)

    def _loaded(self, receiver: SnapshotReceiver) -> Any:
        """Load the state; one whose checksums are right and that cannot be loaded is refused, and this server lives."""
        try:
            return self.machine.load(receiver.body())
        except (YurtError, OSError, MemoryError):
            raise
        except Exception as error:
            receiver.abandon()
            raise Corrupt(f"the state in the snapshot cannot be loaded: {type(error).__name__}: {error}") from error

    def _take_over(self, snapshot: Snapshot, loaded: Any) -> None:
        """One step: from here on this server's log begins after the snapshot, unless it has more than that."""
        if snapshot.index <= self.commit_index:
            return
        if self.log.term_at(snapshot.index) == snapshot.term:
            self.commit_to(snapshot.index)
            self.snapshot = snapshot
            return
        self._held.clear()
        self._unsynced.clear()
        self.issue(self.log.reset(snapshot.index, snapshot.term))
        self.own_match = snapshot.index
        self.machine.swap(loaded)
        self.snapshot, self.log_bytes = snapshot, 0
        self.commit_index = self.last_applied = snapshot.index
        self.forget_entry()
        self.end_waiting()
        self.rebuild_configurations()
        self.forget_digest()
        log.info("snapshot installed", extra={"index": snapshot.index})
        self.schedule_apply()

    def receiving(self) -> str:
        """How much of an incoming snapshot is here, for operators."""
        return "" if self.incoming is None else f"{self.incoming.taken}/{self.incoming.begin.size}"

    def forget_digest(self) -> None:
        """The state came from elsewhere."""
        raise AssertionError("agreement forgets")

    def abandon_snapshot(self) -> None:
        """A snapshot being written here is needless."""
        raise AssertionError("snapshots are abandoned")
