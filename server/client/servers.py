"""The servers as the node agent sees them: which there are, and the operations it asks of them (spec client-rpc §4)."""

from __future__ import annotations

import random
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec
import orjson

from yurt.fsm.commands_nodes import AllocUpdate
from yurt.fsm.errors import YurtError
from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.node import Node
from yurt.fsm.structs.registration import ServiceRegistration
from yurt.server.client.http import Answered, Unreachable, request
from yurt.server.client.identity import Identity

T = TypeVar("T")
SECONDS = 15.0
WAIT_SECONDS = 300
NODE_NOT_FOUND = "node not found"
# method, target, headers, body, seconds → answer; raises Unreachable
Send = Callable[[str, str, dict[str, str], bytes, float], Awaitable[Answered]]


class Refused(YurtError):
    """A server refused the request."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class RemoteServers:
    """Servers elsewhere: asked one after another until one answers; heartbeats tell which there are.

    `tls` is how they are spoken to; their certificates must have one of `roles`, if there are any.
    """

    def __init__(
        self,
        addresses: list[str],
        chance: random.Random,
        tls: Callable[[], ssl.SSLContext | None] = lambda: None,
        roles: tuple[str, ...] = (),
    ) -> None:
        self._addresses, self._chance, self._tls, self._roles = list(addresses), chance, tls, roles
        self._configured = list(addresses)
        chance.shuffle(self._addresses)

    async def send(self, method: str, target: str, headers: dict[str, str], body: bytes, seconds: float) -> Answered:
        """The answer of the first server that can be reached; raises `Unreachable`."""
        last: Unreachable | None = None
        for address in self.known:
            try:
                return await request(
                    address, method, target, body=body, headers=headers, seconds=seconds, tls=self._tls(),
                    roles=self._roles,
                )  # fmt: skip
            except Unreachable as error:
                last = error
                if address in self._addresses:  # asked last from now on
                    self._addresses.remove(address)
                    self._addresses.append(address)
        raise last or Unreachable("no server is known")

    @property
    def known(self) -> list[str]:
        """All servers, in the order in which they are asked."""
        return list(dict.fromkeys((*self._addresses, *self._configured)))

    def learn(self, addresses: list[str]) -> None:
        """Replace the server list; ignore an empty one."""
        if addresses and set(addresses) != set(self._addresses):
            self._addresses = list(addresses)
            self._chance.shuffle(self._addresses)


@dataclass(frozen=True, slots=True)
class Beat:
    """The answer to a registration or a heartbeat."""

    ttl_seconds: float
    servers: list[str]


@dataclass(frozen=True, slots=True)
class Asked:
    """The access that a caller wants: its token, and one of some capabilities of a kind (`server.acl.need`)."""

    secret: str
    kind: str
    any_of: tuple[str, ...]
    namespace: str

    def body(self) -> dict[str, Any]:
        """The members of the request."""
        return {"Token": self.secret, "Kind": self.kind, "AnyOf": self.any_of, "Namespace": self.namespace}


class Operations:
    """The operations of a node agent, with the node's identity."""

    def __init__(self, send: Send, identity: Identity, introduction: str = "") -> None:
        self._send, self._identity, self._introduction = send, identity, introduction

    async def _ask(
        self, method: str, name: str, read: Callable[[bytes], T], body: Any = None, *, seconds: float = SECONDS,
        **query: str,
    ) -> T:  # fmt: skip
        """Return the answer as `read` understands it.

        Raises `Refused` for a refusal and `Unreachable` for anything else: no other error of connections, deadlines
        or decoders gets past this place.
        """
        target = f"/v1/agent-rpc/{name}" + (f"?{urlencode(query)}" if query else "")
        payload = b"" if body is None else msgspec.json.encode(body)
        headers = {"X-Nomad-Token": self._identity.secret_id}
        if self._introduction and name == "Node.Register":
            headers["Authorization"] = f"Bearer {self._introduction}"
        try:
            status, _, answer = await self._send(method, target, headers, payload, seconds)
            if status == 200:
                return read(answer)
        except (OSError, EOFError, ValueError, TypeError, LookupError) as error:  # TimeoutError is an OSError
            raise Unreachable(f"{name} was not answered: {type(error).__name__}: {error}") from error
        raise Refused(status, answer.decode("utf-8", "replace"))

    async def register(self, node: Node) -> Beat:
        """Node.Register."""
        return await self._ask("PUT", "Node.Register", _beat, {"Node": node})

    async def heartbeat(self) -> Beat:
        """Node.UpdateStatus; raises `Refused` with `node not found` if the node must register again."""
        body = {"NodeID": self._identity.node_id, "Status": "ready"}
        return await self._ask("PUT", "Node.UpdateStatus", _beat, body)

    async def client_allocs(self, index: int, count: int) -> tuple[dict[str, int], int]:
        """Node.GetClientAllocs: allocation → AllocModifyIndex, and the index to wait for next.

        `index` and `count` are those of the answer before (0 for the first): a change raises the index, a removal
        changes the count.
        """
        query = {"node_id": self._identity.node_id, "wait": f"{WAIT_SECONDS}s"}
        if index:
            query |= {"index": str(index), "known": str(count)}
        seconds = WAIT_SECONDS * 1.1 + SECONDS
        return await self._ask("GET", "Node.GetClientAllocs", _seen, seconds=seconds, **query)

    async def get_allocs(self, alloc_ids: list[str]) -> list[Allocation]:
        """Alloc.GetAllocs: whole allocations."""
        body = {"NodeID": self._identity.node_id, "AllocIDs": alloc_ids}
        return (await self._ask("PUT", "Alloc.GetAllocs", _allocs.decode, body)).allocs

    async def update_allocs(self, updates: list[AllocUpdate]) -> None:
        """Node.UpdateAlloc."""
        await self._ask("PUT", "Node.UpdateAlloc", bytes, {"NodeID": self._identity.node_id, "Alloc": updates})

    async def upsert_services(self, services: list[ServiceRegistration]) -> None:
        """ServiceRegistration.Upsert."""
        body = {"NodeID": self._identity.node_id, "Services": services}
        await self._ask("PUT", "ServiceRegistration.Upsert", bytes, body)

    async def sign(self, alloc_id: str, task: str, names: list[str]) -> dict[str, str]:
        """Alloc.SignIdentities: name → signed identity of a task."""
        body = {"NodeID": self._identity.node_id, "AllocID": alloc_id, "Task": task, "Names": names}
        return await self._ask("PUT", "Alloc.SignIdentities", _signed, body)

    async def authorize(self, asked: Asked) -> bool:
        """ACL.Authorize: whether access control is on. Raises `Refused` (403) if a token may not do something."""
        return await self._ask("PUT", "ACL.Authorize", _enabled, {"NodeID": self._identity.node_id, **asked.body()})

    async def signing_keys(self) -> bytes:
        """The public keys that the servers sign with, as a JSON Web Key Set; raises `Refused`."""
        status, _, body = await self._send("GET", "/.well-known/jwks.json", {}, b"", SECONDS)
        if status != 200:
            raise Refused(status, body.decode("utf-8", "replace"))
        return body

    async def delete_services(self, ids: list[str]) -> None:
        """ServiceRegistration.DeleteByID."""
        body = {"NodeID": self._identity.node_id, "IDs": ids}
        await self._ask("PUT", "ServiceRegistration.DeleteByID", bytes, body)


class _Allocs(msgspec.Struct):
    allocs: list[Allocation] = msgspec.field(default_factory=list, name="Allocs")


_allocs = msgspec.json.Decoder(_Allocs)


def _beat(body: bytes) -> Beat:
    answer = orjson.loads(body)
    servers = [one["HTTPAddr"] for one in answer["Servers"] or () if one["HTTPAddr"]]
    return Beat(ttl_seconds=answer["HeartbeatTTL"] / 1e9, servers=servers)


def _seen(body: bytes) -> tuple[dict[str, int], int]:
    answer = orjson.loads(body)
    return answer["Allocs"], answer["Index"]


def _signed(body: bytes) -> dict[str, str]:
    signed: dict[str, str] = orjson.loads(body)["Signed"]
    return signed


def _enabled(body: bytes) -> bool:
    enabled: bool = orjson.loads(body)["Enabled"]
    return enabled
