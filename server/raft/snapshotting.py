"""Snapshots: made here, sent to those who are too far behind, installed from a leader (spec raft-engine §6)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from yurt.fsm.errors import YurtError
from yurt.server.raft.applying import Applying
from yurt.server.raft.frame import Peer
from yurt.server.raft.messages import SnapshotAnswer, SnapshotChunk
from yurt.server.raft.snapshots import CHUNK_BYTES, Snapshot
from yurt.server.raft.state import Progress


class Snapshotting(Applying):
    """State that stands for the beginning of the log."""

    _sending: dict[tuple[int, int], bytes]

    # --- made here

    def maybe_snapshot(self) -> None:
        """Write a snapshot if the log has grown enough since the last one."""
        grown = self.last_applied - self.snapshot.index
        large = self.log_bytes >= self.config.snapshot_bytes and grown > 0
        if self.snapshotting or self._position or (grown < self.config.snapshot_entries and not large):
            return
        self.take_snapshot()

    def take_snapshot(self) -> None:
        """Write the state as of now, aside."""
        self.snapshotting = True
        capture = self.machine.capture()
        term = int(self.log.term_at(self.last_applied) or 0)
        placed = self.configurations.at(self.last_applied)
        wanted = Snapshot(self.last_applied, term, placed.servers, configuration_index=placed.index)
        self.log_bytes = 0

        def work() -> Snapshot:
            writer = self.storage.snapshots.begin(wanted)
            try:
                for chunk in self.machine.write(capture):
                    writer.write(chunk)
                return writer.finish()
            except BaseException:
                with contextlib.suppress(OSError):
                    writer.abandon()
                raise

        self.runtime.run_aside(work, self._snapshot_written)

    def _snapshot_written(self, snapshot: Any, error: BaseException | None) -> None:
        self.snapshotting = False
        if self.stopped:
            return
        if error is not None:
            if not isinstance(error, OSError | YurtError):
                self.fatal(error)
            return  # the log is kept: nothing is lost, the next attempt comes with the next threshold
        if snapshot.index > self.snapshot.index:
            self.snapshot = snapshot
            self.configurations.forget_before(snapshot.index)
            self._drop_log()

    def _drop_log(self) -> None:
        """The log before the older kept snapshot may go, but for some trailing entries."""
        upto = min(self.storage.snapshots.kept_index(), self.snapshot.index - self.config.trailing_entries)
        if upto >= self.log.first_index:
            self.issue(self.log.drop(upto))

    # --- sent

    def begin_snapshot(self, progress: Progress) -> None:
        """Send the newest snapshot to a follower whose entries are gone."""
        newest = self.storage.snapshots.newest()
        if newest is None or newest.index < self.log.first_index - 1:
            return
        self._sending = {(newest.term, newest.index): b"".join(self.storage.snapshots.body(newest))}
        progress.snapshot, progress.snapshot_offset = newest, 0
        progress.inflight.clear()
        self._send_chunk(progress)

    def _send_chunk(self, progress: Progress) -> None:
        snapshot = progress.snapshot
        body = self._sending.get((snapshot.term, snapshot.index)) if snapshot else None
        if snapshot is None or body is None:
            progress.snapshot = None
            return
        offset = progress.snapshot_offset
        sequence = self.next_sequence()
        progress.snapshot_sent = progress.heartbeats[sequence] = self.runtime.now()
        self.send_message(
            progress.peer,
            SnapshotChunk(
                self.cluster, self.term, sequence, snapshot.index, snapshot.term, snapshot.configuration,
                snapshot.configuration_index, snapshot.size, snapshot.crc, offset, body[offset : offset + CHUNK_BYTES],
            ),
        )  # fmt: skip

    def resend_snapshot(self, progress: Progress) -> None:
        """Ask again if a chunk's answer is long overdue."""
        if self.runtime.now() - progress.snapshot_sent > self.config.election * 4:
            self._send_chunk(progress)

    def on_snapshot_answer(self, peer: Peer, message: SnapshotAnswer) -> None:
        """Go on where the follower is; what is installed matches."""
        progress = self.progress.get(peer.id)
        if not self.is_leader_role or message.term != self.term or progress is None or progress.snapshot is None:
            return
        if message.sequence not in progress.heartbeats or message.index != progress.snapshot.index:
            return
        progress.heard(progress.heartbeats.pop(message.sequence))
        if not message.installed:
            progress.snapshot_offset = message.offset
            self._send_chunk(progress)
            return
        progress.match = max(progress.match, progress.snapshot.index)
        progress.next = progress.match + 1
        progress.snapshot, progress.probing = None, True
        if not any(one.snapshot for one in self.progress.values()):
            self._sending = {}
        self.advance_commit()
        self.send_entries(progress)

    # --- installed

    def on_snapshot_chunk(self, peer: Peer, message: SnapshotChunk) -> None:
        """Collect the pieces in order; the last one installs it."""
        if message.term < self.term:
            self.send_message(peer, SnapshotAnswer(self.cluster, self.term, message.sequence, message.index, 0, False))
            return
        self.follow(peer, message.term)
        if message.index <= self.commit_index:
            self._answer_chunk(peer, message, message.size, installed=True)
            return
        if message.offset == 0:
            if self.incoming is not None:
                self.incoming.abandon()
            snapshot = Snapshot(
                message.index, message.snapshot_term, message.configuration, message.size, message.crc,
                message.configuration_index,
            )  # fmt: skip
            self.incoming = self.storage.snapshots.begin(snapshot)
            self._incoming_index = message.index
        if self.incoming is None or self._incoming_index != message.index or self.incoming.size != message.offset:
            offset = self.incoming.size if self.incoming and self._incoming_index == message.index else 0
            self._answer_chunk(peer, message, offset, installed=False)
            return
        self.incoming.write(message.data)
        if self.incoming.size < message.size:
            self._answer_chunk(peer, message, self.incoming.size, installed=False)
            return
        self._install(peer, message)

    _incoming_index = 0

    def _answer_chunk(self, peer: Peer, message: SnapshotChunk, offset: int, *, installed: bool) -> None:
        answer = SnapshotAnswer(self.cluster, self.term, message.sequence, message.index, offset, installed)
        self.hold(self._issued_lsn, lambda: self.send_message(peer, answer))

    def _install(self, peer: Peer, message: SnapshotChunk) -> None:
        """Verify, publish, then take the state over; a bad one is asked for again from the start."""
        assert self.incoming is not None
        try:
            snapshot = self.incoming.finish()
            if (snapshot.size, snapshot.crc) != (message.size, message.crc):
                raise YurtError("the snapshot arrived damaged")
            self.machine.restore(self.read_body(snapshot))
        except YurtError:
            self.incoming = None
            self._answer_chunk(peer, message, 0, installed=False)
            return
        self.incoming = None
        if self.log.term_at(snapshot.index) != snapshot.term:
            self._held.clear()
            self._unsynced.clear()
            self.own_match = snapshot.index
            self.issue(self.log.reset(snapshot.index, snapshot.term))
        self.snapshot = snapshot
        self.commit_index = max(self.commit_index, snapshot.index)
        self.last_applied = snapshot.index
        self._position, self._pending = 0, []
        self.forget_digest()
        self.end_waiting()
        self.rebuild_configurations()
        self._answer_chunk(peer, message, snapshot.size, installed=True)
        self.schedule_apply()

    def read_body(self, snapshot: Snapshot) -> Iterator[bytes]:
        """The body of a published snapshot."""
        return self.storage.snapshots.body(snapshot)

    def forget_digest(self) -> None:
        """The state came from elsewhere."""
        raise AssertionError("agreement forgets")
