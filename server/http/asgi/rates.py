"""How often somebody may ask: a token bucket each, by client address and by ACL token; off unless configured."""

from __future__ import annotations

import math
from collections.abc import Callable

from yurt.fsm.errors import YurtError

KEYS_MAX = 10_000
EXEMPT = ("/v1/agent-rpc/", "/v1/agent/health")  # the RPCs of nodes (heartbeats) and health checks


class TooOften(YurtError):
    """Somebody asks more often than configured; nothing was done. `seconds` until the next request may come."""

    def __init__(self, who: str, seconds: int) -> None:
        super().__init__(f"too many requests from {who}; nothing was done, try again in {seconds} s")
        self.seconds = seconds


class Rates:
    """Buckets of `burst` requests that fill at `per_second`, one a key; `clock` gives seconds.

    A bucket is one number, the time at which it would be full again. Full ones are forgotten when there are many.
    """

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float]) -> None:
        self._cost = 1 / per_second
        self._room = self._cost * (burst or max(1, math.ceil(per_second)))
        self._clock = clock
        self._full_at: dict[str, float] = {}

    def take(self, key: str, who: str) -> None:
        """Take one request out of a bucket; raises `TooOften` if there is none in it."""
        now = self._clock()
        full_at = max(now, self._full_at.get(key, 0.0)) + self._cost
        if full_at - now > self._room + 1e-9:
            raise TooOften(who, max(1, math.ceil(full_at - now - self._room)))
        if key not in self._full_at and len(self._full_at) >= KEYS_MAX:
            self._forget(now)
        self._full_at[key] = full_at

    def _forget(self, now: float) -> None:
        self._full_at = {key: full_at for key, full_at in self._full_at.items() if full_at > now}
        if len(self._full_at) >= KEYS_MAX:  # the older half goes: memory is bounded whoever asks
            self._full_at = dict(list(self._full_at.items())[KEYS_MAX // 2 :])
