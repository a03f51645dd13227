"""Identities of workloads: signed texts (JWT, RS256) that a task shows in place of a token (spec acl §9)."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterable
from typing import Any

import jwt
import msgspec
import orjson
from cryptography.hazmat.primitives.asymmetric import rsa

from yurt.fsm.acl.rights import Rights
from yurt.fsm.errors import Refusal
from yurt.fsm.job.validate.identity import is_reserved
from yurt.fsm.store.schema import ACL_POLICIES, ALLOCATIONS, ROOT_KEYS
from yurt.fsm.store.view import View
from yurt.fsm.structs.acl import AclPolicy, JobAcl
from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.identity import DEFAULT_IDENTITY, WorkloadIdentity
from yurt.fsm.structs.task import Task
from yurt.fsm.structs.times import SECOND
from yurt.server.keyring.keystore import Keystore, NoKey

ALGORITHM, AUDIENCE = "RS256", "nomadproject.io"
TEXT_MAX = 8192


class Claims(msgspec.Struct, frozen=True):
    """Which task of which allocation."""

    namespace: str = msgspec.field(default="", name="nomad_namespace")
    job_id: str = msgspec.field(default="", name="nomad_job_id")
    alloc_id: str = msgspec.field(default="", name="nomad_allocation_id")
    task: str = msgspec.field(default="", name="nomad_task")


def sign(keystore: Keystore, allocation: Allocation, task: Task, name: str, *, region: str, now_ns: int) -> str:
    """The identity of a task by its name; raises Refusal(400) for one that the task does not have, `NoKey`."""
    wanted = identity_of(task, name)
    seconds = now_ns // SECOND
    claims: dict[str, Any] = {
        **{name: value for name, value in (wanted.extra_claims or {}).items() if not is_reserved(name)},
        "aud": list(wanted.audience or (AUDIENCE,)),
        "iat": seconds,
        "nbf": seconds,
        "jti": str(uuid.uuid4()),
        "sub": ":".join(
            (region, allocation.namespace, allocation.job_id, allocation.task_group, task.name, wanted.name)
        ),
        "nomad_namespace": allocation.namespace,
        "nomad_job_id": allocation.job_id,
        "nomad_allocation_id": allocation.id,
        "nomad_task": task.name,
    }
    if wanted.ttl:
        claims["exp"] = seconds + wanted.ttl // SECOND
    key_id = allocation.signing_key_id
    return jwt.encode(claims, keystore.signing_key(key_id), algorithm=ALGORITHM, headers={"kid": key_id})


def identity_of(task: Task, name: str) -> WorkloadIdentity:
    """An identity of a task; raises Refusal(400)."""
    known = (task.identity or DEFAULT_IDENTITY, *(task.identities or ()))
    found = next((one for one in known if one.name == name), None)
    if found is None:
        raise Refusal(400, f'task "{task.name}" has no identity "{name}"')
    return found


def verify(view: View, keystore: Keystore, text: str, now_ns: int) -> Claims | None:
    """Return the claims of a signed text (a JWT); None if it is not ours, or not valid now.

    The key is one of the state's before it is looked for on disk: strangers choose its name.
    """
    if len(text) > TEXT_MAX:
        return None
    try:
        key_id = str(jwt.get_unverified_header(text).get("kid", ""))
        if view.get(ROOT_KEYS, key_id) is None:
            return None
        public = keystore.signing_key(key_id).public_key()
        found = jwt.decode(
            text, public, algorithms=[ALGORITHM], audience=AUDIENCE,
            options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
        )  # fmt: skip
        if not _in_time(found, now_ns / SECOND):
            return None
        return msgspec.convert(found, Claims)
    except (jwt.PyJWTError, NoKey, ValueError, TypeError):
        return None


def _in_time(claims: dict[str, Any], now: float) -> bool:
    begins, ends = float(claims.get("nbf", 0)), float(claims.get("exp", now + 1))
    return begins <= now + 1 and now < ends


def live_allocation(view: View, claims: Claims) -> Allocation | None:
    """The allocation that the claims are of, unless it has ended."""
    found = view.get(ALLOCATIONS, claims.alloc_id)
    if found is None or found.is_client_terminal or found.namespace != claims.namespace:
        return None
    return found


def rights_of(view: View, claims: Claims, allocation: Allocation) -> Rights:
    """Its own variables, and what the policies that are attached to it say."""
    place = JobAcl(namespace=claims.namespace, job_id=claims.job_id, group=allocation.task_group, task=claims.task)
    policies = (one.rules_json for one in attached(view.scan(ACL_POLICIES), place))
    base = f"{claims.namespace}\0nomad/jobs"
    steps = (claims.job_id, allocation.task_group, claims.task)
    own = [base, *("/".join((base, *steps[:count])) for count in range(1, 4))]
    return Rights(policies, own_variables=own)


def attached(policies: Iterable[AclPolicy], place: JobAcl) -> Iterable[AclPolicy]:
    """The policies for a workload: namespace and job are equal, and group and task as far as they are named."""
    for policy in policies:
        link = policy.job_acl
        if link is None or not link.job_id:
            continue
        same = (link.namespace, link.job_id) == (place.namespace, place.job_id)
        if same and link.group in ("", place.group) and link.task in ("", place.task):
            yield policy


def key_set(view: View, keystore: Keystore) -> bytes:
    """The public keys, as /.well-known/jwks.json shows them."""
    keys = []
    for key in view.scan(ROOT_KEYS):
        try:
            numbers = keystore.signing_key(key.key_id).public_key().public_numbers()
        except NoKey:
            continue
        keys.append({"use": "sig", "kty": "RSA", "kid": key.key_id, "alg": ALGORITHM, **_numbers(numbers)})
    return orjson.dumps({"keys": keys})


def _numbers(numbers: rsa.RSAPublicNumbers) -> dict[str, str]:
    return {"n": _base64(numbers.n), "e": _base64(numbers.e)}


def _base64(number: int) -> str:
    raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
