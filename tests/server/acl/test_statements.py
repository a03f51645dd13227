"""Statements: for one node, one request, one minute, once; and nothing else is taken for one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from yurt.fsm.acl.rights import ALL, Rights
from yurt.fsm.errors import Refusal
from yurt.fsm.structs.acl import NamespaceRule, PlainRule, PolicyRules
from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.identity import WorkloadIdentity
from yurt.fsm.structs.node import Node
from yurt.fsm.structs.task import Task
from yurt.fsm.structs.variable import ACTIVE, RootKey
from yurt.server.acl import workloads
from yurt.server.acl.need import need
from yurt.server.acl.statements import ATTRIBUTE, SECONDS, BadStatement, Checker, Statement, request_digest, sign
from yurt.server.http.asgi.stated import granted, statement_for
from yurt.server.keyring.keystore import Keystore, make_key

NOW = 1_800_000_000_000_000_000
SECOND = 1_000_000_000
REQUEST = request_digest("GET", "/v1/client/fs/logs/a1", b"task=t", b"")
STATEMENT = Statement(
    subject="token:abc", node_id="n1", request=REQUEST, capabilities=("read-logs",), namespace="default", alloc_id="a1"
)


@pytest.fixture(scope="module")
def keystore(tmp_path_factory: pytest.TempPathFactory) -> Keystore:
    made = Keystore(Path(tmp_path_factory.mktemp("keys")), sync=False)
    for name in ("k1", "k2"):
        made.put(make_key(name))
    return made


def text(keystore: Keystore, statement: Statement = STATEMENT) -> str:
    return sign(statement, "k1", keystore.signing_key("k1"), NOW)


def check(keystore: Keystore, given: str, *, node: str = "n1", after: int = 0, request: str = REQUEST) -> Statement:
    key: rsa.RSAPublicKey = keystore.signing_key("k1").public_key()
    return Checker(node, lambda: NOW + after * SECOND).check(given, key, request)


def test_s13_a_statement_says_who_may_do_what(keystore: Keystore) -> None:
    found = check(keystore, text(keystore))
    assert (found.subject, found.alloc_id, found.expires - found.issued) == ("token:abc", "a1", SECONDS)
    rights = found.rights
    assert rights.in_namespace("default", "read-logs") and not rights.is_management
    assert not rights.in_namespace("default", "alloc-exec") and not rights.in_namespace("other", "read-logs")
    assert not rights.with_cluster("node", "read")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"node": "n2"}, "Audience"), ({"after": SECONDS}, "too old"), ({"after": -SECONDS - 1}, "too old"),
        ({"request": request_digest("GET", "/v1/client/fs/logs/a1", b"task=u", b"")}, "another request"),
        ({"request": request_digest("PUT", "/v1/client/fs/logs/a1", b"task=t", b"")}, "another request"),
        ({"request": request_digest("GET", "/v1/client/fs/logs/a2", b"task=t", b"")}, "another request"),
        ({"request": request_digest("GET", "/v1/client/fs/logs/a1", b"task=t", b"x")}, "another request"),
        ({"request": request_digest("GET", "/v1/client/fs/logs/a1t", b"ask=t", b"")}, "another request"),
    ],
)  # fmt: skip
def test_s13_it_holds_for_one_node_one_request_and_one_minute(
    keystore: Keystore, changed: dict[str, Any], why: str
) -> None:
    with pytest.raises(BadStatement, match=why):
        check(keystore, text(keystore), **changed)


def test_s13_it_counts_once(keystore: Keystore) -> None:
    now = [NOW]
    checker, key, given = Checker("n1", lambda: now[0]), keystore.signing_key("k1").public_key(), text(keystore)
    checker.check(given, key, REQUEST)
    with pytest.raises(BadStatement, match="used already"):
        checker.check(given, key, REQUEST)
    now[0] += 2 * SECONDS * SECOND
    with pytest.raises(BadStatement, match="too old"):
        checker.check(given, key, REQUEST)
    checker.check(sign(STATEMENT, "k1", keystore.signing_key("k1"), now[0]), key, REQUEST)
    assert len(checker._seen) == 1, "what expired is forgotten"


def test_s13_a_store_that_is_full_is_said_to_be_full(keystore: Keystore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yurt.server.acl.statements.SEEN_MAX", 2)
    now = [NOW]
    checker, key = Checker("n1", lambda: now[0]), keystore.signing_key("k1").public_key()
    first, *others = (text(keystore) for _ in range(3))
    checker.check(first, key, REQUEST)
    checker.check(others[0], key, REQUEST)
    with pytest.raises(BadStatement, match="2 statements came within a minute, and no more are taken"):
        checker.check(others[1], key, REQUEST)
    with pytest.raises(BadStatement, match="used already"):
        checker.check(first, key, REQUEST)


class FewKeys:
    """A server without a root key for the first looks at its state."""

    def __init__(self, keystore: Keystore, looks: int) -> None:
        self.keyring, self.looks = SimpleNamespace(keystore=keystore), looks

    def view(self) -> FewKeys:
        self.looks -= 1
        return self

    def get(self, _table: Any, _key: Any) -> None:
        return None

    def scan(self, _table: Any) -> list[RootKey]:
        return [RootKey(key_id="k1", state=ACTIVE)] if self.looks <= 0 else []

    def now_ns(self) -> int:
        return NOW


def asked(server: FewKeys) -> Any:
    identity = SimpleNamespace(rights=ALL, name="token:abc")
    return SimpleNamespace(
        server=server, query={}, arguments=(), identity=identity, need=need("node:read"), method="GET",
        path="/v1/client/stats", body=b"",
    )  # fmt: skip


def test_s13_a_request_before_the_first_root_key_waits_for_it(
    keystore: Keystore, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Node(id="n1", attributes={ATTRIBUTE: "1"})
    signed = asyncio.run(statement_for(asked(FewKeys(keystore, 3)), node, b""))
    assert check(keystore, signed, request=request_digest("GET", "/v1/client/stats", b"", b"")).levels == ("node:read",)
    monkeypatch.setattr("yurt.server.keyring.keyring.KEY_SECONDS", 0.0)
    with pytest.raises(Refusal, match="no root key is ready on this server"):
        asyncio.run(statement_for(asked(FewKeys(keystore, 1 << 30)), node, b""))


def test_s13_an_identity_of_a_workload_is_no_statement_whatever_its_claims(keystore: Keystore) -> None:
    """A job's author chooses audience and extra claims of an identity, which the same key signs."""
    claims = {
        "yurt_request": REQUEST, "yurt_capabilities": ["alloc-exec"], "yurt_namespace": "default",
        "exp": NOW // SECOND + 30, "typ": "yurt-statement+jwt",
    }  # fmt: skip
    identity = WorkloadIdentity(name="x", audience=("n1",), extra_claims=claims, ttl=30 * SECOND)
    task = Task(name="t", identities=(identity,))
    allocation = Allocation(id="a1", namespace="default", job_id="j", task_group="g", signing_key_id="k1")
    forged = workloads.sign(keystore, allocation, task, "x", region="global", now_ns=NOW)
    with pytest.raises(BadStatement, match="another type"):
        check(keystore, forged)


