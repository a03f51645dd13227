"""The same commands give the same state: at once, through snapshots, in any process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.property.histories import histories
from tests.property.replay import run, snapshot_of
from yurt.fsm import commands
from yurt.fsm.machine import Applied, Broken, Machine
from yurt.fsm.store.schema import JOB_VERSIONS, JOBS, TABLES
from yurt.fsm.store.state import TableState
from yurt.fsm.store.view import View

ROOT = Path(__file__).resolve().parents[2]
OTHER_SEEDS = ("1", "4242")


class Other:
    """Another process with its own hash seed."""

    def __init__(self, seed: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.property.replay"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed}, bufsize=0,
        )  # fmt: skip

    def replay(self, payloads: list[bytes]) -> list[bytes]:
        """Outcomes and snapshot."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(msgpack.packb(payloads))
        unpacker = msgpack.Unpacker(max_buffer_size=1 << 30)
        while received := self.process.stdout.read(1 << 16):
            unpacker.feed(received)
            for answer in unpacker:
                return list(answer)
        raise AssertionError("the other process ended")


@pytest.fixture(scope="module")
def others() -> Iterator[list[Other]]:
    started = [Other(seed) for seed in OTHER_SEEDS]
    yield started
    for other in started:
        other.process.terminate()
        other.process.communicate()


def contents(view: View) -> dict[str, Any]:
    """Everything a state holds, its secondary indexes as plain lists."""

    def indexes(table: TableState) -> dict[str, Any]:
        return {
            name: {value: (len(keys), sorted(keys)) for value, keys in sorted(index.items())}
            for name, index in table.indexes.items()
        }

    return {name: (table.index, dict(table.rows), indexes(table)) for name, table in view._tables.items()}


@given(histories, st.data())
def test_a_snapshot_in_the_middle_changes_nothing(history: list[bytes], data: st.DataObject) -> None:
    whole, first, second = Machine(), Machine(), Machine()
    outcomes = run(whole, history)
    assert [outcome.index for outcome in outcomes] == list(range(2, len(history) + 2))
    assert not [outcome for outcome in outcomes if isinstance(outcome, Broken)]
    middle = data.draw(st.integers(0, len(history)))
    before = run(first, history[:middle])
    second.restore(first.write(first.capture()))
    assert snapshot_of(second) == snapshot_of(first)
    assert before + run(second, history[middle:]) == outcomes
    assert snapshot_of(second) == snapshot_of(whole)
    assert contents(second.view()) == contents(whole.view())


@given(histories)
def test_what_handlers_leave_is_in_order(history: list[bytes]) -> None:
    machine = Machine()
    view = machine.view()
    run(machine, history)
    assert contents(view) == contents(Machine().view())
    view = machine.view()
    for table in TABLES:
        assert view.table_index(table) <= view.index
        assert list(view.scan(table)) == list(view.detached().scan(table))
        for row in view.scan(table):
            assert getattr(row, "modify_index", 0) <= view.table_index(table)
    for job in view.scan(JOBS):
        assert view.get(JOB_VERSIONS, (job.namespace, job.id, job.version)) is not None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(histories)
def test_another_hash_seed_changes_nothing(others: list[Other], history: list[bytes]) -> None:
    machine = Machine()
    outcomes = [str(outcome).encode() for outcome in run(machine, history)]
    for other in others:
        assert other.replay(history) == [*outcomes, snapshot_of(machine)]


def test_the_histories_reach_every_command() -> None:
    applied: Counter[str] = Counter()

    @settings(derandomize=True, database=None, max_examples=1000, deadline=None)
    @given(histories)
    def gather(history: list[bytes]) -> None:
        for payload, outcome in zip(history, run(Machine(), history), strict=True):
            if isinstance(outcome, Applied):
                applied[type(commands.decode(payload)).__name__] += 1

    gather()
    assert set(applied) == {command.__name__ for command in commands.COMMANDS}
