"""Whoever waits for a proposal may break; the engine and everybody else go on."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest

from tests.server.raft.servers import leader_of, quiet_cluster, run_until, write
from yurt.server.raft.errors import NotLeader, TransferFailed
from yurt.server.testing.simulation.cluster import Cluster


def test_a_callback_that_raises_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    cluster = quiet_cluster()
    write(cluster, 1)
    leader = leader_of(cluster)
    assert leader is not None and leader.engine is not None
    answers: list[tuple[Any, Any]] = []

    def broken(_result: Any, _error: Exception | None) -> None:
        raise RuntimeError("whoever asked is broken")

    for callback in (broken, lambda result, error: answers.append((result, error))):
        leader.engine.propose(b"word", callback)
    run_until(cluster, lambda: answers)
    assert answers[0][1] is None and not leader.engine.stopped
    assert "the engine goes on" in caplog.text
    write(cluster, 1)


def test_one_that_raises_when_the_leadership_ends_keeps_no_answer_from_others() -> None:
    cluster = quiet_cluster()
    leader = leader_of(cluster)
    assert leader is not None and leader.engine is not None
    answers: list[Exception | None] = []

    def broken(_result: Any, _error: Exception | None) -> None:
        raise RuntimeError("whoever asked is broken")

    for callback in (broken, lambda _result, error: answers.append(error)):
        leader.engine.propose(b"word", callback)
    leader.engine.stop()
    assert len(answers) == 1 and isinstance(answers[0], NotLeader)


def _broken(_result: Any, _error: Exception | None) -> None:
    raise RuntimeError("whoever asked is broken")


def test_a_reader_that_raises_keeps_no_answer_from_others(caplog: pytest.LogCaptureFixture) -> None:
    cluster = quiet_cluster()
    leader = leader_of(cluster)
    assert leader is not None and leader.engine is not None
    follower = next(server for server in cluster.servers.values() if server is not leader).engine
    assert follower is not None
    answers: list[Exception | None] = []
    for engine in (leader.engine, follower):
        for callback in (_broken, lambda _result, error: answers.append(error)):
            engine.read(callback, quorum=True)
    run_until(cluster, lambda: len(answers) == 2)
    assert answers == [None, None] and caplog.text.count("the engine goes on") == 2


def test_one_who_waits_for_a_leader_and_raises_keeps_no_answer_from_others() -> None:
    cluster = Cluster(1, 3, plain=True)
    engines = [server.engine for server in cluster.servers.values() if server.engine is not None]
    answers: list[Exception | None] = []
    for engine in engines:
        for ask in (engine.when_led, engine.when_leader_changes):
            ask(_broken)
            ask(lambda _result, error: answers.append(error))
    run_until(cluster, lambda: len(answers) == 2 * len(engines))
    assert set(answers) == {None}


def test_every_callback_that_waits_is_called_when_the_engine_stops() -> None:
    cluster = quiet_cluster()
    leader = leader_of(cluster)
    assert leader is not None and leader.engine is not None
    engine = leader.engine
    for server in cluster.servers.values():
        if server is not leader:
            server.crash()
    answers: dict[str, Exception | None] = {}

    def read_and_write_on(_result: Any, _error: Exception | None) -> None:
        engine.propose(b"later", lambda _result, error: answers.update({"a write from a callback": error}))
        engine.read(lambda _result, error: answers.update({"a read from a callback": error}))
        engine.transfer(None, lambda _result, error: answers.update({"a transfer from a callback": error}))

    engine.read(read_and_write_on, quorum=True)
    engine.restore_state([b"piece"] * 9, lambda _result, error: answers.update({"a restoration": error}))
    engine.transfer(None, lambda _result, error: answers.update({"a transfer": error}))
    engine.stop()
    assert {name: type(error) for name, error in answers.items()} == {
        "a restoration": NotLeader, "a transfer": TransferFailed, "a write from a callback": NotLeader,
        "a read from a callback": NotLeader, "a transfer from a callback": NotLeader,
    }  # fmt: skip
    assert not engine.queue and not engine.waiting


def test_a_restoration_that_waits_for_room_ends_when_the_engine_stops() -> None:
    cluster = quiet_cluster()
    leader = leader_of(cluster)
    assert leader is not None and leader.engine is not None
    answers: list[Exception | None] = []
    engine, journal = leader.engine, leader.engine.storage.journal
    before = engine.last_applied
    engine.restore_state([b"piece"] * 9, lambda _result, error: answers.append(error))
    with mock.patch.object(type(journal), "writable", property(lambda found: found is not journal)):
        run_until(cluster, lambda: engine.last_applied > before and not engine.waiting)
        assert not answers
        engine.stop()
    assert [type(error) for error in answers] == [NotLeader]
