"""The accepted connections of the peer port, bounded: an address and in all, with room for members.

Strangers (connections whose other side is no member) take each other's places: the newcomer is let in and the oldest
stranger goes, those from addresses without a member first. So no number of connections keeps a member out, and members
never go for a stranger.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection

PER_MEMBER_MAX = 4  # of the same member: an old connection may not have been seen to break yet


class Arrival:
    """One accepted connection; `close` ends it, whatever state it is in."""

    def __init__(self, address: str, close: Callable[[], None]) -> None:
        self.address, self.close = address, close
        self.member = ""  # server ID, once it is known to be one


class Arrivals:
    """The bookkeeping. `per_address` and `strangers_max` bound strangers; 0 is any number."""

    def __init__(self, *, per_address: int, strangers_max: int) -> None:
        self._per_address, self._strangers_max = per_address, strangers_max
        self._strangers: dict[Arrival, None] = {}  # oldest first
        self._by_address: Counter[str] = Counter()  # of strangers
        self._members: dict[str, list[Arrival]] = {}  # by server ID, oldest first
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._strangers) + sum(map(len, self._members.values()))

    @property
    def strangers(self) -> int:
        """How many connections are not a member's."""
        return len(self._strangers)

    def begin(self, arrival: Arrival, member_hosts: Collection[str]) -> None:
        """Take a connection in; close the stranger whose place it takes, if there is no other."""
        self._strangers[arrival] = None
        self._by_address[arrival.address] += 1
        if self._per_address and self._by_address[arrival.address] > self._per_address:
            self._evict(next(other for other in self._strangers if other.address == arrival.address))
        if self._strangers_max and len(self._strangers) > self._strangers_max:
            elsewhere = (other for other in self._strangers if other.address not in member_hosts)
            self._evict(next(elsewhere, next(iter(self._strangers))))

    def promote(self, arrival: Arrival, server_id: str) -> None:
        """Count a connection as a member's from now on; close that member's oldest one if there are too many."""
        if arrival not in self._strangers:
            return
        self._forget_stranger(arrival)
        arrival.member = server_id
        mine = self._members.setdefault(server_id, [])
        mine.append(arrival)
        if len(mine) > PER_MEMBER_MAX:
            self._evict(mine[0])

    def demote(self, members: Collection[str]) -> None:
        """Count connections of servers that are no members any more as strangers'."""
        for server_id in [server_id for server_id in self._members if server_id not in members]:
            for arrival in self._members.pop(server_id):
                arrival.member = ""
                self._strangers[arrival] = None
                self._by_address[arrival.address] += 1

    def end(self, arrival: Arrival) -> None:
        """Forget a connection; nothing happens if it is forgotten already."""
        if arrival in self._strangers:
            self._forget_stranger(arrival)
        elif arrival in (mine := self._members.get(arrival.member, [])):
            mine.remove(arrival)
            if not mine:
                del self._members[arrival.member]

    def _forget_stranger(self, arrival: Arrival) -> None:
        del self._strangers[arrival]
        self._by_address[arrival.address] -= 1
        if not self._by_address[arrival.address]:
            del self._by_address[arrival.address]

    def _evict(self, arrival: Arrival) -> None:
        self.evicted += 1
        self.end(arrival)
        arrival.close()
