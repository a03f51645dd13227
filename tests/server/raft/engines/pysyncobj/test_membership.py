"""Changes of who is a member on pysyncobj: two entries, of which the second may be lost."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from tests.server.raft.engines.pysyncobj.servers import Together, answer_of, run
from yurt.server.raft.engines.pysyncobj.engine import PySyncObj
from yurt.server.raft.engines.pysyncobj.replica import Replica
from yurt.server.raft.errors import ChangeRefused, NotLeader, OutcomeUnknown


def others_of(engine: PySyncObj) -> set[str]:
    assert engine.leading is not None
    return {node.id for node in engine.leading.otherNodes}


async def half_done(engine: PySyncObj, change: Any) -> None:
    """Let the library change its list; the entry by which everybody notes it is lost."""
    lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def member(_self: Replica, _row: Any, callback: Any) -> None:
        callback(None, -1)
        lost.set_result(None)

    with mock.patch.object(Replica, "member", member):
        assert isinstance((await answer_of(change))[1], OutcomeUnknown)
        await asyncio.wait_for(lost, 15)


async def _leader_and_one_gone(servers: Together) -> tuple[PySyncObj, str]:
    """The leader of three, and one that was stopped: it would stand for election where nobody heard that it is out."""
    for name in servers.names:
        servers.start(name)
    leader = await servers.leader()
    gone = next(name for name in servers.names if name != leader.own.id)
    servers.stop(gone)
    return leader, gone


def test_an_addition_that_was_half_done_is_finished(tmp_path: Path) -> None:
    async def life() -> None:
        async with Together(tmp_path, "a", "new", founders=1) as servers:
            leader = servers.start("a")
            await servers.leader()
            newcomer = servers.start("new")
            add = lambda told: leader.add_server("new", "h:2", "new", told)  # noqa: E731
            await half_done(leader, add)
            assert others_of(leader) == {servers.address("new")} and len(leader.configuration) == 1
            assert await answer_of(add) == (0, None)
            assert len(leader.configuration) == 2
            await servers.until(lambda: len(newcomer.configuration) == 2)
            assert await answer_of(add) == (0, None)

    run(life())


def test_a_removal_that_was_half_done_is_finished(tmp_path: Path) -> None:
    async def life() -> None:
        async with Together(tmp_path, "a", "b", "c") as servers:
            leader, gone = await _leader_and_one_gone(servers)
            remove = lambda told: leader.remove_server(gone, told)  # noqa: E731
            await half_done(leader, remove)
            assert servers.address(gone) not in others_of(leader) and len(leader.configuration) == 3
            assert await answer_of(remove) == (0, None)
            assert gone not in {row[0] for row in leader.configuration}
            assert await answer_of(remove) == (0, None)

    run(life())


def test_a_removal_that_was_half_done_is_undone_by_an_addition(tmp_path: Path) -> None:
    async def life() -> None:
        async with Together(tmp_path, "a", "b", "c") as servers:
            leader, gone = await _leader_and_one_gone(servers)
            await half_done(leader, lambda told: leader.remove_server(gone, told))
            row = next(row for row in leader.configuration if row[0] == gone)
            assert await answer_of(lambda told: leader.add_server(*row, told)) == (0, None)
            assert servers.address(gone) in others_of(leader)

    run(life())


def test_a_server_that_only_the_library_has_is_not_said_to_be_out(tmp_path: Path) -> None:
    async def life() -> None:
        async with Together(tmp_path, "a", "new", founders=1) as servers:
            leader = servers.start("a")
            await servers.leader()
            servers.start("new")
            await half_done(leader, lambda told: leader.add_server("new", "h:2", "new", told))
            ask = servers.engines.pop("new")
            _, error = await answer_of(lambda told: leader.remove_server("new", told))
            assert isinstance(error, ChangeRefused) and "does not say where" in str(error)
            servers.engines["new"] = ask
            assert await answer_of(lambda told: leader.remove_server("new", told)) == (0, None)
            assert others_of(leader) == set()

    run(life())


def test_a_server_with_another_ones_address_or_another_address_than_before_is_not_let_in(tmp_path: Path) -> None:
    async def life() -> None:
        async with Together(tmp_path, "a", "new", founders=1) as servers:
            leader = servers.start("a")
            await servers.leader()
            servers.start("new", address=servers.address("a"))
            _, error = await answer_of(lambda told: leader.add_server("new", "h:2", "new", told))
            assert isinstance(error, ChangeRefused) and "has the address" in str(error)
            _, error = await answer_of(lambda told: leader.add_server("a", "h:9", "a", told))
            assert isinstance(error, ChangeRefused) and "take it out first" in str(error)

    run(life())


@pytest.mark.parametrize(
    "answer", [b"\xc1", b"\x91\x94\xa3new\xa3h:2\xa3new\xa7nowhere", b"\x91\x94\xa1x\xa3h:2\xa1x\xa3h:5"]
)
def test_a_newcomer_whose_answer_is_of_no_use_is_refused(tmp_path: Path, answer: bytes) -> None:
    async def life() -> None:
        async with Together(tmp_path, "a") as servers:
            leader = servers.start("a")
            await servers.leader()

            async def ask(_server_id: str) -> bytes:
                return answer

            leader._ask = ask
            _, error = await answer_of(lambda told: leader.add_server("new", "h:2", "new", told))
            assert isinstance(error, ChangeRefused) and "does not say where" in str(error)
            assert servers.failures == []

    run(life())


def test_a_change_that_waits_for_an_answer_is_told_when_the_server_stops(tmp_path: Path) -> None:
    async def life() -> None:
        async with Together(tmp_path, "a") as servers:
            leader = servers.start("a")
            await servers.leader()
            asked = asyncio.Event()

            async def ask(_server_id: str) -> bytes:
                asked.set()
                await asyncio.Future[None]()
                return b""

            leader._ask = ask
            told: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
            leader.add_server("new", "h:2", "new", lambda _result, error: told.set_result(error))
            await asked.wait()
            servers.stop("a")
            assert isinstance(await told, NotLeader)

    run(life())
