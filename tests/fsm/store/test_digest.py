"""Digests go round the state, are the same wherever the state is, and see a row that differs."""

from __future__ import annotations

from typing import Any

import pytest

from yurt.fsm import commands
from yurt.fsm.commands import RegisterJob
from yurt.fsm.machine import Machine
from yurt.fsm.store import digest as digest_module
from yurt.fsm.store.schema import JOB_SUMMARIES, JOBS, NAMESPACES, Table
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.job import Job


def machine_with(jobs: int) -> Machine:
    machine = Machine()
    for number in range(jobs):
        job = Job(id=f"job-{number}", name="n")
        machine.apply(commands.encode(RegisterJob(now_ns=5, job=job, eval_id=f"e{number}")))
    return machine


def round_of(machine: Machine) -> list[bytes]:
    """The digests of all slices, once round."""
    found, place = [], b""
    while True:
        digest, place = machine.digest(place)
        found.append(digest)
        if digest_module._place(place) == (digest_module._ORDER[0], None):
            return found
        assert len(found) < 1000


def test_equal_states_have_equal_digests_also_through_a_snapshot() -> None:
    one, other = machine_with(20), Machine()
    other.restore(one.write(one.capture()))
    assert round_of(one) == round_of(machine_with(20)) == round_of(other)


@pytest.mark.parametrize(
    ("table", "key", "change"),
    [
        (JOBS, ("default", "job-7"), {"priority": 51}),
        (JOB_SUMMARIES, ("default", "job-19"), {"create_index": 1}),
        (NAMESPACES, "default", {"description": "another"}),
    ],
)
def test_a_row_that_differs_is_seen_once_round(table: Table[Any, Any], key: Any, change: dict[str, Any]) -> None:
    one, other = machine_with(20), machine_with(20)
    for machine, changed in ((one, {}), (other, change)):
        transaction = machine.store.begin(machine.index + 1)
        transaction.put(table, replace(transaction.get(table, key), **changed))
        machine.store.commit(transaction)
    assert round_of(one) != round_of(other)


def test_a_slice_is_bounded_and_the_next_goes_on_where_it_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = len(round_of(machine_with(20)))
    monkeypatch.setattr(digest_module, "ROWS", 6)
    assert len(round_of(machine_with(20))) > whole + 2


def test_an_unknown_place_begins_anew() -> None:
    machine = machine_with(1)
    assert machine.digest(digest_module._packed("no such table", None))[0] == machine.digest(b"")[0]
