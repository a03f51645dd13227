"""Keys that statements are checked with: fetched by need, shared, paced, and not believed for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.server.client.test_runners import asynchronous
from yurt.server.acl.statements import BadStatement
from yurt.server.client.gate import FETCH_SECONDS, KEYS_SECONDS, SigningKeys
from yurt.server.client.http import Unreachable

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
SHOWN = {**orjson.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY)), "use": "sig", "alg": "RS256"}


class Servers:
    """Servers that show keys, on a clock of their own; `before` is awaited by each fetch."""

    def __init__(self, *names: str) -> None:
        self.names = list(names)
        self.now = 0.0
        self.fetched: list[float] = []
        self.before: Callable[[], Awaitable[Any]] = self._nothing
        self.keys = SigningKeys(self._fetch, clock=lambda: self.now, sleep=self._sleep)

    async def _nothing(self) -> None:
        """The answer comes at once."""

    async def _fetch(self) -> bytes:
        self.fetched.append(self.now)
        names = list(self.names)
        await self.before()
        return orjson.dumps({"keys": [{**SHOWN, "kid": name} for name in names]})

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.now += seconds


async def refused(servers: Servers, key_id: str) -> str:
    with pytest.raises(BadStatement) as caught:
        await servers.keys.get(key_id)
    return str(caught.value)


@asynchronous
async def test_s13_statements_that_come_at_once_share_one_fetch() -> None:
    servers = Servers("a", "b")
    found = await asyncio.gather(*(servers.keys.get(name) for name in "aabb"))
    assert [key.public_numbers() for key in found] == [KEY.public_numbers()] * 4 and servers.fetched == [0.0]


@asynchronous
async def test_s13_a_fetch_that_fails_is_the_failure_of_all_who_wait_and_of_nobody_later() -> None:
    servers = Servers("a")

    async def fail() -> None:
        raise Unreachable("no server")

    servers.before = fail
    texts = await asyncio.gather(*(refused(servers, "a") for _ in range(3)))
    assert all("could not be read: no server" in text for text in texts) and servers.fetched == [0.0]
    servers.before = servers._nothing
    servers.now = 0.25
    assert await servers.keys.get("a") and servers.fetched == [0.0, FETCH_SECONDS]


@asynchronous
async def test_s13_who_gives_up_takes_nobody_along() -> None:
    servers, fetching = Servers("a"), asyncio.Event()

    async def hang() -> None:
        fetching.set()
        await asyncio.Event().wait()

    servers.before = hang
    impatient = asyncio.ensure_future(servers.keys.get("a"))
    await fetching.wait()
    patient = asyncio.ensure_future(servers.keys.get("a"))
    await asyncio.sleep(0)
    servers.before = servers._nothing
    impatient.cancel()
    assert await patient and len(servers.fetched) == 2


@asynchronous
async def test_s13_unknown_keys_are_asked_for_once_a_second_and_hold_up_nobody_else() -> None:
    servers, go_on = Servers("a"), asyncio.Event()
    await servers.keys.get("a")
    servers.now, servers.before = 0.1, go_on.wait
    strangers = [asyncio.ensure_future(refused(servers, f"stranger {number}")) for number in range(100)]
    while len(servers.fetched) < 2:
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        assert await servers.keys.get("a")
    servers.now += 0.1
    servers.names.append("b")  # too late for the fetch under way
    rotated = asyncio.ensure_future(servers.keys.get("b"))
    await asyncio.sleep(0)
    servers.now += 0.5
    go_on.set()
    assert all("do not show" in text for text in await asyncio.gather(*strangers))
    assert await rotated, "a key that is new is found by the next fetch"
    assert servers.fetched == [0.0, FETCH_SECONDS, 2 * FETCH_SECONDS]


@asynchronous
async def test_s13_a_key_that_the_servers_removed_is_refused_some_minutes_later() -> None:
    servers = Servers("a", "b")
    await servers.keys.get("a")
    servers.names.remove("a")
    servers.now = KEYS_SECONDS
    assert "do not show" in await refused(servers, "a")
    assert await servers.keys.get("b") and len(servers.fetched) == 2
    assert KEYS_SECONDS <= 600
