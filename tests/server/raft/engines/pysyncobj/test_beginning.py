"""Servers on pysyncobj find each other, begin, and come back."""

from __future__ import annotations

import asyncio
import logging
import socket
from functools import partial
from pathlib import Path

import pytest

from tests.server.raft.engines.pysyncobj.servers import Together, run
from yurt.server.raft.errors import AddressRefused, Corrupt


def test_servers_come_back_after_a_founder_was_taken_out_and_a_newcomer_begins(tmp_path: Path) -> None:
    async def life() -> None:
        async with Together(tmp_path, "a", "b", "c", "new", founders=3) as servers:
            for name in ("a", "b", "c"):
                servers.start(name)
            leader = await servers.leader()
            gone = next(name for name in ("a", "b", "c") if name != leader.own.id)
            servers.stop(gone)
            await servers.change(lambda engine: partial(engine.remove_server, gone))
            left = set(servers.engines)
            await servers.until(lambda: all(len(one.configuration) == 2 for one in servers.engines.values()))
            for name in left:
                servers.stop(name)
            await asyncio.sleep(0)
            for name in left:
                assert not servers.start(name).began_empty
            leader = await servers.leader()
            assert {row[0] for row in leader.configuration} == left
            newcomer = servers.start("new")
            assert newcomer.began_empty
            await servers.change(lambda engine: partial(engine.add_server, "new", "h:4", "new"))
            await servers.until(lambda: {row[0] for row in newcomer.configuration} == left | {"new"})
            assert servers.failures == []

    run(life())


def test_it_is_told_once_whom_a_beginning_waits_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def life() -> None:
        async with Together(tmp_path, "a", "b") as servers:
            with caplog.at_level(logging.INFO, "raft.pysyncobj"):
                servers.start("a")
                servers.start("b")
                await servers.leader()
            waits = [record for record in caplog.records if "waits for the addresses" in record.message]
            assert [record.__dict__["servers"] for record in waits] == ["b", "a"]

    run(life())


def test_an_answer_of_no_use_is_ignored_with_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def life() -> None:
        async with Together(tmp_path, "a", "b") as servers:
            answers = iter([b"\xc1", b"\x90", b"\x91\x94\xa1a\xa3h:1\xa1a\xa3h:5"])
            real, asked = servers.ask, asyncio.Event()

            async def ask(server_id: str) -> bytes:
                if (junk := next(answers, None)) is not None:
                    return junk
                asked.set()
                return await real(server_id)

            servers.ask = ask  # type: ignore[method-assign]
            servers.start("a")
            await asyncio.wait_for(asked.wait(), 30)
            servers.start("b")
            await servers.leader()
            assert servers.failures == []

    run(life())
    assert sum("is ignored" in record.message for record in caplog.records) == 3


def test_a_port_in_use_ends_the_server_with_a_sentence(tmp_path: Path) -> None:
    async def life() -> None:
        async with Together(tmp_path, "a") as servers:
            with socket.socket() as other:
                other.bind(("127.0.0.1", servers.ports["a"]))
                other.listen()
                servers.start("a")
                await asyncio.wait_for(servers.failed.wait(), 30)
        error = servers.failures[0][1]
        assert isinstance(error, AddressRefused) and f"cannot listen on {servers.address('a')}" in str(error)

    run(life())


def test_two_servers_with_one_address_do_not_begin(tmp_path: Path) -> None:
    async def life() -> None:
        async with Together(tmp_path, "a", "b") as servers:
            servers.start("a")
            servers.start("b", address=servers.address("a"))
            await asyncio.wait_for(servers.failed.wait(), 30)
            error = servers.failures[0][1]
            assert isinstance(error, AddressRefused) and "more than one server is dialled at" in str(error)
            assert not any(one.is_leader_role for one in servers.engines.values())

    run(life())


def test_a_damaged_dump_ends_the_server(tmp_path: Path) -> None:
    async def life() -> None:
        async with Together(tmp_path, "a") as servers:
            (tmp_path / "a").mkdir()
            (tmp_path / "a" / "dump").write_bytes(b"\x94nothing of the kind")
            servers.start("a")
            await asyncio.wait_for(servers.failed.wait(), 30)
            assert isinstance(servers.failures[0][1], Corrupt) and not servers.engines["a"].is_ready

    run(life())


def test_a_server_that_has_a_log_did_not_begin_empty(tmp_path: Path) -> None:
    async def life() -> None:
        async with Together(tmp_path, "a") as servers:
            assert servers.start("a").began_empty
            await servers.leader()
            servers.stop("a")
            assert not servers.start("a").began_empty

    run(life())


def test_a_newcomer_that_was_not_let_in_begins_empty_again(tmp_path: Path) -> None:
    async def life() -> None:
        async with Together(tmp_path, "a", "new", founders=1) as servers:
            servers.start("a")
            await servers.leader()
            servers.start("new")
            await servers.until((tmp_path / "new" / "journal").exists)
            servers.stop("new")
            assert servers.start("new").began_empty

    run(life())
