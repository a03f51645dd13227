"""Tokens whose time is over are deleted some time later (spec acl §4, §7)."""

from __future__ import annotations

from collections.abc import Iterator

from yurt.fsm.commands import Command
from yurt.fsm.commands_acl import DeleteOneTimeTokens, DeleteTokens
from yurt.fsm.store.reader import Reader
from yurt.fsm.store.schema import ACL_TOKENS, ONE_TIME_TOKENS

BATCH_MAX = 128


def collecting_tokens(reader: Reader, now_ns: int, threshold_ns: int) -> Iterator[Command | None]:
    """Yield commands that delete tokens expired for `threshold_ns` and one-time tokens; None after other steps."""
    ended: list[str] = []
    for token in reader.each(ACL_TOKENS, "expires", True):
        yield None
        if token is not None and token.expiration_time_ns + threshold_ns <= now_ns:
            ended.append(token.accessor_id)
        if len(ended) == BATCH_MAX:
            yield DeleteTokens(now_ns=now_ns, accessor_ids=tuple(ended), expired=True)
            ended = []
    if ended:
        yield DeleteTokens(now_ns=now_ns, accessor_ids=tuple(ended), expired=True)
    secrets: list[str] = []
    for one_time in reader.scan(ONE_TIME_TOKENS):
        yield None
        if one_time.expires_at_ns <= now_ns:
            secrets.append(one_time.one_time_secret_id)
        if len(secrets) == BATCH_MAX:
            yield DeleteOneTimeTokens(now_ns=now_ns, secret_ids=tuple(secrets))
            secrets = []
    if secrets:
        yield DeleteOneTimeTokens(now_ns=now_ns, secret_ids=tuple(secrets))
