"""The members of a cluster whose library has addresses of its own, kept in a file beside its log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from yurt.server.platform.address import join_address, split_address
from yurt.server.platform.atomic_file import write_whole
from yurt.server.raft.errors import ChangeRefused, Corrupt
from yurt.server.raft.peer import Peer, Servers

Row = tuple[str, str, str, str]  # ID, peer address, name, the library's address: empty until it is known
WAY_OUT = (
    "Nothing was changed. Keep a copy of the data directory, take this server out on another one "
    "(`yurt operator raft remove-peer`), and let it come back with an empty directory"
)


@dataclass
class Member:
    """A server; `library` is where its library listens, empty until it is known."""

    peer: Peer
    library: str


def decode(packed: bytes) -> list[Row]:
    """Return what another server knows, itself first; raises `ChangeRefused` for what no server says."""
    try:
        rows = msgspec.msgpack.decode(packed, type=list[Row])
        _check(rows)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
        raise ChangeRefused(f"a server's answer about its pysyncobj cannot be used: {error}") from None
    return rows


def _check(rows: list[Row]) -> None:
    """Raise ValueError unless every address can be dialled."""
    if not rows:
        raise ValueError("it names no server")
    for server_id, address, _, library in rows:
        if not server_id:
            raise ValueError("a server has no ID")
        split_address(address)
        if library:
            host, port = split_address(library)
            if not host or ":" in host or not port or library != join_address(host, port):
                raise ValueError(f'the library cannot dial "{library}"')


class Members:
    """The members by ID. A restart needs their addresses before any of them answers, so they are kept in `file`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._own_id = self._own_library = ""
        self._by_id: dict[str, Member] = {}

    def begin(self, servers: Servers, own: Peer, library: str) -> None:
        """Take what the file holds, without one the first configuration; this server listens at `library`.

        A server that is in neither is no member yet. Raises `Corrupt`, OSError.
        """
        self._own_id, self._own_library = own.id, library
        if self._file.exists():
            self.replace(self._read())
        else:
            self.replace((server_id, address, name, "") for server_id, address, name, *_ in servers)

    def _read(self) -> list[Row]:
        try:
            rows = msgspec.json.decode(self._file.read_bytes(), type=list[Row])
            _check(rows)
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
            raise Corrupt(f"{self._file} is damaged: {error}. {WAY_OUT}") from None
        return rows

    def replace(self, rows: Iterable[Row]) -> None:
        """Let these be the members; what this server itself has said of its library counts more."""
        self._by_id = {
            server_id: Member(Peer(server_id, address, name), library) for server_id, address, name, library in rows
        }
        if own := self._by_id.get(self._own_id):
            own.library = self._own_library

    def take(self, row: Row) -> None:
        """Add or replace a member; without an address of its library it goes."""
        server_id, address, name, library = row
        if library:
            self._by_id[server_id] = Member(Peer(server_id, address, name), library)
        else:
            self._by_id.pop(server_id, None)

    def unknown(self) -> list[str]:
        """The IDs of those whose library's address is not known."""
        return [server_id for server_id, member in self._by_id.items() if not member.library]

    def learn(self, rows: list[Row]) -> None:
        """Take what another server knows: all if it knows every address, else the addresses that are missing here."""
        if all(library for *_, library in rows):
            self.replace(rows)
            return
        for server_id, _, _, library in rows:
            member = self._by_id.get(server_id)
            if member is not None and not member.library:
                member.library = library

    def twice(self) -> list[str]:
        """The libraries' addresses that more than one of them has."""
        counted = Counter(member.library for member in self._by_id.values() if member.library)
        return [library for library, count in counted.items() if count > 1]

    def rows(self) -> list[Row]:
        """The members as `replace` takes them."""
        members = self._by_id.values()
        return [(member.peer.id, member.peer.address, member.peer.name, member.library) for member in members]

    def save(self) -> None:
        """Write the file anew; raises OSError."""
        write_whole(self._file, msgspec.json.encode(self.rows()))

    @property
    def configuration(self) -> Servers:
        """ID, peer address and name of each: all vote."""
        return [list(row[:3]) for row in self.rows()]

    def get(self, server_id: str) -> Member | None:
        """One of them."""
        return self._by_id.get(server_id)

    def at(self, library: str) -> Member | None:
        """The one whose library listens there."""
        return next((member for member in self._by_id.values() if member.library == library), None)

    def all(self) -> list[Member]:
        """All of them."""
        return list(self._by_id.values())
