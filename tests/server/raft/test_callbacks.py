"""Whoever waits for a proposal may break; the engine and everybody else go on."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.raft.servers import leader_of, quiet_cluster, run_until, write
from yurt.server.raft.errors import NotLeader


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
