"""Servers that come and go: what a member keeps of them, and what it answers to those that want to be let in."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from yurt.server.cluster.join import Joining
from yurt.server.raft.errors import NotSent
from yurt.server.raft.transport.callers import Asker, Caller
from yurt.server.raft.transport.handshake import Hello


def servers(*names: str) -> list[list[str]]:
    """A configuration."""
    return [[name, f"{name}:1", name] for name in names]


class Links:
    """A transport that only knows who greeted."""

    def __init__(self) -> None:
        self.hellos: dict[str, Hello] = {}

    def dial(self, address: str) -> None:
        """Nobody is dialled."""

    undial = dial_back = dial

    def serve_asker(self, method: str, handler: Any) -> None:
        """Keep the handler."""
        self.asked = handler


class Place:
    """A server with two members besides it, and its joining."""

    def __init__(self) -> None:
        self.transport, self.timings = Links(), dict[str, float]()
        self.engine = SimpleNamespace(
            cluster=b"1", configuration=servers("a", "b", "c"), is_ready=False, leader=None,
            heard_timings=self._heard, on_configuration=self._told,
        )  # fmt: skip
        server: Any = SimpleNamespace(engine=self.engine, transport=self.transport)
        self.joining = Joining(server, Hello(server_id="a"), [])

    def _heard(self, seconds: dict[str, float]) -> None:
        self.timings = seconds

    def _told(self, callback: Any) -> None:
        self._configured = callback

    def configure(self, *members: str) -> None:
        """Put a configuration into force."""
        self.engine.configuration = servers(*members)
        self._configured(self.engine.configuration)

    def greet(self, server_id: str, seconds: float) -> None:
        """A server says hello."""
        self.transport.hellos[server_id] = hello = Hello(server_id=server_id, cluster=b"1", election_seconds=seconds)
        self.joining._greeted(hello)


def test_election_times_are_kept_of_members_alone() -> None:
    place = Place()
    for number in range(1000):
        place.greet(f"stranger-{number}", 0.1)
    place.greet("b", 0.7)
    place.greet("c", 0.0)  # of a version that does not say it
    assert place.timings == {"b": 0.7}
    place.greet("d", 0.9)
    assert place.timings == {"b": 0.7}
    place.configure("a", "b", "d")
    assert place.timings == {"b": 0.7, "d": 0.9}, "who greeted before it was a member counts"
    place.configure("a", "d")
    assert place.timings == {"d": 0.9}


@pytest.mark.parametrize(
    "question",
    [
        b"",
        b"\xc1",
        msgspec.msgpack.encode(("d", "d:1")),
        msgspec.msgpack.encode(("d", "d", "d", False)),
        msgspec.msgpack.encode(("d", "d:70000", "d", False)),
        b"\x94\xa1\xff\xa3d:1\xa1d\xc2",
    ],
    ids=["nothing", "no msgpack", "half", "no port", "a port beyond all", "no text"],
)
def test_a_question_to_join_that_cannot_be_read_is_answered(question: bytes) -> None:
    place = Place()
    asker = Asker(Caller.MEMBER, "b", "b:1")
    with pytest.raises(NotSent, match="no question to join"):
        asyncio.run(place.transport.asked(question, asker))
