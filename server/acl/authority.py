"""The identity and the rights of a caller (spec acl §1): secret → token → policies → compiled rights."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass

from yurt.fsm.acl.rights import ALL, NONE, Rights
from yurt.fsm.errors import Refusal
from yurt.fsm.store.schema import ACL_POLICIES, ACL_ROLES, ACL_TOKENS, ROOT_KEYS
from yurt.fsm.store.view import View
from yurt.fsm.structs.acl import ANONYMOUS_TOKEN, MANAGEMENT, AclPolicy, AclToken, secret_digest
from yurt.server.acl.statements import BadStatement, Checker, key_id_of
from yurt.server.acl.workloads import Claims, live_allocation, rights_of, verify
from yurt.server.config.agent import Acl
from yurt.server.keyring.keystore import Keystore, NoKey

DENIED = "Permission denied"
COMPILED_MAX = 1024
UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")


def denied() -> Refusal:
    """Return the refusal of a caller that is unknown or lacks the right; it does not say which."""
    return Refusal(403, DENIED)


@dataclass(frozen=True, slots=True)
class Identity:
    """The caller of a request: `name` is shown in drains and the audit log, `claims` are those of a workload.

    `token` is None if access control is off, and for a workload or another server's statement.
    """

    name: str
    rights: Rights
    token: AclToken | None = None
    claims: Claims | None = None

    @property
    def is_anonymous(self) -> bool:
        """Whether no token was given."""
        return self.token is ANONYMOUS_TOKEN


ACLS_DISABLED = Identity("token:acls-disabled", ALL)


class Authority:
    """Knows the tokens of one server's state. Compiled rights are kept by the policies that they are made of."""

    def __init__(self, config: Acl) -> None:
        self.enabled = config.enabled
        self.keystore: Keystore | None = None  # what workloads' identities are signed with
        self._compiled: dict[tuple[tuple[str, int], ...], Rights] = {}

    def identify(self, view: View, secret: str, now_ns: int) -> Identity:
        """Return the identity behind a secret; raise Refusal(403), the same for every reason."""
        if not self.enabled:
            return ACLS_DISABLED
        if not secret:
            return Identity("token:anonymous", self.rights_of(view, ANONYMOUS_TOKEN), ANONYMOUS_TOKEN)
        if not UUID.match(secret):
            return self._workload(view, secret, now_ns)
        token = token_of(view, secret)
        if token is None or token.is_expired(now_ns):
            raise denied()
        return Identity(f"token:{token.accessor_id}", self.rights_of(view, token), token)

    def _workload(self, view: View, text: str, now_ns: int) -> Identity:
        """The task that shows an identity, while its allocation lives; raises Refusal(403)."""
        claims = verify(view, self.keystore, text, now_ns) if self.keystore is not None else None
        allocation = live_allocation(view, claims) if claims is not None else None
        if claims is None or allocation is None:
            raise denied()
        return Identity(f"alloc:{claims.alloc_id}/{claims.task}", rights_of(view, claims, allocation), claims=claims)

    def stated(self, view: View, text: str, request: str | None, checker: Checker) -> Identity:
        """Return the identity in another server's signed statement to this process's node; raises Refusal(403).

        The statement is used up by its request; `request` is None while that is not known.
        """
        try:
            key_id = key_id_of(text)
            if self.keystore is None or view.get(ROOT_KEYS, key_id) is None:
                raise BadStatement("the statement is signed with a key of another cluster")
            key = self.keystore.signing_key(key_id).public_key()
            statement = checker.read(text, key) if request is None else checker.check(text, key, request)
        except (BadStatement, NoKey) as error:
            raise Refusal(403, f"{DENIED}: {error}") from None
        return Identity(statement.subject, statement.rights)

    def rights_of(self, view: View, token: AclToken) -> Rights:
        """Return the rights of a token."""
        if token.type == MANAGEMENT:
            return ALL
        policies = policies_of(view, token)
        if not policies:
            return NONE
        key = tuple((one.name, one.modify_index) for one in policies)
        found = self._compiled.get(key)
        if found is None:
            if len(self._compiled) >= COMPILED_MAX:
                self._compiled.clear()
            found = self._compiled[key] = Rights(one.rules_json for one in policies)
        return found


def token_of(view: View, secret: str) -> AclToken | None:
    """The token with a secret: found by a digest, then compared in constant time."""
    for one in view.find(ACL_TOKENS, "secret", secret_digest(secret)):
        if hmac.compare_digest(one.secret_id.encode(), secret.encode()):
            return one
    return None


def policy_names(view: View, token: AclToken) -> list[str]:
    """The names of a token's policies, its own and those of its roles, sorted."""
    roles = (view.get(ACL_ROLES, role_id) for role_id in token.role_ids or ())
    linked = (link.name for role in roles if role is not None for link in role.policies or ())
    return sorted({*(token.policies or ()), *linked})


def policies_of(view: View, token: AclToken) -> list[AclPolicy]:
    """The policies of a token that are there; one with a `JobACL` is for workloads too, not only for them."""
    return [found for name in policy_names(view, token) if (found := view.get(ACL_POLICIES, name)) is not None]
