"""Tokens whose time is over are deleted some time later (spec acl §4, §7)."""

from __future__ import annotations

from yurt.fsm.commands import Command
from yurt.fsm.commands_acl import DeleteOneTimeTokens, DeleteTokens
from yurt.fsm.store.schema import ACL_TOKENS, ONE_TIME_TOKENS
from yurt.fsm.store.view import View

BATCH_MAX = 2048


def collectable_tokens(view: View, now_ns: int, threshold_ns: int) -> list[Command]:
    """What deletes tokens that ended `threshold_ns` ago and one-time tokens that ended."""
    ended = [one for one in view.find(ACL_TOKENS, "expires", True) if one.expiration_time_ns + threshold_ns <= now_ns]
    secrets = [one.one_time_secret_id for one in view.scan(ONE_TIME_TOKENS) if one.expires_at_ns <= now_ns]
    found: list[Command] = []
    if ended:
        ids = tuple(one.accessor_id for one in ended[:BATCH_MAX])
        found.append(DeleteTokens(now_ns=now_ns, accessor_ids=ids, expired=True))
    if secrets:
        found.append(DeleteOneTimeTokens(now_ns=now_ns, secret_ids=tuple(secrets[:BATCH_MAX])))
    return found
