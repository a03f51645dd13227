"""Heartbeats: until when each node must be heard again (spec scheduling §18). A state machine of the leader.

Times are handed in, in seconds of a clock that never goes back.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field


@dataclass
class Heartbeats:
    """The deadlines of all nodes that are not down.

    `chance` answers a number in [0, 1). Durations are in seconds.
    """

    ttl_min: float = 10.0
    per_second_max: float = 50.0
    grace: float = 10.0
    failover_ttl: float = 300.0
    _deadlines: dict[str, float] = field(default_factory=dict)
    _heap: list[tuple[float, str]] = field(default_factory=list)
    _queued: dict[str, float] = field(default_factory=dict)  # each node's entry in the heap; others are out of date

    def beat(self, node_id: str, now: float, chance: float) -> float:
        """A node was heard; answers in how many seconds it should be heard again."""
        nodes = max(1, len(self._deadlines) + (node_id not in self._deadlines))
        ttl = max(self.ttl_min, nodes / self.per_second_max)
        ttl += ttl * chance
        self._set(node_id, now + ttl + self.grace)
        return ttl

    def expect(self, node_id: str, now: float) -> None:
        """This server leads only now: the node may not know yet whom to tell."""
        self._set(node_id, now + self.failover_ttl)

    def is_heard(self, node_id: str) -> bool:
        """Whether the node has a deadline."""
        return node_id in self._deadlines

    def _set(self, node_id: str, deadline: float) -> None:
        self._deadlines[node_id] = deadline
        if deadline < self._queued.get(node_id, math.inf):
            self._queue(node_id, deadline)

    def _queue(self, node_id: str, deadline: float) -> None:
        self._queued[node_id] = deadline
        heapq.heappush(self._heap, (deadline, node_id))

    def forget(self, node_id: str) -> None:
        """The node is down or gone."""
        self._deadlines.pop(node_id, None)

    def missed(self, now: float) -> list[str]:
        """The nodes whose deadline has passed; they are forgotten until they are heard again."""
        found = []
        while self._heap and self._heap[0][0] <= now:
            queued, node_id = heapq.heappop(self._heap)
            if self._queued.get(node_id) != queued:
                continue
            del self._queued[node_id]
            deadline = self._deadlines.get(node_id, math.inf)
            if deadline <= now:
                del self._deadlines[node_id]
                found.append(node_id)
            elif deadline < math.inf:
                self._queue(node_id, deadline)
        return found

    def next_deadline(self) -> float | None:
        """When to look again; None if there is nothing to wait for."""
        return self._heap[0][0] if self._heap else None

    def __len__(self) -> int:
        """How many nodes are heard."""
        return len(self._deadlines)
