"""Who may send a large body: callers with tokens, and servers with statements, of which the body is not there yet."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jwt
import msgspec
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from yurt.fsm.errors import Refusal
from yurt.fsm.machine import Machine
from yurt.fsm.store.schema import ROOT_KEYS
from yurt.fsm.structs.variable import ACTIVE, RootKey
from yurt.server.acl.authority import Authority
from yurt.server.acl.need import need
from yurt.server.acl.statements import HEADER, Checker, Statement, request_digest, sign
from yurt.server.client.listener import NodeApp
from yurt.server.config.agent import Acl, AgentConfig
from yurt.server.http.asgi.admission import check_sender
from yurt.server.http.asgi.context import Context
from yurt.server.http.routing.table import find
from yurt.server.keyring.keystore import Keystore, make_key
from yurt.server.raft.errors import NotLeader

NOW = 1_800_000_000_000_000_000
PATH, BODY = "/v1/client/metadata", b"x" * (1 << 17)
NODE_ID = "n1"
STATEMENT = Statement(
    subject="token:abc", node_id=NODE_ID, request=request_digest("POST", PATH, b"", BODY), levels=("node:write",)
)


@pytest.fixture(scope="module")
def keystore(tmp_path_factory: pytest.TempPathFactory) -> Keystore:
    made = Keystore(Path(tmp_path_factory.mktemp("keys")), sync=False)
    for name in ("k1", "k2"):
        made.put(make_key(name))
    return made


def agent() -> Any:
    return SimpleNamespace(statements=Checker(NODE_ID, lambda: NOW), node=SimpleNamespace(id=NODE_ID), runners={})


Admitted = Callable[[dict[bytes, bytes]], Awaitable[bool]]


def on_server(keystore: Keystore) -> Admitted:
    """Whether a server with a node lets somebody send a large body, and then answers the request."""
    machine = Machine()
    transaction = machine.store.begin(machine.index + 1)
    transaction.put(ROOT_KEYS, RootKey(key_id="k1", state=ACTIVE))
    machine.store.commit(transaction)
    authority = Authority(Acl(enabled=True))
    authority.keystore = keystore

    async def read_ready() -> None:
        raise NotLeader

    server: Any = SimpleNamespace(
        authority=authority, node_agent=agent(), view=machine.view, now_ns=lambda: NOW, read_ready=read_ready
    )

    async def admitted(headers: dict[bytes, bytes]) -> bool:
        context, found = Context(server, "POST", PATH, b"", headers, b""), find(PATH)
        assert found is not None
        try:
            await check_sender(context, found[0])
        except Refusal as refusal:
            return refusal.status != 403
        context.body = BODY
        context.authorize(machine.view())
        return True

    return admitted


def on_node(keystore: Keystore) -> Admitted:
    """Whether an agent that is only a node lets somebody send a large body, and then answers the request."""
    key: rsa.RSAPublicKey = keystore.signing_key("k1").public_key()
    shown = {**jwt.algorithms.RSAAlgorithm.to_jwk(key, as_dict=True), "kid": "k1", "use": "sig", "alg": "RS256"}

    async def signing_keys() -> bytes:
        return orjson.dumps({"keys": [shown]})

    async def nobody(*_asked: Any) -> bool:
        raise AssertionError("a statement says it")

    node = agent()
    node.operations = SimpleNamespace(authorize=nobody, signing_keys=signing_keys)
    app = NodeApp(node, AgentConfig(acl=Acl(enabled=True)), list)

    async def admitted(headers: dict[bytes, bytes]) -> bool:
        context = Context(app._server, "POST", PATH, b"", headers, b"")
        if (refusal := await app._admit(context)) is not None:
            assert refusal.status == 403
            return False
        context.body, context.need = BODY, need("node:write")
        await app._server.authorize(context)  # type: ignore[func-returns-value]
        return True

    return admitted


def signed(keystore: Keystore, name: str = "k1", **changed: Any) -> dict[bytes, bytes]:
    statement = msgspec.structs.replace(STATEMENT, **changed)
    return {HEADER: sign(statement, name, keystore.signing_key(name), NOW).encode()}


@pytest.mark.parametrize("place", [on_server, on_node])
def test_a_server_with_a_statement_sends_a_large_body(
    keystore: Keystore, place: Callable[[Keystore], Admitted]
) -> None:
    async def main() -> None:
        admitted, headers = place(keystore), signed(keystore)
        assert await admitted(headers)
        assert not await admitted(headers), "it counts once"

    asyncio.run(main())


@pytest.mark.parametrize("place", [on_server, on_node])
def test_s13_nobody_else_does(keystore: Keystore, place: Callable[[Keystore], Admitted]) -> None:
    async def main() -> None:
        admitted = place(keystore)
        assert not await admitted({})
        assert not await admitted({HEADER: b"nonsense"})
        assert not await admitted(signed(keystore, node_id="n2"))
        assert not await admitted(signed(keystore, "k2")), "a key that the cluster does not have"

    asyncio.run(main())


def test_s13_what_a_statement_does_not_grant_is_not_sent(keystore: Keystore) -> None:
    assert not asyncio.run(on_server(keystore)(signed(keystore, levels=())))


def test_s13_a_statement_is_not_used_up_before_its_request_is_there(keystore: Keystore) -> None:
    checker, key = Checker(NODE_ID, lambda: NOW), keystore.signing_key("k1").public_key()
    text = signed(keystore)[HEADER].decode()
    assert checker.read(text, key) == checker.read(text, key) == checker.check(text, key, STATEMENT.request)
