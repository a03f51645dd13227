"""Consensus: all that the rest of a server knows of how its state is replicated.

Engines implement it (`server.raft.core`, `server.raft.engines`). It asks no more than each can honestly do: what one
of them lacks answers `NotOffered`, and what is a hint (who may vote, how long to wait) may be ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypedDict

from yurt.server.raft.peer import Peer, Servers

Callback = Callable[[Any, Exception | None], None]


class StateMachine(Protocol):
    """The state machine that the log is applied to (`yurt.fsm.machine.Machine`)."""

    def apply(self, payload: bytes) -> Any:
        """Apply one command; deterministic."""

    def capture(self) -> Any:
        """A state that `write` will write."""

    def digest(self, place: bytes) -> tuple[bytes, bytes]:
        """A digest of a slice of the state, and where the next slice begins."""

    def write(self, capture: Any) -> Iterator[bytes]:
        """The bytes of a snapshot."""

    def load(self, chunks: Iterator[bytes], *, in_pieces: bool = True) -> Any:
        """Return a snapshot's state for `swap`; `in_pieces`: on a thread of its own, which lets others go on."""

    def swap(self, loaded: Any) -> None:
        """Replace the state by what was loaded."""

    def swap_above(self, loaded: Any) -> Any:
        """The same as the work of a command: indexes go on; returns the command's result."""


class ServerRow(TypedDict):
    """A server of the configuration. `contact` (seconds ago) and `match` (log index) are None where unknown."""

    id: str
    address: str
    name: str
    leader: bool
    voter: bool
    contact: float | None
    match: int | None


@dataclass(frozen=True, slots=True)
class Status:
    """Where an engine is; indexes are those of its log."""

    term: int
    last_index: int
    commit_index: int
    applied_index: int
    configuration_index: int
    snapshot_index: int  # 0 without a snapshot
    snapshot_seconds: float  # since the newest was written; 0 without one
    is_writable: bool


class Consensus(Protocol):
    """One server's part in the cluster. Callbacks come in the event loop: `(result, None)` or `(None, error)`."""

    @property
    def name(self) -> str:
        """The name of this kind of engine in the configuration."""

    @property
    def own(self) -> Peer:
        """This server."""

    @property
    def cluster(self) -> bytes:
        """The cluster's ID."""

    @property
    def machine(self) -> StateMachine:
        """The state machine that the log is applied to."""

    @property
    def spool(self) -> str:
        """A directory for temporary files of the size of a snapshot; what is left in it the next start removes."""

    # --- life

    def start(self, bootstrap: Servers) -> None:
        """Recover from the files, or begin with `bootstrap`; then take part. Raises `Corrupt`, OSError."""

    def stop(self) -> None:
        """Take no more part; every callback that waits is called."""

    async def close(self, *, clean: bool) -> None:
        """End threads and files after `stop`; `clean`: leave a mark that all was written."""

    # --- work

    def propose(self, payload: bytes, callback: Callback) -> None:
        """Commit one command and give its result, on the leader.

        `NotLeader`, `Overloaded` and `StorageFull`: surely not written. `OutcomeUnknown`: perhaps.
        """

    def read(self, callback: Callback, *, quorum: bool = False) -> None:
        """Call back when this server's state has all that was acknowledged; `NotLeader` if nobody could be asked."""

    @property
    def may_read(self) -> bool:
        """Whether the state has all that was acknowledged, without asking anybody."""

    def restore_state(self, pieces: Sequence[bytes], callback: Callback) -> None:
        """Replace the state on every server by a compressed snapshot in pieces; may be `NotOffered`."""

    # --- who leads

    @property
    def is_ready(self) -> bool:
        """Whether this server leads and has applied an entry of its own term."""

    @property
    def is_leader_role(self) -> bool:
        """Whether it leads, perhaps without knowing yet that it no longer does."""

    @property
    def leader(self) -> Peer | None:
        """The server that leads, as far as is known."""

    @property
    def leader_address(self) -> str | None:
        """The leader's peer address."""

    def last_contact_seconds(self) -> float:
        """Since a leader was heard; 0 on the leader."""

    def on_leadership(self, callback: Callable[[bool], None]) -> None:
        """Call back with True when this server leads and is ready, with False when no more."""

    def when_led(self, callback: Callback) -> None:
        """`callback(None, None)` as soon as there is a leader to ask."""

    def when_leader_changes(self, callback: Callback) -> None:
        """`callback(None, None)` as soon as another server than the one known last leads."""

    def transfer(self, target: str | None, callback: Callback) -> None:
        """Hand the leadership to a server (None: to the furthest); gives its ID, or `TransferFailed`."""

    # --- members

    @property
    def configuration(self) -> Servers:
        """The servers in force: ID, address, name, and `learner` for one that does not vote."""

    @property
    def began_empty(self) -> bool:
        """Whether this server started with neither a log nor a snapshot, and has none yet."""

    def on_configuration(self, callback: Callable[[Servers], None]) -> None:
        """Call back with each new configuration."""

    def add_server(self, server_id: str, address: str, name: str, callback: Callback) -> None:
        """Add a server; `ChangeRefused`, `NotLeader`, `OutcomeUnknown`."""

    def remove_server(self, server_id: str, callback: Callback) -> None:
        """Take a server out; the same errors."""

    def vote_if(self, may_vote: Callable[[str], bool]) -> None:
        """A hint: a learner that has caught up votes only if this says so of its ID."""

    def stabilize(self, seconds: float) -> None:
        """A hint: a learner listens for so long before it votes."""

    def heard_timings(self, seconds: Mapping[str, float]) -> None:
        """A hint: by server ID, the shortest time after which it stands for election; replaces the one before."""

    # --- looking at it

    @property
    def term(self) -> int:
        """The newest term that is known."""

    def status(self) -> Status:
        """Its numbers."""

    def servers(self) -> list[ServerRow]:
        """Every server of the configuration."""

    def stats(self) -> dict[str, str]:
        """Counters as texts, under the names that operators know."""

    def observe(self, applied: Callable[[float], None], snapshot: Callable[[], None]) -> None:
        """Tell how many seconds each command took, and when a snapshot was written."""
