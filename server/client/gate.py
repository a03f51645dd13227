"""The authorization of requests to this node: by asking the servers, or by a statement that they signed.

Spec acl §1, node-agent §16."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from yurt.fsm.errors import Refusal, YurtError
from yurt.server.acl.statements import BadStatement
from yurt.server.client.http import Unreachable
from yurt.server.client.servers import Asked, Refused

REMEMBERED_SECONDS, FETCH_SECONDS, KEYS_SECONDS = 30.0, 1.0, 300.0
REMEMBERED_MAX = 4096
Ask = Callable[[Asked], Awaitable[bool]]


class SigningKeys:
    """The servers' public keys: fetched when one is not known, at most once a second, and again after some minutes.

    Callers that need a fetch share the next one that begins; a known key is returned without waiting.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[bytes]],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._fetch, self._clock, self._sleep = fetch, clock, sleep
        self._known: dict[str, rsa.RSAPublicKey] = {}
        self._shown = self._tried = self._again = -math.inf
        # when the newest fetch began that succeeded, that ended; when the next may begin
        self._failure = ""  # of the newest fetch that ended
        self._fetching = asyncio.Lock()

    async def get(self, key_id: str) -> rsa.RSAPublicKey:
        """Return a key by its ID; raises `BadStatement` for one that the servers do not show."""
        asked = self._clock()
        if key_id not in self._known or asked - self._shown >= KEYS_SECONDS:
            async with self._fetching:
                if self._tried < asked:
                    await self._renew()
            if self._failure:
                raise BadStatement(f"the servers' keys could not be read: {self._failure}")
        if key_id not in self._known:
            raise BadStatement("the statement is signed with a key that the servers do not show")
        return self._known[key_id]

    async def _renew(self) -> None:
        """Fetch the keys, a second after the fetch before at the earliest."""
        if (pause := self._again - self._clock()) > 0:
            await self._sleep(pause)
        begun = self._clock()
        self._again = begun + FETCH_SECONDS
        try:
            keys = jwt.PyJWKSet.from_json((await self._fetch()).decode()).keys
        except (YurtError, TimeoutError, jwt.PyJWTError, ValueError) as error:
            self._failure = str(error) or type(error).__name__
        else:
            self._known = {str(jwk.key_id): jwk.key for jwk in keys if isinstance(jwk.key, rsa.RSAPublicKey)}
            self._shown, self._failure = begun, ""
        self._tried = begun


class Gate:
    """Asks a server, and remembers what was allowed for half a minute; refusals are not remembered.

    While no server can be reached nobody new gets in, unless access control was off when one was asked last.
    `asks_always`: this agent's own configuration says that access control is on.
    """

    def __init__(self, ask: Ask, *, asks_always: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._ask, self._clock, self._is_on = ask, clock, asks_always
        self._allowed: dict[Asked, float] = {}

    async def check(self, secret: str, kind: str, any_of: tuple[str, ...], namespace: str) -> None:
        """Go on if it is allowed; raises Refusal: 403 as the servers say, 500 if none could be asked."""
        asked = Asked(secret, kind, any_of, namespace)
        if kind == "nothing" or self._allowed.get(asked, 0.0) > self._clock():
            return
        try:
            self._is_on = await self._ask(asked)
        except Refused as refused:
            raise Refusal(refused.status, str(refused)) from None
        except (Unreachable, TimeoutError) as error:
            if self._is_on:
                raise Refusal(500, f"no server could be asked who may do this: {error}") from error
            return
        if len(self._allowed) >= REMEMBERED_MAX:
            self._allowed.clear()
        self._allowed[asked] = self._clock() + REMEMBERED_SECONDS
