"""Which tokens are deleted, and when."""

from __future__ import annotations

from yurt.fsm import commands
from yurt.fsm.commands_acl import DeleteOneTimeTokens, DeleteTokens, UpsertOneTimeToken, UpsertTokens
from yurt.fsm.machine import Applied, Machine
from yurt.fsm.store.schema import ACL_TOKENS, ONE_TIME_TOKENS
from yurt.fsm.structs.acl import AclToken, OneTimeToken
from yurt.scheduler.duties.token_gc import BATCH_MAX, collecting_tokens


def collectable_tokens(machine: Machine, now_ns: int, threshold_ns: int) -> list[commands.Command]:
    return [one for one in collecting_tokens(machine.view(), now_ns, threshold_ns) if one is not None]


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
    assert collectable_tokens(machine, 149, 50) == []
    assert collectable_tokens(machine, 150, 50) == [
        DeleteTokens(now_ns=150, accessor_ids=("a",), expired=True),
        DeleteOneTimeTokens(now_ns=150, secret_ids=("x",)),
    ]
    for command in collectable_tokens(machine, 10_000, 50):
        apply(command)
    assert [one.accessor_id for one in machine.view().scan(ACL_TOKENS)] == ["c"]
    assert not list(machine.view().scan(ONE_TIME_TOKENS)) and collectable_tokens(machine, 10_000, 0) == []


def test_many_tokens_go_in_commands_of_bounded_size() -> None:
    machine = Machine()
    count = 2 * BATCH_MAX + 3
    tokens = tuple(
        AclToken(accessor_id=f"a{n}", secret_id=f"s{n}", type="client", policies=("p",), expiration_time_ns=1)
        for n in range(count)
    )
    machine.apply(commands.encode(UpsertTokens(tokens=tokens)))
    for n in range(count):
        token = OneTimeToken(one_time_secret_id=f"o{n:04d}", accessor_id=f"a{n}", expires_at_ns=1)
        machine.apply(commands.encode(UpsertOneTimeToken(token=token)))
    found = collectable_tokens(machine, 10, 0)
    assert len(found) == 6
    for command in found:
        assert isinstance(machine.apply(commands.encode(command)), Applied)
    assert not machine.view().count(ACL_TOKENS) and not machine.view().count(ONE_TIME_TOKENS)
