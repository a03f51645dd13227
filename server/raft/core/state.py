"""The state, the disk operations and the sending that the engine's parts share."""

from __future__ import annotations

import itertools
import logging
import random
from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, cast

from yurt.server.raft.consensus import Callback, StateMachine
from yurt.server.raft.core import messages
from yurt.server.raft.core.configuration import Configurations, Placed, voters_of
from yurt.server.raft.peer import Peer, Servers
from yurt.server.raft.runtime import Runtime, Timer
from yurt.server.raft.storage.hard_state import HardState, HardStateFile
from yurt.server.raft.storage.journal import Journal, Operation
from yurt.server.raft.storage.snapshots import Snapshot, SnapshotStore

log = logging.getLogger("raft")

FOLLOWER, CANDIDATE, LEADER = 0, 1, 2
HEARTBEAT_SECONDS = 0.075
ELECTION_SECONDS = 0.5
ROOM_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Times (seconds, before `multiplier`) and sizes of the engine."""

    multiplier: float = 1.0
    snapshot_entries: int = 8192
    snapshot_bytes: int = 64 << 20
    snapshot_interval: float = 0.0  # seconds between two looks at whether one is due; 0: after every entry
    snapshot_chunk: int = 128 << 10
    snapshot_window: int = 1 << 20
    trailing_entries: int = 10_240
    batch_bytes: int = 1 << 20
    message_bytes: int = 2 << 20
    waiting_max: int = 4096
    inflight_max: int = 64
    digest_commands: int = 2000

    @property
    def heartbeat(self) -> float:
        """Between two heartbeats."""
        return HEARTBEAT_SECONDS * self.multiplier

    @property
    def election(self) -> float:
        """The shortest time without a leader before a server stands for election."""
        return ELECTION_SECONDS * self.multiplier


def _is_of_the_log(operation: Operation | HardState) -> bool:
    return isinstance(operation, Operation)


@dataclass
class Storage:
    """The files of one server's Raft."""

    journal: Journal
    hard_state: HardStateFile
    snapshots: SnapshotStore


@dataclass(frozen=True, slots=True)
class Flight:
    """An append on its way: when it was sent, and what a follower that takes it has committed then."""

    at: float
    commit: int


@dataclass
class Progress:
    """The leader's record of one follower."""

    peer: Peer
    next: int
    first: int  # sequence numbers before it belong to an earlier membership: answers to them say nothing
    match: int = 0
    probing: bool = True
    basis: float = float("-inf")  # when the newest message that it answered in this term was created: leases
    inflight: dict[int, Flight] = field(default_factory=dict)  # by sequence
    contact: float = float("-inf")  # the same, but begins with the leadership: check-quorum
    heartbeats: dict[int, float] = field(default_factory=dict)
    snapshot: Snapshot | None = None
    commit_known: int = 0  # an answer has shown that the follower has committed up to here
    commit_sent: int = 0  # commit_known, or what is in flight if that is more: nothing else counts as told
    leaving: int = 0  # index of the configuration that removes it; it is fed until it knows
    leaving_until: float = 0.0
    round_target: int = 0  # a learner's catch-up round: up to where, since when
    round_began: float = 0.0
    began: float = 0.0  # when it was first followed

    def answered(self, sequence: int, matched: int | None) -> bool:
        """Take an append as answered; with `matched` the follower has committed what it told, up to there."""
        flight = self.inflight.pop(sequence, None)
        if flight is not None and matched is not None:
            self.commit_known = max(self.commit_known, min(flight.commit, matched))
        return flight is not None

    def forget_inflight(self) -> None:
        """Count what is in flight as lost: the commit index that it tells too."""
        self.inflight.clear()
        self.commit_sent = self.commit_known

    def heard(self, created: float) -> None:
        """It answered something that was created then."""
        self.contact, self.basis = max(self.contact, created), max(self.basis, created)


@dataclass
class Held:
    """A message that may leave only when an operation is durable, if the term is still the same."""

    lsn: int
    term: int
    send: Callable[[], None]


