"""What a server proposes while its peers are being upgraded."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from yurt.fsm import commands
from yurt.fsm.errors import Refusal
from yurt.fsm.machine import Machine
from yurt.server.config.agent import AgentConfig
from yurt.server.raft.transport.handshake import Hello
from yurt.server.server import Server
from yurt.server.telemetry.metrics import Metrics


class OfTomorrow(commands.Command, frozen=True, kw_only=True):
    """A command that only the next version knows."""

    since: ClassVar[int] = 2


class Log:
    """An engine's face for proposals: keeps what was proposed."""

    def __init__(self) -> None:
        self.own = SimpleNamespace(id="a")
        self.configuration = [["a", "", ""], ["b", "", ""], ["c", "", ""]]
        self.proposed: list[bytes] = []

    def propose(self, payload: bytes, callback: Any) -> None:
        self.proposed.append(payload)
        callback(None, RuntimeError("far enough"))


def server(monkeypatch: pytest.MonkeyPatch, *versions: int) -> tuple[Server, Log]:
    monkeypatch.setattr(commands, "COMMAND_VERSION", 2)
    log = Log()
    hellos = {
        name: Hello(server_id=name, command_version=version) for name, version in zip("bc", versions, strict=False)
    }
    transport = SimpleNamespace(hellos=hellos)
    return Server(AgentConfig(), Machine(), log, transport, Metrics()), log  # type: ignore[arg-type]


@pytest.mark.parametrize("versions", [(1, 2), (2, 1), (2,), ()])
def test_a_new_command_waits_until_every_server_knows_it(monkeypatch: pytest.MonkeyPatch, versions: tuple[int]) -> None:
    one, log = server(monkeypatch, *versions)
    with pytest.raises(Refusal, match="the cluster is being upgraded"):
        asyncio.run(one.propose(OfTomorrow()))
    assert log.proposed == []


def test_and_is_proposed_then(monkeypatch: pytest.MonkeyPatch) -> None:
    one, log = server(monkeypatch, 2, 2)
    with pytest.raises(RuntimeError, match="far enough"):
        asyncio.run(one.propose(OfTomorrow()))
    assert log.proposed[0][:1] == b"\x02"


def test_commands_of_the_first_version_never_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    one, log = server(monkeypatch)
    with pytest.raises(RuntimeError, match="far enough"):
        asyncio.run(one.propose(commands.ReconcileSummaries()))
    assert len(log.proposed) == 1
