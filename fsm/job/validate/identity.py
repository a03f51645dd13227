"""The validation of workload identities (spec job-model §5.13)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from yurt.fsm.job.multierror import multierror
from yurt.fsm.structs.identity import WorkloadIdentity
from yurt.fsm.structs.task import Task

# Claims by which other systems know who somebody is, and how long (RFC 7519 and OpenID Connect).
REGISTERED_CLAIMS = frozenset({
    "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "azp", "nonce", "auth_time", "at_hash", "c_hash", "acr", "amr",
    "act", "cnf", "client_id", "scope", "sid", "name", "given_name", "family_name", "nickname", "preferred_username",
    "profile", "email", "email_verified", "phone_number", "phone_number_verified", "groups", "roles", "entitlements",
})  # fmt: skip
OWN_PREFIX = "nomad_"
_NAME = re.compile(r"[a-zA-Z0-9\-_]{1,128}")


def task_identity_errors(task: Task) -> Iterator[str]:
    """A bullet for each identity that is wrong, the default one first."""
    others = task.identities or ()
    for identity in ((task.identity,) if task.identity is not None else ()) + others:
        if errors := list(identity_errors(identity)):
            yield f'Identity "{identity.name}" is invalid: {multierror(errors)}'
    if any(identity.name == "default" for identity in others):
        yield "Duplicate default identities found"


def is_reserved(claim: str) -> bool:
    """Return whether a claim says what only the cluster, or an identity provider, may say of somebody."""
    return claim in REGISTERED_CLAIMS or claim.startswith(OWN_PREFIX)


def identity_errors(identity: WorkloadIdentity) -> Iterator[str]:
    """Yield the errors of one identity, in order."""
    if not _NAME.fullmatch(identity.name):
        yield f'invalid name "{identity.name}". Must match regex ^[a-zA-Z0-9-_]{{1,128}}$'
    for number, audience in enumerate(identity.audience or (), start=1):
        if not audience:
            yield f"an empty string is an invalid audience ({number})"
    if identity.change_mode == "signal":
        if not identity.change_signal:
            yield 'change_signal must be specified when using change_mode="signal"'
    elif identity.change_mode not in ("", "noop", "restart"):
        yield f"invalid change_mode: {identity.change_mode}"
    elif identity.change_signal:
        yield f'can only use change_signal="{identity.change_signal}" with change_mode="signal"'
    if identity.ttl > 0 and identity.name == "default":
        yield "ttl for default identity not yet supported"
    elif identity.ttl < 0:
        yield "ttl must be >= 0"
    for claim in sorted(filter(is_reserved, identity.extra_claims or {})):
        yield f'extra_claims must not set "{claim}": only the cluster says that of a workload; use another name'
    if identity.filepath and not identity.file:
        yield "file parameter must be true in order to specify filepath"
