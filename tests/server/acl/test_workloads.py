"""Identities of workloads: what is signed, what is believed, what it allows (spec acl §9)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jwt
import orjson
import pytest

from yurt.fsm import commands
from yurt.fsm.commands_acl import UpsertPolicies
from yurt.fsm.commands_variables import UpsertRootKey
from yurt.fsm.errors import Refusal
from yurt.fsm.machine import Applied, Machine
from yurt.fsm.structs.acl import AclPolicy, JobAcl
from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.identity import WorkloadIdentity
from yurt.fsm.structs.task import Task
from yurt.fsm.structs.variable import RootKey
from yurt.server.acl.policy_text import parse_rules
from yurt.server.acl.workloads import Claims, key_set, rights_of, sign, verify
from yurt.server.keyring.keystore import Keystore, make_key

NOW = 1_800_000_000_000_000_000
SECOND = 1_000_000_000
ALLOCATION = Allocation(
    id="a1", namespace="default", job_id="web", task_group="g", name="web.g[0]", signing_key_id="k1"
)  # fmt: skip
TASK = Task(
    name="t", identity=WorkloadIdentity(name="default", audience=("nomadproject.io",)),
    identities=(WorkloadIdentity(name="vault", audience=("vault.example",), ttl=60 * SECOND, extra_claims={"team": "x"}),),
)  # fmt: skip


def knowing(*keys: str) -> Machine:
    """A state machine that knows of root keys."""
    machine = Machine()
    for name in keys:
        assert isinstance(machine.apply(commands.encode(UpsertRootKey(key=RootKey(key_id=name)))), Applied)
    return machine


VIEW = knowing("k1", "k2").view()


@pytest.fixture(scope="module")
def keystore(tmp_path_factory: pytest.TempPathFactory) -> Keystore:
    made = Keystore(Path(tmp_path_factory.mktemp("keys")), sync=False)
    for name in ("k1", "k2", "forgotten"):
        made.put(make_key(name))
    return made


def signed(keystore: Keystore, name: str = "default", **fields: Any) -> str:
    return sign(keystore, replace(ALLOCATION, **fields), TASK, name, region="global", now_ns=NOW)


def test_what_is_signed_is_believed(keystore: Keystore) -> None:
    text = signed(keystore)
    claims = verify(VIEW, keystore, text, NOW)
    assert claims == Claims(namespace="default", job_id="web", alloc_id="a1", task="t")
    said = jwt.decode(text, options={"verify_signature": False})
    assert said["sub"] == "global:default:web:g:t:default" and said["aud"] == ["nomadproject.io"]
    assert said["iat"] == NOW // SECOND and "exp" not in said
    other = jwt.decode(signed(keystore, "vault"), options={"verify_signature": False})
    assert (other["aud"], other["exp"] - other["iat"], other["team"]) == (["vault.example"], 60, "x")


def test_what_is_not_believed(keystore: Keystore) -> None:
    text = signed(keystore)
    head, body, signature = text.split(".")
    forged = orjson.loads(jwt.utils.base64url_decode(body)) | {"nomad_job_id": "other"}
    with_body = ".".join((head, jwt.utils.base64url_encode(orjson.dumps(forged)).decode(), signature))
    none = jwt.encode(
        {"aud": ["nomadproject.io"], "nomad_allocation_id": "a1"}, "", algorithm="none", headers={"kid": "k1"}
    )
    shared = jwt.encode({"aud": ["nomadproject.io"]}, "x" * 40, algorithm="HS256", headers={"kid": "k1"})
    wrong_key = jwt.encode(
        forged, keystore.signing_key("k2"), algorithm="RS256", headers={"kid": "k1"}
    )  # fmt: skip
    refused = [
        with_body,
        none,
        shared,
        wrong_key,
        signed(keystore, "vault"),
        "",
        "a.b.c",
        text + "x",
        "é" * 9,
        "x" * 9000,
        signed(keystore, signing_key_id="forgotten"),  # on disk still, but no key of the cluster any more
    ]
    assert [verify(VIEW, keystore, one, NOW) for one in refused] == [None] * len(refused)
    assert verify(VIEW, keystore, text, NOW - 10 * SECOND) is None, "not yet valid"


def test_only_identities_that_the_task_has(keystore: Keystore) -> None:
    with pytest.raises(Refusal, match='no identity "consul"'):
        signed(keystore, "consul")


def test_what_a_workload_may_do(keystore: Keystore) -> None:
    machine = Machine()

    def policy(name: str, link: JobAcl | None, rules: str) -> AclPolicy:
        return AclPolicy(name=name, rules=rules, rules_json=parse_rules(rules), job_acl=link)

    read = 'namespace "default" { policy = "read" }'
    made = (
        policy("all", JobAcl(namespace="default", job_id="web"), 'node { policy = "read" }'),
        policy("group", JobAcl(namespace="default", job_id="web", group="other"), read),
        policy("space", JobAcl(namespace="default"), read),
        policy("job", JobAcl(namespace="default", job_id="db"), read),
        policy("free", None, read),
        policy("own", JobAcl(namespace="default", job_id="web", group="g", task="t"),
               'namespace "default" { variables { path "*" { capabilities = ["list"] } '
               'path "nomad/jobs" { capabilities = ["deny"] } } }'),
    )  # fmt: skip
    assert isinstance(machine.apply(commands.encode(UpsertPolicies(policies=made))), Applied)
    claims = Claims(namespace="default", job_id="web", alloc_id="a1", task="t")
    rights = rights_of(machine.view(), claims, ALLOCATION)
    assert rights.with_cluster("node", "read") and not rights.in_namespace("default", "read-job")
    may = [path for path in ("nomad/jobs", "nomad/jobs/web", "nomad/jobs/web/g", "nomad/jobs/web/g/t", "nomad/jobs/web/g/u",
                             "nomad/jobs/db", "app") if rights.with_variable("default", path, "read")]  # fmt: skip
    assert may == ["nomad/jobs/web", "nomad/jobs/web/g", "nomad/jobs/web/g/t"], "an exact rule goes before its own"
    assert rights.with_variable("default", "app", "list") and not rights.with_variable(
        "other", "nomad/jobs/web", "read"
    )
    assert not rights.with_variable("default", "nomad/jobs/web", "write")


def test_the_public_keys_verify(keystore: Keystore) -> None:
    machine = knowing("k1", "missing")
    (shown,) = orjson.loads(key_set(machine.view(), keystore))["keys"]
    assert (shown["kid"], shown["alg"], shown["use"], shown["kty"]) == ("k1", "RS256", "sig", "RSA")
    public = jwt.PyJWK(shown).key
    unchecked = {"verify_iat": False, "verify_nbf": False}  # the test has a clock of its own
    found = jwt.decode(signed(keystore), public, algorithms=["RS256"], audience="nomadproject.io", options=unchecked)
    assert found["nomad_task"] == "t"


def test_s21_registered_claims_of_a_job_that_was_stored_before_are_not_signed(keystore: Keystore) -> None:
    wanted = {"iss": "https://elsewhere", "exp": "1", "email": "a@b", "team": "x", "nomad_namespace": "other"}
    task = replace(TASK, identities=(WorkloadIdentity(name="vault", audience=("v",), extra_claims=wanted),))
    text = sign(keystore, ALLOCATION, task, "vault", region="global", now_ns=NOW)
    claims = jwt.decode(text, options={"verify_signature": False})
    assert claims["team"] == "x" and claims["nomad_namespace"] == "default"
    assert not {"iss", "exp", "email"} & set(claims)
