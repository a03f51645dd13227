"""Servers on pysyncobj at work: long commands, a leader's dump, the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.server.raft.engines.pysyncobj.servers import Together, answer_of, run
from yurt.server.raft.engines.pysyncobj.dump import write_dump
from yurt.server.raft.engines.pysyncobj.engine import PySyncObj
from yurt.server.raft.engines.pysyncobj.members import Members
from yurt.server.raft.errors import Corrupt, NotLeader, TransferFailed

PIECE = 65_536  # the library's own length of a piece


async def propose(engine: PySyncObj, payload: bytes) -> Any:
    result, error = await answer_of(lambda told: engine.propose(payload, told))
    assert error is None, error
    return result


@pytest.mark.parametrize("length", [2 * PIECE - 68, 3 * PIECE])
def test_a_command_of_any_length_reaches_the_others(tmp_path: Path, length: int) -> None:
    async def life() -> None:
        async with Together(tmp_path, "a", "b") as servers:
            for name in servers.names:
                servers.start(name)
            leader = await servers.leader()
            assert await propose(leader, b"x" * length) == 1
            await servers.until(lambda: all(one.applied == [b"x" * length] for one in servers.machines.values()))
            assert servers.failures == []

    run(life())


def test_a_leaders_dump_replaces_the_members_and_they_are_told_and_kept(tmp_path: Path) -> None:
    async def life() -> None:
        async with Together(tmp_path, "a", "b", "c") as servers:
            for name in servers.names:
                servers.start(name)
            await servers.leader()
            engine, told = servers.engines["a"], list[Any]()
            await servers.until((tmp_path / "a" / "members.json").exists)
            engine.on_configuration(told.append)
            servers.machines["a"].applied = [b"before"]
            rows = [("a", "h:1", "a", servers.address("a")), ("z", "h:9", "z", "127.0.0.1:9")]
            write_dump(tmp_path / "sent", ((b"", 9, 3), (b"", 8, 2), set()), rows, servers.machines["a"])
            servers.machines["a"].applied = []
            engine.read_dump(str(tmp_path / "sent"))
            assert servers.machines["a"].applied == [b"before"]
            assert told == [[list(row[:3]) for row in rows]] and engine.configuration == told[0]
            kept = Members(tmp_path / "a" / "members.json")
            kept.begin([], engine.own, servers.address("a"))
            assert kept.rows() == rows

    run(life())


def test_a_leaders_dump_that_is_damaged_ends_the_server(tmp_path: Path) -> None:
    async def life() -> None:
        async with Together(tmp_path, "a") as servers:
            servers.start("a")
            leader = await servers.leader()
            (tmp_path / "sent").write_bytes(b"\xc1")
            with pytest.raises(Corrupt):
                leader.read_dump(str(tmp_path / "sent"))
            assert isinstance(servers.failures[0][1], Corrupt)

    run(life())


def test_whoever_waits_is_answered_at_the_end_by_a_server_that_has_stopped(tmp_path: Path) -> None:
    async def life() -> None:
        async with Together(tmp_path, "a", "b") as servers:
            for name in servers.names:
                servers.start(name)
            leader = await servers.leader()
            other = next(name for name in servers.names if name != leader.own.id)
            servers.stop(other)
            told = list[tuple[Exception | None, Exception | None]]()

            def answered(_result: Any, error: Exception | None) -> None:
                again = list[Exception | None]()
                leader.propose(b"more", lambda _result, why: again.append(why))
                told.append((error, again[0]))

            leader.transfer(other, answered)
            leader.propose(b"x", answered)
            leader.read(answered)
            servers.stop(leader.own.id)
            assert len(told) == 3 and isinstance(told[0][0], TransferFailed)
            assert all(isinstance(again, NotLeader) for _, again in told)

    run(life())