def test_s13_other_keys_and_no_keys_do_not_sign(keystore: Keystore) -> None:
    for given in (
        sign(STATEMENT, "k1", keystore.signing_key("k2"), NOW), "x", "", "." * 9000,
        jwt.encode({"sub": "x", "aud": "n1"}, "", algorithm="none", headers={"typ": "yurt-statement+jwt"}),
        jwt.encode({"sub": "x", "aud": "n1"}, "k" * 32, algorithm="HS256", headers={"typ": "yurt-statement+jwt"}),
    ):  # fmt: skip
        with pytest.raises(BadStatement):
            check(keystore, given)


def test_s13_what_is_granted_is_what_the_caller_has() -> None:
    rules = PolicyRules(
        namespaces=(NamespaceRule(name="default", capabilities=("alloc-exec", "read-job")),), node=PlainRule("read")
    )
    rights = Rights([rules])
    assert granted(rights, need("its alloc-exec"), "default") == (("alloc-exec",), ())
    assert granted(rights, need("its alloc-exec"), "other") == ((), ())
    assert granted(ALL, need("its alloc-exec"), "default") == (("alloc-exec", "alloc-node-exec"), ())
    assert granted(rights, need("its read-logs|read-fs"), "default") == ((), ())
    assert granted(rights, need("node:read"), "") == ((), ("node:read",))
    assert granted(rights, need("node:write"), "") == ((), ())
