"""The configuration: who is a member, as a stack of log entries (spec raft-engine §5).

A server is `[ID, address, name]` if it votes, `[ID, address, name, "learner"]` if it only listens. An entry holds the
whole list. It is in force from the moment it is in the log; cutting the log takes it back. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import msgpack

from yurt.server.raft.peer import Servers

LEARNER = "learner"
FIRST = b"C"  # the first entry of a cluster: the list alone, the same bytes on all its servers
CHANGE = b"M"  # a later one: the list and the index of the entry it replaces


@dataclass(frozen=True, slots=True)
class Placed:
    """A configuration and the index of the entry that brought it."""

    index: int
    servers: Servers


def pack_first(servers: Servers) -> bytes:
    """The entry a cluster begins with."""
    packed: bytes = msgpack.packb(servers)
    return FIRST + packed


def pack_change(servers: Servers, previous_index: int) -> bytes:
    """An entry that replaces the configuration of `previous_index`."""
    packed: bytes = msgpack.packb([previous_index, servers])
    return CHANGE + packed


def servers_in(payload: bytes) -> Servers | None:
    """The configuration that an entry brings, None if it brings none."""
    kind = payload[:1]
    if kind == FIRST:
        first: Servers = msgpack.unpackb(payload[1:])
        return first
    if kind == CHANGE:
        change: Servers = msgpack.unpackb(payload[1:])[1]
        return change
    return None


def cluster_id(configuration: Servers) -> bytes:
    """The ID of the cluster that begins with this configuration: 16 bytes that nobody has to agree on."""
    return hashlib.blake2b(msgpack.packb(configuration), digest_size=16).digest()


def voters_of(servers: Servers) -> frozenset[str]:
    """The IDs of those who vote."""
    return frozenset(server[0] for server in servers if len(server) == 3)


def differs_by_one(old: Servers, new: Servers) -> bool:
    """Whether any two majorities of the two have a server in common, by the one-change rule."""
    return len(voters_of(old) ^ voters_of(new)) <= 1


class Configurations:
    """The configurations of a snapshot and of the log after it, oldest first."""

    def __init__(self, base: Placed, entries: Iterable[tuple[bytes, int, int]] = ()) -> None:
        self._stack = [base]
        self.extend(entries)

    @property
    def latest(self) -> Placed:
        """The one in force."""
        return self._stack[-1]

    def extend(self, entries: Iterable[tuple[bytes, int, int]]) -> bool:
        """Take in what new entries bring; whether they bring something."""
        before = len(self._stack)
        for payload, index, _ in entries:
            if payload[:1] in (FIRST, CHANGE):
                servers = servers_in(payload)
                assert servers is not None and index > self.latest.index, "configurations follow each other"
                self._stack.append(Placed(index, servers))
        return len(self._stack) > before

    def cut(self, index: int) -> bool:
        """Take back what entries from `index` on brought; whether there was something."""
        before = len(self._stack)
        while len(self._stack) > 1 and self._stack[-1].index >= index:
            self._stack.pop()
        return len(self._stack) < before

    def at(self, index: int) -> Placed:
        """The one in force as of an entry."""
        for placed in reversed(self._stack):
            if placed.index <= index:
                return placed
        return self._stack[0]

    def members_since(self, index: int) -> frozenset[str]:
        """Return the IDs of the servers in the configuration as of an entry, or in any later one."""
        low = max((place for place, placed in enumerate(self._stack) if placed.index <= index), default=0)
        return frozenset(server[0] for placed in self._stack[low:] for server in placed.servers)

    def forget_before(self, index: int) -> None:
        """Keep what is in force as of `index`, and later ones."""
        while len(self._stack) > 1 and self._stack[1].index <= index:
            del self._stack[0]
