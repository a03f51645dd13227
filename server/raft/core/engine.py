"""The Raft engine (docs/raft.md).

One `Engine` a server, driven by its runtime's loop. Proposals that arrive while a batch is on its way to the disk
become the next single entry (group commit). Any unexpected exception is handed to `fatal`: the process must end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from yurt.server.raft.callbacks import tell
from yurt.server.raft.consensus import Callback
from yurt.server.raft.core import messages
from yurt.server.raft.core.admission import Admission, answer_to_refused
from yurt.server.raft.core.applying import pack_batch
from yurt.server.raft.core.configuration import pack_first
from yurt.server.raft.core.entry_shape import check_entries
from yurt.server.raft.core.reads import Questions
from yurt.server.raft.core.recovery import keeps_log
from yurt.server.raft.core.telling import Telling
from yurt.server.raft.errors import WAY_OUT, Corrupt, NotLeader, Overloaded, StorageFull, TransferFailed
from yurt.server.raft.peer import Peer


class Engine(Telling):
    """Replicates commands and applies them; the seam between the server and Raft."""

    _undurable_batches = 0
    _pump_scheduled = False

    def __init__(self, own: Peer, **parts: Any) -> None:
        super().__init__(own, **parts)
        self._next_round = []
        self._questions = {False: Questions(), True: Questions()}
        self._applied_waiters, self.polled = [], set()
        self.admission = Admission(self, self.runtime.now)
        self._pending, self._payloads = [], []

    # --- starting and stopping

    def start(self, bootstrap: list[list[str]]) -> None:
        """Recover from the files, or begin with `bootstrap`, the cluster's first configuration; then take part.

        A server that is not in it begins with nothing and waits to be added by the leader.

        Raises `Corrupt` if the files do not fit together, and then has changed nothing.
        """
        self._recover(bootstrap)
        self.started_at = self.runtime.now()
        self.schedule_apply()
        self.reset_election_timer()
        if self.is_alone():
            self.campaign()

    def _recover(self, bootstrap: list[list[str]]) -> None:
        self.cluster = self.storage.journal.cluster
        hard = self.storage.hard_state.load()
        newest = self.storage.snapshots.newest()
        keeps = keeps_log((newest.index, newest.term) if newest else None, self.log)
        if newest is not None:
            self.snapshot = newest
            if not keeps:
                self.issue(self.log.reset(newest.index, newest.term))
            self.log.set_base(newest.index, newest.term)
            self.machine.swap(self.machine.load(self.storage.snapshots.body(newest), in_pieces=False))
            self.commit_index = self.last_applied = newest.index
        if hard is not None:
            self.term, self.voted_for = hard.term, hard.voted_for
        elif self.log.last_index or newest:
            raise Corrupt(f"there is a log but no term and vote. {WAY_OUT}")
        self.own_match = self.log.last_index
        self.rebuild_configurations()
        if not self.log.last_index and newest is None and any(one[0] == self.own.id for one in bootstrap):
            if self.term > 1:
                raise Corrupt(f"there is a term and vote but no log. {WAY_OUT}")
            self.is_fresh = hard is None
            self.set_term(1, None)
            self.append_entries([(pack_first(bootstrap), 1, 1)])
        self.commit_index = max(self.commit_index, min(self.storage.journal.commit_hint, self.log.last_index))

    def stop(self) -> None:
        """Take no more part; what is durable stays."""
        if self.stopped:
            return
        self.stopped = True  # first: whoever is told now may ask for more
        self.end_transfer(TransferFailed("this server stops"))
        self.end_waiting()
        self.end_restoration()
        self.end_reads()
        self.end_snapshotting()
        for timer in (self.election_timer, self.heartbeat_timer):
            if timer is not None:
                timer.cancel()

    # --- proposals

    def propose(self, payload: bytes, callback: Callback) -> None:
        """Commit one command; `callback(result, None)` when it is applied, `callback(None, error)` if not.

        `NotLeader`, `Overloaded` and `StorageFull`: surely not written. `OutcomeUnknown`: perhaps.
        """
        if not self.is_leader_role or self.stopped or self.is_handing_over:
            callback(None, NotLeader(self.leader_address))
        elif not self.storage.journal.writable:
            callback(None, StorageFull())
        elif len(self.queue) >= self.config.waiting_max:
            callback(None, Overloaded())
        else:
            self.queue.append((payload, callback))
            if not self._pump_scheduled:
                self._pump_scheduled = True
                self.runtime.call_soon(self._pump)

    def _pump(self) -> None:
        self._pump_scheduled = False
        self._propose_batch()

    def _propose_batch(self) -> None:
        """Pack what waits into one entry, unless two batches are on their way to the disk already."""
        if not self.is_leader_role or self._undurable_batches >= 2 or self.stopped:
            return
        if not self.storage.journal.writable:
            self.refuse_queue(StorageFull())
            return
        payloads: list[bytes] = []
        pairs = []
        size = 0
        while self.queue and size < self.config.batch_bytes:
            payload, callback = self.queue.popleft()
            payloads.append(payload)
            pairs.append((self.term, callback))
            size += len(payload)
        if not payloads:
            return
        index = self.log.last_index + 1
        self.waiting[index] = pairs
        self._undurable_batches += 1
        self.hold(self.append_entries([(pack_batch(payloads), index, self.term)]), lambda: None)
        self.replicate()

    def refuse_queue(self, error: Exception) -> None:
        """Proposals that are not in the log are surely not written."""
        while self.queue:
            tell(self.queue.popleft()[1], None, error)

    def after_durable(self) -> None:
        """The own disk may complete a majority; the next batch may go."""
        self._undurable_batches = len(self._unsynced)
        self.advance_commit()
        self._propose_batch()

    def after_apply(self) -> None:
        """Say that the leader is ready; let readers go on; think of a snapshot."""
        self.leadership_changed()
        self.wake_readers()
        self.continue_transfer()
        self.ask_for_digest()
        self.maybe_snapshot()

    # --- messages

    def receive(self, server_id: str, data: bytes) -> None:
        """A message of a peer; `BadMessage` means that its connection must go."""
        try:
            message = messages.decode(data)
            if isinstance(message, messages.Append):
                check_entries(message.entries)
        except messages.BadMessage as error:
            self.admission.refuse_bytes(server_id, str(error))
            raise
        if self.stopped or message.cluster != self.cluster or server_id == self.own.id:
            return
        try:
            self._handle(self.peer_of(server_id), message)
        except messages.BadMessage:
            raise  # the log is as it was; a term, a leader or a sign of life that the message gave stands
        except BaseException as error:  # noqa: BLE001 (a handler that stopped half way must not be continued)
            self.fatal(error)

    def _handle(self, node: Peer, message: Any) -> None:
        """Every answer has a term; a higher one ends a leadership. Polls name terms that nobody holds yet."""
        if reason := self.admission.reason_to_refuse(node.id, message):
            self.admission.refuse(node.id, message, reason)
            if (answer := answer_to_refused(message, self.term)) is not None:
                self.send_message(node, answer)
            return
        kind = type(message)
        names_no_term = kind is messages.VoteRequest or (
            kind is messages.VoteAnswer and message.poll and message.granted
        )
        if message.term > self.term and not names_no_term:
            self.step_down(message.term)
        _HANDLERS[kind](self, node, message)

    def peer_connected(self, server_id: str) -> None:
        """A connection to a peer stands: look where its log is."""
        self.linked.add(server_id)
        if progress := self.progress.get(server_id):
            if not progress.probing:
                progress.next = progress.match + 1
            progress.probing, progress.snapshot = True, None
            progress.commit_known = 0  # a process that started anew may have forgotten it
            progress.forget_inflight()
            self.send_entries(progress)

    def peer_disconnected(self, server_id: str) -> None:
        """A connection broke; that is no proof of death."""
        self.linked.discard(server_id)


_HANDLERS: dict[type[messages.Message], Callable[[Engine, Peer, Any], None]] = {
    messages.Append: Engine.on_append,
    messages.AppendAnswer: Engine.on_append_answer,
    messages.Heartbeat: Engine.on_heartbeat,
    messages.HeartbeatAnswer: Engine.on_heartbeat_answer,
    messages.VoteRequest: Engine.on_vote_request,
    messages.VoteAnswer: Engine.on_vote_answer,
    messages.SnapshotBegin: Engine.on_snapshot_begin,
    messages.SnapshotChunk: Engine.on_snapshot_chunk,
    messages.SnapshotAnswer: Engine.on_snapshot_answer,
    messages.TimeoutNow: Engine.on_timeout_now,
    messages.ReadRequest: Engine.on_read_request,
    messages.ReadAnswer: Engine.on_read_answer,
}
