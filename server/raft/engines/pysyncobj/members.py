"""The members of a cluster whose library has addresses of its own, kept in a file beside its log."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import orjson

from yurt.server.raft.peer import Peer, Servers


@dataclass
class Member:
    """A server; `library` is where its library listens, empty until it is known."""

    peer: Peer
    library: str


class Members:
    """The members by ID. A restart needs their addresses before any of them answers, so they are kept in `file`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._by_id: dict[str, Member] = {}

    def begin(self, servers: Servers, own: Peer, library: str) -> None:
        """Take the first configuration, then what the file knows better, then this server's own address.

        A server that is in neither is no member yet.
        """
        for server_id, address, name, *_ in servers:
            self._by_id[server_id] = Member(Peer(server_id, address, name), "")
        if self._file.exists():
            self.take(orjson.loads(self._file.read_bytes()))
        if known := self._by_id.get(own.id):
            known.library = library

    def take(self, rows: Iterable[list[str]]) -> None:
        """Add or replace members: ID, peer address, name, the library's address; without one it goes."""
        for server_id, address, name, library in rows:
            if library:
                self._by_id[server_id] = Member(Peer(server_id, address, name), library)
            else:
                self._by_id.pop(server_id, None)

    def unknown(self) -> list[str]:
        """The IDs of those whose library's address is not known."""
        return [server_id for server_id, member in self._by_id.items() if not member.library]

    def learn(self, rows: Iterable[list[str]]) -> None:
        """Take the addresses that are missing from what another server knows."""
        for server_id, _, _, library in rows:
            member = self._by_id.get(server_id)
            if member is not None and not member.library:
                member.library = library

    def rows(self) -> list[list[str]]:
        """The members as `take` takes them."""
        return [[one.peer.id, one.peer.address, one.peer.name, one.library] for one in self._by_id.values()]

    def save(self) -> None:
        """Write the file anew; raises OSError."""
        temporary = self._file.with_suffix(".tmp")
        temporary.write_bytes(orjson.dumps(self.rows()))
        temporary.replace(self._file)

    @property
    def configuration(self) -> Servers:
        """ID, peer address and name of each: all vote."""
        return [row[:3] for row in self.rows()]

    def get(self, server_id: str) -> Member | None:
        """One of them."""
        return self._by_id.get(server_id)

    def at(self, library: str) -> Member | None:
        """The one whose library listens there."""
        return next((member for member in self._by_id.values() if member.library == library), None)

    def all(self) -> list[Member]:
        """All of them."""
        return list(self._by_id.values())
