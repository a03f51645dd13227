from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from yurt.fsm import commands
from yurt.fsm import machine as machine_module
from yurt.fsm.apply.handlers import HANDLERS
from yurt.fsm.commands import Done, ReconcileSummaries, RegisterJob, RevertJob, UnknownCommand
from yurt.fsm.errors import Refusal
from yurt.fsm.machine import Applied, Broken, Machine, Refused
from yurt.fsm.store.changes import Change
from yurt.fsm.store.schema import (
    ACL_POLICIES,
    ACL_ROLES,
    ACL_TOKENS,
    EVALUATIONS,
    JOBS,
    NAMESPACES,
    NODE_POOLS,
    SERVICE_REGISTRATIONS,
    TABLES,
    VARIABLES,
)
from yurt.fsm.store.snapshot import BadSnapshot
from yurt.fsm.store.transaction import Transaction
from yurt.fsm.structs.job import Job

REGISTER = commands.encode(RegisterJob(now_ns=5, job=Job(id="a", name="a"), eval_id="e1"))
RECONCILE = commands.encode(ReconcileSummaries())


def snapshot_of(machine: Machine) -> bytes:
    return b"".join(machine.write(machine.capture()))


@pytest.fixture
def handle(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Transaction], Any]], None]:
    """Give `ReconcileSummaries` another handler."""

    handlers: dict[Any, Callable[[Transaction, Any], Any]] = {**HANDLERS}
    monkeypatch.setattr(machine_module, "HANDLERS", handlers)

    def set_handler(handler: Callable[[Transaction], Any]) -> None:
        handlers[ReconcileSummaries] = lambda transaction, command: handler(transaction)

    return set_handler


def test_birth() -> None:
    machine = Machine()
    view = machine.view()
    assert machine.index == view.index == 1
    spaces = [(row.name, row.description, row.create_index, row.modify_index) for row in view.scan(NAMESPACES)]
    assert spaces == [("default", "Default shared namespace", 1, 1)]
    pools = [(row.name, row.description, row.create_index, row.modify_index) for row in view.scan(NODE_POOLS)]
    assert pools == [
        ("all", "Node pool with all nodes in the cluster.", 1, 1),
        ("default", "Default node pool.", 1, 1),
    ]
    floors = {table.name: view.table_index(table) for table in TABLES if view.table_index(table)}
    begun = (NAMESPACES, NODE_POOLS, SERVICE_REGISTRATIONS, ACL_POLICIES, ACL_ROLES, ACL_TOKENS, VARIABLES)
    assert floors == {table.name: 1 for table in begun}
    assert snapshot_of(Machine()) == snapshot_of(Machine())


def test_an_applied_command() -> None:
    machine = Machine()
    outcome = machine.apply(REGISTER)
    assert isinstance(outcome, Applied)
    assert outcome.index == machine.index == 2
    assert outcome.value.job_modify_index == 2
    assert machine.view().get(JOBS, ("default", "a")) is not None


def test_a_refused_command_uses_its_index_and_nothing_else() -> None:
    machine = Machine()
    told: list[int] = []
    machine.on_commit(lambda index, changes: told.append(index))
    machine.store.watches.watch([(table, None) for table in TABLES], told.append)
    view = machine.view()
    outcome = machine.apply(commands.encode(RevertJob(namespace="default", job_id="x")))
    assert outcome == Refused(2, 500, 'job "x" not found')
    assert machine.index == 2
    assert told == []
    assert [machine.view().table_index(table) for table in TABLES] == [view.table_index(table) for table in TABLES]


@pytest.mark.parametrize("error", [Refusal(409, "no"), ValueError("oops"), AssertionError("hm"), StopIteration(3)])
def test_whatever_a_failed_command_wrote_is_gone(
    error: Exception, handle: Callable[[Callable[[Transaction], Any]], None]
) -> None:
    def write_and_fail(transaction: Transaction) -> None:
        transaction.put(JOBS, Job(id="b"))
        transaction.delete(JOBS, ("default", "a"))
        transaction.delete(EVALUATIONS, "e1")
        transaction.touch(SERVICE_REGISTRATIONS)
        raise error

    handle(write_and_fail)
    machine, other = Machine(), Machine()
    for one in (machine, other):
        one.apply(REGISTER)
    before = machine.view()
    outcome = machine.apply(RECONCILE)
    assert outcome.index == machine.index == 3
    assert list(machine.view().scan(JOBS)) == list(before.scan(JOBS))
    other.store.skip(3)
    assert snapshot_of(machine) == snapshot_of(other)
    assert isinstance(outcome, Refused if isinstance(error, Refusal) else Broken)


