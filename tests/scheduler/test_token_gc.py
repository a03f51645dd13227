"""Which tokens are deleted, and when."""

from __future__ import annotations

from yurt.fsm import commands
from yurt.fsm.commands_acl import DeleteOneTimeTokens, DeleteTokens, UpsertOneTimeToken, UpsertTokens
from yurt.fsm.machine import Applied, Machine
from yurt.fsm.store.schema import ACL_TOKENS, ONE_TIME_TOKENS
from yurt.fsm.structs.acl import AclToken, OneTimeToken
from yurt.scheduler.duties.token_gc import collectable_tokens


def test_ended_tokens_go_after_the_threshold() -> None:
    machine = Machine()

    def apply(command: commands.Command) -> None:
        assert isinstance(machine.apply(commands.encode(command)), Applied)

    tokens = tuple(
        AclToken(accessor_id=name, secret_id=f"s{name}", type="client", policies=("p",), expiration_time_ns=end)
        for name, end in (("a", 100), ("b", 200), ("c", 0))
    )
    apply(UpsertTokens(tokens=tokens))
    apply(UpsertOneTimeToken(token=OneTimeToken(one_time_secret_id="x", accessor_id="c", expires_at_ns=150)))
    assert collectable_tokens(machine.view(), 149, 50) == []
    assert collectable_tokens(machine.view(), 150, 50) == [
        DeleteTokens(now_ns=150, accessor_ids=("a",), expired=True),
        DeleteOneTimeTokens(now_ns=150, secret_ids=("x",)),
    ]
    for command in collectable_tokens(machine.view(), 10_000, 50):
        apply(command)
    assert [one.accessor_id for one in machine.view().scan(ACL_TOKENS)] == ["c"]
    assert not list(machine.view().scan(ONE_TIME_TOKENS)) and collectable_tokens(machine.view(), 10_000, 0) == []
