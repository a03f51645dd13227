"""The interface of the server that its parts use (`server/server.py`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Protocol

from yurt.fsm.commands import Command
from yurt.fsm.events import EventRing
from yurt.fsm.machine import Machine
from yurt.fsm.store.view import View
from yurt.server.config.agent import AgentConfig
from yurt.server.keyring.survey import KeySurvey
from yurt.server.platform.supervision import Supervisor
from yurt.server.platform.turns import Turns
from yurt.server.raft.consensus import Consensus
from yurt.server.raft.transport.transport import PeerTransport
from yurt.server.telemetry.metrics import Metrics
from yurt.server.telemetry.tracing import Tracing


class Host(Protocol):
    """A server, as its parts know it."""

    config: AgentConfig
    machine: Machine
    engine: Consensus
    transport: PeerTransport
    metrics: Metrics
    supervisor: Supervisor
    turns: Turns
    events: EventRing
    versions_kept: int  # of each job
    force_collection: Callable[[], Awaitable[None]]
    tracing: Tracing | None

    @property
    def key_survey(self) -> KeySurvey:
        """Which server lacks which root keys, or room for its log."""

    # --- time, names, chance

    def now_ns(self) -> int:
        """The wall clock, nanoseconds since 1970."""

    def new_id(self) -> str:
        """A fresh UUID."""

    def in_turns(self, begin: Callable[[], Iterator[None]]) -> None:
        """Do long work in turns of the loop; work that breaks is begun anew."""

    # --- the state

    def view(self) -> View:
        """The newest state of this server."""

    async def propose(self, command: Command) -> Any:
        """Commit a command and return its result; raises what `Server.propose` raises."""

    async def read_ready(self, *, quorum: bool = False) -> None:
        """Wait until a read of this server's state sees every acknowledged write; raises NotLeader."""

    def version_known_by_all(self) -> int:
        """The newest version of the log's vocabulary that every server of the configuration has said to know."""

    async def restore_state(self, pieces: Sequence[bytes]) -> None:
        """Replace the state on every server."""

    def save_events(self) -> None:
        """Write the newest events beside the newest snapshot."""

    # --- the cluster

    @property
    def is_ready(self) -> bool:
        """Whether this server leads and has applied an entry of its own term."""

    async def leader_known(self, seconds: float) -> None:
        """Wait until there is a leader to ask, or the time is up."""

    async def transfer(self, target: str | None) -> str:
        """Give the leadership to a server; its ID."""

    async def add_server(self, server_id: str, address: str, name: str) -> None:
        """Add a server as a learner that will vote."""

    async def remove_server(self, server_id: str) -> None:
        """Take a server out."""