def test_a_bug_gives_the_same_trace_everywhere(handle: Callable[[Callable[[Transaction], Any]], None]) -> None:
    def fail(transaction: Transaction) -> None:
        raise TypeError(f"cannot use {object()!r} with 0xff")

    handle(fail)
    outcomes = {str(Machine().apply(RECONCILE)) for _ in range(3)}
    assert outcomes == {
        str(
            Broken(
                2,
                "TypeError: cannot use <object object at 0x…> with 0xff"
                " at fsm/machine.py:apply > fsm/test_machine.py:<lambda> > fsm/test_machine.py:fail",
            )
        )
    }


class Mute(Exception):
    """An error that cannot say what it is."""

    def __str__(self) -> str:
        raise ValueError("mute")


def test_a_bug_that_cannot_be_printed_is_a_bug_too(handle: Callable[[Callable[[Transaction], Any]], None]) -> None:
    def fail(transaction: Transaction) -> None:
        raise Mute

    handle(fail)
    outcome = Machine().apply(RECONCILE)
    assert isinstance(outcome, Broken)
    assert outcome.trace.startswith("tests.fsm.test_machine.Mute: <exception str() failed> at ")


@pytest.mark.parametrize("error", [MemoryError(), RecursionError("deep"), OSError("disk"), KeyboardInterrupt()])
def test_what_may_strike_one_server_alone_passes_before_the_index_counts(
    error: BaseException, handle: Callable[[Callable[[Transaction], Any]], None]
) -> None:
    def write_and_fail(transaction: Transaction) -> None:
        transaction.put(JOBS, Job(id="b"))
        raise error

    handle(write_and_fail)
    machine = Machine()
    before = snapshot_of(machine)
    with pytest.raises(type(error)):
        machine.apply(RECONCILE)
    assert snapshot_of(machine) == before


def test_a_command_of_a_newer_version_is_an_error_of_its_own() -> None:
    machine = Machine()
    before = snapshot_of(machine)
    for payload in (msgspec.msgpack.encode({"type": "GrowWings", "now_ns": 1}), b"\xff", b""):
        with pytest.raises(UnknownCommand):
            machine.apply(payload)
    assert snapshot_of(machine) == before


def test_listeners_hear_of_each_commit_after_it() -> None:
    machine = Machine()
    told: list[tuple[int, list[tuple[str, Any]], int]] = []

    def listen(index: int, changes: list[Change]) -> None:
        told.append((index, [(change.table.name, change.key) for change in changes], machine.index))

    machine.on_commit(listen)
    machine.apply(REGISTER)
    (index, changes, seen) = told[0]
    assert (index, seen) == (2, 2)
    assert ("jobs", ("default", "a")) in changes
    assert ("evals", "e1") in changes
    assert len(changes) == len(dict.fromkeys(changes))


def test_a_failing_listener_stops_neither_the_command_nor_the_others() -> None:
    errors: list[Exception] = []
    told: list[int] = []

    def fail(index: int, changes: list[Change]) -> None:
        raise ValueError("listener")

    machine = Machine(errors.append)
    machine.on_commit(fail)
    machine.on_commit(lambda index, changes: told.append(index))
    assert isinstance(machine.apply(REGISTER), Applied)
    assert told == [2]
    assert [str(error) for error in errors] == ["listener"]


def test_a_failing_listener_is_loud_unless_somebody_takes_its_errors() -> None:
    def fail(index: int) -> None:
        raise ValueError("listener")

    machine = Machine()
    machine.store.watches.watch([(JOBS, None)], fail)
    with pytest.raises(ValueError, match="listener"):
        machine.apply(REGISTER)


def test_a_restore_takes_all_over_and_wakes_everyone() -> None:
    source, machine = Machine(), Machine()
    source.apply(REGISTER)
    woken: list[int] = []
    machine.store.watches.watch([(EVALUATIONS, "nobody")], woken.append)
    machine.restore(iter([snapshot_of(source)]))
    assert machine.index == 2
    assert woken == [2]
    assert snapshot_of(machine) == snapshot_of(source)
    assert machine.apply(RECONCILE) == source.apply(RECONCILE)


def test_a_bad_snapshot_leaves_the_state_alone() -> None:
    source, machine = Machine(), Machine()
    source.apply(REGISTER)
    before, view = snapshot_of(machine), machine.view()
    with pytest.raises(BadSnapshot):
        machine.restore(iter([snapshot_of(source)[:-1]]))
    assert snapshot_of(machine) == before
    assert list(machine.view().scan(NODE_POOLS)) == list(view.scan(NODE_POOLS))


def test_the_result_of_a_command_is_its_own(handle: Callable[[Callable[[Transaction], Any]], None]) -> None:
    handle(lambda transaction: Done(index=transaction.index, updated=False))
    assert Machine().apply(RECONCILE) == Applied(2, Done(index=2, updated=False))
