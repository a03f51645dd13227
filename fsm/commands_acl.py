"""The log's vocabulary of access control (spec acl §3–§7). IDs, secrets and times are made before the log."""

from __future__ import annotations

from typing import ClassVar

from yurt.fsm.commands_base import Command
from yurt.fsm.structs.acl import AclPolicy, AclRole, AclToken, OneTimeToken


class _Command(Command, frozen=True, kw_only=True, tag=True):
    """A command of the fourth version of the vocabulary."""

    since: ClassVar[int] = 4


class UpsertPolicies(_Command, frozen=True, kw_only=True):
    """Store policies; one of the same name is replaced."""

    policies: tuple[AclPolicy, ...]


class DeletePolicies(_Command, frozen=True, kw_only=True):
    """Delete policies, as far as they are there; tokens and roles keep their names."""

    names: tuple[str, ...]


class UpsertTokens(_Command, frozen=True, kw_only=True):
    """Store tokens; refused if another one has the secret."""

    tokens: tuple[AclToken, ...]


class DeleteTokens(_Command, frozen=True, kw_only=True):
    """Delete tokens. `expired`: the leader's collection, which leaves out those that are not there or still live."""

    accessor_ids: tuple[str, ...]
    expired: bool = False


class BootstrapAcl(_Command, frozen=True, kw_only=True):
    """Store the first management token; once more only with the index of the time before."""

    token: AclToken
    reset_index: int = 0


class UpsertRoles(_Command, frozen=True, kw_only=True):
    """Store roles; refused if another one has the name or a policy is not there."""

    roles: tuple[AclRole, ...]


class DeleteRoles(_Command, frozen=True, kw_only=True):
    """Delete roles; tokens keep the links, which grant nothing."""

    ids: tuple[str, ...]


class UpsertOneTimeToken(_Command, frozen=True, kw_only=True):
    """Store a one-time token in place of the one that its token has."""

    token: OneTimeToken


class DeleteOneTimeTokens(_Command, frozen=True, kw_only=True):
    """Delete one-time tokens. `taken`: one is exchanged, and it is refused if it is gone or its time is over."""

    secret_ids: tuple[str, ...]
    taken: bool = False


ACL_COMMANDS: tuple[type[Command], ...] = (
    UpsertPolicies,
    DeletePolicies,
    UpsertTokens,
    DeleteTokens,
    BootstrapAcl,
    UpsertRoles,
    DeleteRoles,
    UpsertOneTimeToken,
    DeleteOneTimeTokens,
)
AnyAclCommand = (
    UpsertPolicies
    | DeletePolicies
    | UpsertTokens
    | DeleteTokens
    | BootstrapAcl
    | UpsertRoles
    | DeleteRoles
    | UpsertOneTimeToken
    | DeleteOneTimeTokens
)
