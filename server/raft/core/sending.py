"""A snapshot on its way to a follower whose entries are gone (spec raft-engine §6).

    begin(id, size, CRC) → answer(byte wanted) → chunk(id, byte)... → answer(byte wanted)... → answer(installed)

At most a window is unanswered. A lost chunk shows as an answer that lags behind it, a lost answer as silence, after
which the leader announces the snapshot again and goes on where the follower is. Heartbeats go on beside all this.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from yurt.server.raft.core.messages import (
    FAILED,
    GO_ON,
    INSTALLED,
    UNKNOWN,
    SnapshotAnswer,
    SnapshotBegin,
    SnapshotChunk,
)
from yurt.server.raft.core.restoring import Restoring
from yurt.server.raft.core.state import Progress
from yurt.server.raft.peer import Peer
from yurt.server.raft.storage.snapshots import Snapshot

log = logging.getLogger("raft.snapshots")


@dataclass(eq=False)
class Outgoing:
    """How far one follower is. Offsets are bytes of the file; `first` and `begin` are sequence numbers."""

    snapshot: Snapshot
    size: int
    first: int
    begin: int = 0
    agreed: bool = False  # the follower has said from where on it wants it
    acked: int = 0
    sent: int = 0
    rewound: int = -1
    reading: bool = False
    moved: float = 0.0  # when something was last heard of it


class Sending(Restoring):
    """The leader's side."""

    outgoing: dict[str, Outgoing]

    def __init__(self, own: Peer, **parts: Any) -> None:
        super().__init__(own, **parts)
        self.outgoing = {}

    def begin_snapshot(self, progress: Progress) -> None:
        """Send the newest snapshot to a follower whose entries are gone, or go on with the one that was begun."""
        transfer = self.outgoing.get(progress.peer.id)
        if transfer is None or transfer.snapshot.index < self.log.first_index - 1:
            transfer = self._new_outgoing(progress)
            if transfer is None:
                return
        progress.snapshot = transfer.snapshot
        progress.forget_inflight()
        self._announce(progress, transfer)

    def _new_outgoing(self, progress: Progress) -> Outgoing | None:
        self._end_sending(progress.peer.id)
        newest = self.storage.snapshots.newest()
        if newest is None or newest.index < self.log.first_index - 1:
            return None
        try:
            size = self.storage.snapshots.file_bytes(newest)
        except OSError as error:
            self._unreadable(progress.peer.id, error)
            return None
        self.storage.snapshots.pin(newest)
        transfer = self.outgoing[progress.peer.id] = Outgoing(newest, size, self.sequence + 1)
        log.info("sending a snapshot", extra={"peer": progress.peer.id, "index": newest.index, "bytes": size})
        return transfer

    def _announce(self, progress: Progress, transfer: Outgoing) -> None:
        transfer.agreed = False
        transfer.begin = sequence = self.next_sequence()
        transfer.moved = progress.heartbeats[sequence] = self.runtime.now()
        one = transfer.snapshot
        message = SnapshotBegin(self.cluster, self.term, sequence, one.index, one.term, transfer.size, one.crc)
        self.send_message(progress.peer, message)

    def resend_snapshot(self, progress: Progress) -> None:
        """Announce it again after silence."""
        transfer = self.outgoing.get(progress.peer.id)
        if transfer is None:
            progress.snapshot, progress.probing = None, True
        elif self.runtime.now() - transfer.moved > self.config.election and not transfer.reading:
            self._announce(progress, transfer)

    def on_snapshot_answer(self, peer: Peer, message: SnapshotAnswer) -> None:
        """Go on where the follower is; what is installed matches."""
        progress, transfer = self.progress.get(peer.id), self.outgoing.get(peer.id)
        if not self.is_leader_role or message.term != self.term or progress is None or transfer is None:
            return
        snapshot = transfer.snapshot
        if (message.index, message.snapshot_term) != (snapshot.index, snapshot.term):
            return
        if message.sequence < transfer.first or progress.snapshot is not snapshot:
            return
        created = progress.heartbeats.pop(message.sequence, None)
        if created is not None:
            progress.heard(created)
        if message.state == INSTALLED:
            self._installed(progress, snapshot)
        elif message.state == GO_ON:
            self._go_on(progress, transfer, message)
        elif message.sequence >= transfer.begin:
            if message.state == FAILED:
                transfer.agreed, transfer.moved = False, self.runtime.now()  # not at once again
                log.warning("a follower could not install a snapshot", extra={"peer": peer.id, "index": snapshot.index})
            elif message.state == UNKNOWN:
                self._announce(progress, transfer)

    def _go_on(self, progress: Progress, transfer: Outgoing, message: SnapshotAnswer) -> None:
        offset = min(max(0, message.offset), transfer.size)
        if message.sequence == transfer.begin:
            transfer.agreed, transfer.acked, transfer.sent, transfer.rewound = True, offset, offset, -1
        elif message.sequence < transfer.begin or not transfer.agreed:
            return
        elif offset > transfer.acked:
            transfer.acked, transfer.sent = offset, max(transfer.sent, offset)
        elif offset == transfer.acked and transfer.rewound < offset < transfer.sent:
            transfer.sent = transfer.rewound = offset  # what followed it got lost
        transfer.moved = self.runtime.now()
        self._send_chunks(progress, transfer)

    def _send_chunks(self, progress: Progress, transfer: Outgoing) -> None:
        """Read and send the next chunk, and so on, within the window."""
        room = transfer.acked + self.config.snapshot_window - transfer.sent
        length = min(self.config.snapshot_chunk, transfer.size - transfer.sent, room)
        if transfer.reading or not transfer.agreed or length <= 0:
            return
        transfer.reading = True
        offset, term = transfer.sent, self.term

        def read(data: Any, error: BaseException | None) -> None:
            transfer.reading = False
            if self.stopped or self.term != term or self.outgoing.get(progress.peer.id) is not transfer:
                return
            if error is not None or len(data) != length:
                self._unreadable(progress.peer.id, error)
                return
            if transfer.sent == offset and transfer.agreed:
                self._send_chunk(progress, transfer, data)
            self._send_chunks(progress, transfer)

        self.runtime.run_aside(lambda: self.storage.snapshots.chunk(transfer.snapshot, offset, length), read)

    def _send_chunk(self, progress: Progress, transfer: Outgoing, data: bytes) -> None:
        sequence = self.next_sequence()
        progress.heartbeats[sequence] = self.runtime.now()
        one = transfer.snapshot
        self.send_message(
            progress.peer,
            SnapshotChunk(self.cluster, self.term, sequence, one.index, one.term, transfer.sent, data),
        )
        transfer.sent += len(data)

    def _installed(self, progress: Progress, snapshot: Snapshot) -> None:
        self._end_sending(progress.peer.id)
        progress.match = max(progress.match, snapshot.index)
        progress.next = progress.match + 1
        progress.snapshot, progress.probing = None, True
        self.advance_commit()
        self.send_entries(progress)

    def _unreadable(self, server_id: str, error: BaseException | None) -> None:
        """Our own file cannot be read: the next snapshot takes its place."""
        log.warning("a snapshot cannot be read", extra={"peer": server_id, "cause": str(error)})
        self._end_sending(server_id)
        is_whole = not self.is_mid_entry and not self.is_restoring
        if is_whole and not self.snapshotting and self.last_applied > self.snapshot.index:
            self.take_snapshot()

    # --- ending

    def _end_sending(self, server_id: str) -> None:
        transfer = self.outgoing.pop(server_id, None)
        if transfer is not None:
            self.storage.snapshots.unpin(transfer.snapshot)

    def end_sending_all(self) -> None:
        """Nothing is sent any more."""
        for server_id in list(self.outgoing):
            self._end_sending(server_id)

    def forget_outgoing(self) -> None:
        """Cancel the sending of snapshots to servers that are no longer followers."""
        for server_id in [one for one in self.outgoing if one not in self.progress]:
            self._end_sending(server_id)

    def step_down(self, term: int, leader: Peer | None = None) -> None:
        """A transfer is bound to its leader and term."""
        super().step_down(term, leader)
        self.end_sending_all()

    def take_snapshot(self) -> None:
        """Write the state as of now, aside."""
        raise AssertionError("snapshots are written")
