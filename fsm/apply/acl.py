"""Policies, tokens, roles, one-time tokens and the first token of all (spec acl §3–§7)."""

from __future__ import annotations

from typing import Any

from yurt.fsm.commands_acl import (
    BootstrapAcl,
    DeleteOneTimeTokens,
    DeletePolicies,
    DeleteRoles,
    DeleteTokens,
    UpsertOneTimeToken,
    UpsertPolicies,
    UpsertRoles,
    UpsertTokens,
)
from yurt.fsm.commands_base import Done
from yurt.fsm.errors import Refusal
from yurt.fsm.store.schema import ACL_BOOTSTRAP, ACL_POLICIES, ACL_ROLES, ACL_TOKENS, ONE_TIME_TOKENS, Table
from yurt.fsm.store.transaction import Transaction
from yurt.fsm.structs.acl import AclBootstrap, AclToken, secret_digest
from yurt.fsm.structs.base import replace

DENIED = "Permission denied"
ROLE_NOT_FOUND = "ACL role not found"


def _put(txn: Transaction, table: Table[str, Any], row: Any) -> None:
    stored = txn.get(table, table.key(row))
    created = stored.create_index if stored is not None else txn.index
    txn.put(table, replace(row, hash=row.content_hash(), create_index=created, modify_index=txn.index))


def upsert_policies(txn: Transaction, command: UpsertPolicies) -> Done:
    """Handle `UpsertPolicies`."""
    for policy in command.policies:
        _put(txn, ACL_POLICIES, policy)
    return Done(index=txn.index)


def delete_policies(txn: Transaction, command: DeletePolicies) -> Done:
    """Handle `DeletePolicies`."""
    for name in command.names:
        txn.delete(ACL_POLICIES, name)
    return Done(index=txn.index)


def upsert_tokens(txn: Transaction, command: UpsertTokens) -> Done:
    """Handle `UpsertTokens`; what a token was made with (secret, times, being global) stays."""
    for token in command.tokens:
        stored = txn.get(ACL_TOKENS, token.accessor_id)
        row = token
        if stored is not None:
            row = replace(
                token,
                secret_id=stored.secret_id,
                is_global=stored.is_global,
                create_time_ns=stored.create_time_ns,
                expiration_ttl_ns=stored.expiration_ttl_ns,
                expiration_time_ns=stored.expiration_time_ns,
            )
        _refuse_taken_secret(txn, row)
        for role_id in row.role_ids or ():
            if txn.get(ACL_ROLES, role_id) is None and role_id not in ((stored.role_ids or ()) if stored else ()):
                raise Refusal(400, f"cannot find role {role_id}")
        _put(txn, ACL_TOKENS, row)
    return Done(index=txn.index)


def _refuse_taken_secret(txn: Transaction, token: AclToken) -> None:
    owners = txn.find(ACL_TOKENS, "secret", secret_digest(token.secret_id))
    if any(one.accessor_id != token.accessor_id for one in owners):
        raise Refusal(400, "the secret is that of another token")


def delete_tokens(txn: Transaction, command: DeleteTokens) -> Done:
    """Handle `DeleteTokens`: all or none."""
    for accessor_id in command.accessor_ids:
        stored = txn.get(ACL_TOKENS, accessor_id)
        if command.expired and (stored is None or not stored.is_expired(command.now_ns)):
            continue
        if stored is None:
            raise Refusal(400, f"Cannot delete nonexistent tokens: {accessor_id}")
        txn.delete(ACL_TOKENS, accessor_id)
        for one in txn.find(ONE_TIME_TOKENS, "accessor", accessor_id):
            txn.delete(ONE_TIME_TOKENS, one.one_time_secret_id)
    return Done(index=txn.index)


def bootstrap(txn: Transaction, command: BootstrapAcl) -> Done:
    """Handle `BootstrapAcl`."""
    done = txn.get(ACL_BOOTSTRAP, "")
    if done is not None and command.reset_index == 0:
        raise Refusal(400, f"ACL bootstrap already done (reset index: {done.index})")
    if done is not None and command.reset_index != done.index:
        text = f"Invalid bootstrap reset index (specified {command.reset_index}, reset index: {done.index})"
        raise Refusal(400, text)
    _refuse_taken_secret(txn, command.token)
    _put(txn, ACL_TOKENS, command.token)
    txn.put(ACL_BOOTSTRAP, AclBootstrap(index=txn.index))
    return Done(index=txn.index)


def upsert_roles(txn: Transaction, command: UpsertRoles) -> Done:
    """Handle `UpsertRoles`."""
    for role in command.roles:
        if any(one.id != role.id for one in txn.find(ACL_ROLES, "name", role.name)):
            raise Refusal(400, f"role with name {role.name} already exists")
        for link in role.policies or ():
            if txn.get(ACL_POLICIES, link.name) is None:
                raise Refusal(400, f"cannot find policy {link.name}")
        _put(txn, ACL_ROLES, role)
    return Done(index=txn.index)


def delete_roles(txn: Transaction, command: DeleteRoles) -> Done:
    """Handle `DeleteRoles`: all or none."""
    for role_id in command.ids:
        if not txn.delete(ACL_ROLES, role_id):
            raise Refusal(500, ROLE_NOT_FOUND)
    return Done(index=txn.index)


def upsert_one_time_token(txn: Transaction, command: UpsertOneTimeToken) -> Done:
    """Handle `UpsertOneTimeToken`."""
    token = command.token
    if txn.get(ACL_TOKENS, token.accessor_id) is None:
        raise Refusal(403, DENIED)
    for one in txn.find(ONE_TIME_TOKENS, "accessor", token.accessor_id):
        txn.delete(ONE_TIME_TOKENS, one.one_time_secret_id)
    txn.put(ONE_TIME_TOKENS, replace(token, create_index=txn.index, modify_index=txn.index))
    return Done(index=txn.index)


def delete_one_time_tokens(txn: Transaction, command: DeleteOneTimeTokens) -> Done:
    """Handle `DeleteOneTimeTokens`."""
    for secret_id in command.secret_ids:
        stored = txn.get(ONE_TIME_TOKENS, secret_id)
        if command.taken and (stored is None or stored.expires_at_ns <= command.now_ns):
            raise Refusal(403, DENIED)
        txn.delete(ONE_TIME_TOKENS, secret_id)
    return Done(index=txn.index)
