"""Policies, tokens, roles and one-time tokens (spec acl §2–§7)."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from yurt.fsm.lang.duration import format_duration
from yurt.fsm.structs.base import Record, content_hash
from yurt.fsm.structs.times import ZERO_TIME, to_rfc3339

CLIENT, MANAGEMENT = "client", "management"
ANONYMOUS = "anonymous"


def secret_digest(secret: str) -> bytes:
    """Return the digest a secret is looked up by: the lookup's timing reveals nothing of the secret."""
    return hashlib.sha256(secret.encode()).digest()


# --- policies


class PathRule(Record, frozen=True):
    """A rule for the variables whose paths match a glob."""

    path_spec: str = ""
    capabilities: tuple[str, ...] | None = None


class VariablesRule(Record, frozen=True):
    """The variables of a namespace."""

    paths: tuple[PathRule, ...] | None = None


class NamespaceRule(Record, frozen=True):
    """A rule for the namespaces that match a glob; shorthands are expanded."""

    name: str = ""
    policy: str = ""
    capabilities: tuple[str, ...] | None = None
    variables: VariablesRule | None = None


class LabelledRule(Record, frozen=True):
    """A rule for the node pools or host volumes that match a glob."""

    name: str = ""
    policy: str = ""
    capabilities: tuple[str, ...] | None = None


class PlainRule(Record, frozen=True):
    """A rule for all agents, nodes, quotas or plugins."""

    policy: str = ""


class OperatorRule(Record, frozen=True):
    """A rule for the cluster itself."""

    policy: str = ""
    capabilities: tuple[str, ...] | None = None


class PolicyRules(Record, frozen=True):
    """A policy's rules, read; `raw` is their text."""

    agent: PlainRule | None = None
    extra_keys_hcl: tuple[str, ...] | None = msgspec.field(default=None, name="ExtraKeysHCL")
    host_volumes: tuple[LabelledRule, ...] | None = None
    namespaces: tuple[NamespaceRule, ...] | None = None
    node: PlainRule | None = None
    node_pools: tuple[LabelledRule, ...] | None = None
    operator: OperatorRule | None = None
    plugin: PlainRule | None = None
    quota: PlainRule | None = None
    raw: str = ""
    sentinel: PlainRule | None = None


class JobAcl(Record, frozen=True):
    """The workloads that a policy is attached to without a token."""

    namespace: str = ""
    job_id: str = ""
    group: str = ""
    task: str = ""


class PolicyStub(Record, frozen=True):
    """A policy in a list."""

    name: str = ""
    description: str = ""
    job_acl: JobAcl | None = msgspec.field(default=None, name="JobACL")
    hash: bytes | None = None
    create_index: int = 0
    modify_index: int = 0


class AclPolicy(Record, frozen=True):
    """A named set of rules, as text and read. It is read once, before it goes into the log."""

    name: str = ""
    description: str = ""
    rules: str = ""
    rules_json: PolicyRules = msgspec.field(default_factory=PolicyRules, name="RulesJSON")
    job_acl: JobAcl | None = msgspec.field(default=None, name="JobACL")
    hash: bytes | None = None
    create_index: int = 0
    modify_index: int = 0

    def content_hash(self) -> bytes:
        """The hash of what users set."""
        return content_hash(self.name, self.description, self.rules, self.job_acl)

    def stub(self) -> PolicyStub:
        """The policy without its rules."""
        return PolicyStub(**{name: getattr(self, name) for name in PolicyStub.__struct_fields__})


# --- roles


class PolicyLink(Record, frozen=True):
    """A policy that a role has."""

    name: str = ""


class AclRole(Record, frozen=True):
    """A named set of policies."""

    id: str = ""
    name: str = ""
    description: str = ""
    policies: tuple[PolicyLink, ...] | None = None
    hash: bytes | None = None
    create_index: int = 0
    modify_index: int = 0

    def content_hash(self) -> bytes:
        """The hash of what users set."""
        return content_hash(self.name, self.description, self.policies)


class RoleLink(Record, frozen=True):
    """A role that a token has; the name is that of the moment in which it is shown."""

    id: str = ""
    name: str = ""


# --- tokens


class TokenStub(Record, frozen=True):
    """A token in a list."""

    accessor_id: str = ""
    name: str = ""
    type: str = ""
    policies: tuple[str, ...] | None = None
    roles: tuple[RoleLink, ...] | None = None
    global_: bool = msgspec.field(default=False, name="Global")
    hash: bytes | None = None
    create_time: str = ""
    expiration_time: str | None = None
    create_index: int = 0
    modify_index: int = 0


class TokenShown(TokenStub, frozen=True):
    """A token with its secret, as its owner and management see it."""

    secret_id: str = ""
    expiration_ttl: str = msgspec.field(default="", name="ExpirationTTL")


class AclToken(Record, frozen=True):
    """A secret and what it may do; times in nanoseconds since 1970, 0 for no end."""

    accessor_id: str = ""
    secret_id: str = ""
    name: str = ""
    type: str = ""
    policies: tuple[str, ...] | None = None
    role_ids: tuple[str, ...] | None = None
    is_global: bool = False
    hash: bytes | None = None
    create_time_ns: int = 0
    expiration_ttl_ns: int = 0
    expiration_time_ns: int = 0
    create_index: int = 0
    modify_index: int = 0

    def content_hash(self) -> bytes:
        """The hash of what users set."""
        return content_hash(self.name, self.type, self.is_global, self.policies, self.role_ids)

    def is_expired(self, now_ns: int) -> bool:
        """Whether its time is over."""
        return bool(self.expiration_time_ns) and now_ns >= self.expiration_time_ns

    def _same(self, roles: tuple[RoleLink, ...] | None) -> dict[str, Any]:
        return {
            "accessor_id": self.accessor_id,
            "name": self.name,
            "type": self.type,
            "policies": self.policies,
            "roles": roles,
            "global_": self.is_global,
            "hash": self.hash,
            "create_time": to_rfc3339(self.create_time_ns) if self.create_time_ns else ZERO_TIME,
            "expiration_time": to_rfc3339(self.expiration_time_ns) if self.expiration_time_ns else None,
            "create_index": self.create_index,
            "modify_index": self.modify_index,
        }

    def stub(self, roles: tuple[RoleLink, ...] | None) -> TokenStub:
        """The token without its secret."""
        return TokenStub(**self._same(roles))

    def shown(self, roles: tuple[RoleLink, ...] | None) -> TokenShown:
        """The token with its secret."""
        ttl = format_duration(self.expiration_ttl_ns) if self.expiration_ttl_ns else ""
        return TokenShown(**self._same(roles), secret_id=self.secret_id, expiration_ttl=ttl)


ANONYMOUS_TOKEN = AclToken(accessor_id=ANONYMOUS, name="Anonymous Token", type=CLIENT, policies=(ANONYMOUS,))


class OneTimeToken(Record, frozen=True):
    """A secret that is exchanged once for a token's."""

    one_time_secret_id: str = msgspec.field(default="", name="OneTimeSecretID")
    accessor_id: str = ""
    expires_at_ns: int = 0
    create_index: int = 0
    modify_index: int = 0


class AclBootstrap(Record, frozen=True):
    """That, and at which index, the first management token was made."""

    index: int = 0