class EngineState:
    """State and the few steps every part needs."""

    def __init__(
        self,
        own: Peer,
        *,
        config: EngineConfig,
        machine: StateMachine,
        storage: Storage,
        runtime: Runtime,
        chance: random.Random,
        send: Callable[[str, bytes], None],
        fatal: Callable[[BaseException], None],
        loading: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.own, self._send = own, send
        self.config, self.machine, self.storage = config, machine, storage
        self.runtime, self.chance, self.fatal = runtime, chance, fatal
        self.loading = loading  # entered by the thread that loads a state
        self.cluster = b""
        self.configurations = Configurations(Placed(0, []))
        self.member_ids = self.voters = frozenset[str]()  # of the configuration in force
        self.peers: dict[str, Peer] = {}
        self.others: list[Peer] = []  # the other voters, in the order of their IDs
        self.linked: set[str] = set()
        self.timings: dict[str, float] = {}  # shortest election times that members told, seconds
        self.log = storage.journal
        self.sequence = 0
        self.role = FOLLOWER
        self.term = 0
        self.voted_for: str | None = None
        self.leader: Peer | None = None
        self.commit_index = self.last_applied = 0
        self.votes: set[str] = set()
        self.queue: deque[tuple[bytes, Callback]] = deque()  # proposals that are in no entry yet
        self.waiting: dict[int, list[tuple[int, Callback]]] = {}  # of entries: the term proposed in, whom to tell
        self.progress: dict[str, Progress] = {}
        self.own_match = 0
        self.term_start = 0  # index of the leader's first entry of its term
        self.leader_contact = float("-inf")
        self.started_at = 0.0
        self.election_timer: Timer | None = None
        self.heartbeat_timer: Timer | None = None
        self.snapshot = Snapshot(0, 0, [])
        self.snapshotting = False
        self.log_bytes = 0
        self.stopped = False
        self._operations: list[Operation | HardState] = []
        self._issued_lsn = self._durable_lsn = 0
        self._disk_busy = False
        self._unsynced: deque[tuple[int, int]] = deque()  # (LSN of an append, last index it made)
        self._held: deque[Held] = deque()

    # --- disk operations

    def issue(self, operation: Operation | HardState) -> int:
        """Hand an operation to the disk thread; its LSN says later when it is durable."""
        self._issued_lsn += 1
        self._operations.append(operation)
        if not self._disk_busy:
            self._disk_busy = True
            self.runtime.call_soon(self._start_disk)
        return self._issued_lsn

    def _start_disk(self) -> None:
        if self.stopped:
            return
        operations, self._operations = self._operations, []
        lsn = self._issued_lsn - len(operations)

        def done(count: Any, error: BaseException | None) -> None:
            if error is not None:
                self.fatal(error)
                return
            self._operations = operations[count:] + self._operations
            self._disk_busy = bool(self._operations)
            if count < len(operations):
                self.runtime.call_later(ROOM_SECONDS, self._start_disk)  # there is no room now; nothing is lost
            elif self._operations:
                self._start_disk()
            self._became_durable(lsn + count)

        self.runtime.run_disk(lambda: self._perform(operations), done)

    def _perform(self, operations: list[Operation | HardState]) -> int:
        """On the disk thread: runs of log operations with one sync, hard states in between; how many were done."""
        count = 0
        while count < len(operations):
            run = cast(list[Operation], list(itertools.takewhile(_is_of_the_log, operations[count:])))
            done = self.storage.journal.perform(run) if run else 0
            count += done
            if done < len(run):
                break
            if count < len(operations):
                state = operations[count]
                assert isinstance(state, HardState)
                self.storage.hard_state.save(state)
                count += 1
        return count

    def _became_durable(self, lsn: int) -> None:
        if self.stopped:
            return
        self._durable_lsn = lsn
        while self._unsynced and self._unsynced[0][0] <= lsn:
            self.own_match = max(self.own_match, self._unsynced.popleft()[1])
        while self._held and self._held[0].lsn <= lsn:
            held = self._held.popleft()
            if held.term == self.term:
                held.send()
        self.after_durable()

    def hold(self, lsn: int, send: Callable[[], None]) -> None:
        """Send when the operation is durable, unless the term has changed by then."""
        if lsn <= self._durable_lsn:
            send()
        else:
            self._held.append(Held(lsn, self.term, send))

    def append_entries(self, entries: list[tuple[bytes, int, int]]) -> int:
        """Add entries to the log and hand them to the disk."""
        lsn = self.issue(self.log.append(entries, self.commit_index))
        self._unsynced.append((lsn, entries[-1][1]))
        self.log_bytes += sum(len(entry[0]) for entry in entries)
        if self.configurations.extend(entries):
            self.configuration_changed()
        return lsn

    def cut_entries(self, index: int) -> None:
        """Remove the entries from `index` on; what of them was synced no longer counts."""
        assert index > self.commit_index, "a committed entry is never cut"
        self.issue(self.log.cut(index))
        self.own_match = min(self.own_match, index - 1)
        self._unsynced = deque((lsn, min(last, index - 1)) for lsn, last in self._unsynced)
        self._held.clear()
        if self.configurations.cut(index):
            self.configuration_changed()

    # --- the configuration

    @property
    def configuration(self) -> Servers:
        """The servers in force: ID, address, name, and `learner` if it does not vote."""
        return self.configurations.latest.servers

    def rebuild_configurations(self) -> None:
        """From the snapshot and the whole log: never from what a file said at the beginning."""
        base = Placed(self.snapshot.configuration_index, [list(one) for one in self.snapshot.configuration])
        low = max(self.log.first_index, self.snapshot.index + 1)
        entries = (self.log.at(index) for index in range(low, self.log.last_index + 1))
        self.configurations = Configurations(base, entries)
        self.configuration_changed()

    def configuration_changed(self) -> None:
        """Another configuration is in force: who votes, who is a peer."""
        self.voters = voters_of(self.configuration)
        self.member_ids = frozenset(server_id for server_id, *_ in self.configuration)
        self.peers = {row[0]: Peer(*row[:3]) for row in self.configuration if row[0] != self.own.id}
        self.others = sorted(peer for server, peer in self.peers.items() if server in self.voters)

    @property
    def is_voter(self) -> bool:
        """Whether this server votes."""
        return self.own.id in self.voters

    def knows(self, server_id: str) -> bool:
        """Whether a server is in the configuration in force, the last committed one, or one between them."""
        return server_id in self.peers or server_id in self.configurations.members_since(self.commit_index)

    @property
    def is_member(self) -> bool:
        """Whether this server is in one of them."""
        return self.knows(self.own.id)

    @property
    def is_empty(self) -> bool:
        """Whether this server has neither a log nor a snapshot."""
        return not self.log.last_index and not self.snapshot.index

    # --- terms and roles

    def set_term(self, term: int, voted_for: str | None) -> int:
        """Take a term and a vote; the LSN says when they are durable."""
        assert term >= self.term, "a term never goes back"
        self.term, self.voted_for = term, voted_for
        return self.issue(HardState(term, voted_for))

    def next_sequence(self) -> int:
        """A number that no other message of this term and process has."""
        self.sequence += 1
        return self.sequence

    def send_message(self, peer: Peer, message: messages.Message) -> None:
        """Hand a message to the connections; a lost one is repaired by the protocol."""
        self._send(peer.id, messages.encode(message))

    def quorum(self) -> int:
        """A majority of the voters."""
        return len(self.voters) // 2 + 1

    @property
    def is_leader_role(self) -> bool:
        """Whether the server leads (perhaps without knowing yet that it no longer does)."""
        return self.role == LEADER

    def last_term(self) -> int:
        """The term of the last entry."""
        return int(self.log.term_at(self.log.last_index) or 0)

    @property
    def log_end(self) -> tuple[int, int]:
        """The term and the index of the last entry: the greater, the newer is a log."""
        return self.last_term(), self.log.last_index

    @abstractmethod
    def after_durable(self) -> None:
        """Something became durable."""

    @abstractmethod
    def step_down(self, term: int, leader: Peer | None = None) -> None:
        """Become a follower of a term."""

    @abstractmethod
    def schedule_apply(self) -> None:
        """Apply what is committed."""

    def become_follower_role(self) -> None:
        """The role alone."""
        self.role = FOLLOWER
