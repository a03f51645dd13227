"""Loading in bulk: the same maps, indexes and orders as one write after another makes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fsm.store.model import Write, do, histories, new_store
from yurt.fsm.machine import Machine
from yurt.fsm.store import loading, orders
from yurt.fsm.store.loading import OutOfOrder, TableLoader
from yurt.fsm.store.orders import LiveOrders
from yurt.fsm.store.schema import EVALUATIONS, JOB_VERSIONS, TABLES
from yurt.fsm.store.snapshot import write
from yurt.fsm.store.state import TableState
from yurt.fsm.structs.evaluation import Evaluation
from yurt.fsm.structs.job import Job


def loaded(table: Any, rows: list[Any], batch: int) -> TableState:
    loader = TableLoader(table)
    for at in range(0, len(rows), batch):
        loader.add(rows[at : at + batch])
    return loader.finish(7)


@given(histories, st.integers(1, 9))
def test_a_loaded_state_is_the_written_one_to_the_last_index_and_order(
    history: list[tuple[list[Write], bool]], batch: int
) -> None:
    store = new_store()
    for index, (writes, _) in enumerate(history, start=1):
        transaction = store.begin(index)
        for one in writes:
            do(transaction, one)
        store.commit(transaction)
    view = store.view()
    for table in TABLES:
        made = loaded(table, list(view.scan(table)), batch)
        state = view._tables[table.name]
        assert (made.rows, made.indexes) == (state.rows, state.indexes)
    result = Machine.load(write(view))
    for table in (one for one in TABLES if one.listed):
        for order in (None, *table.orders):
            fresh = LiveOrders(result.state).newest(table, order)
            known = result.orders.newest(table, order)
            assert fresh is not None and known is not None
            assert list(known) == list(fresh) == sorted(known)


def test_rows_out_of_order_are_refused_within_a_batch_and_between_two() -> None:
    first, second = Evaluation(id="a"), Evaluation(id="b")
    for rows in ([second, first], [first, first]):
        for batch in (1, 2):
            with pytest.raises(OutOfOrder):
                loaded(EVALUATIONS, rows, batch)


def test_values_of_one_key_and_of_many_are_posted_alike() -> None:
    rows = [Job(id=f"job-{number // 40:03d}", version=number % 40) for number in range(80)]
    rows += [Job(id=f"only-{number:03d}") for number in range(50)]
    store = new_store()
    for number, row in enumerate(rows, start=1):
        transaction = store.begin(number)
        transaction.put(JOB_VERSIONS, row)
        store.commit(transaction)
    made = loaded(JOB_VERSIONS, rows, 30)
    assert made.indexes == store.view()._tables[JOB_VERSIONS.name].indexes


def test_no_call_of_a_load_sorts_more_than_a_few_thousand_places(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def counted(places: Any, **options: Any) -> list[Any]:
        result = sorted(places, **options)
        sizes.append(len(result))
        return result

    monkeypatch.setattr(orders, "sorted", counted, raising=False)
    numbers = [number * 7919 % 100_003 for number in range(100_000)]
    assert list(orders._sorted(numbers)) == sorted(numbers)
    assert max(sizes) < 3 * orders._PIECE
    assert loading._PIECE <= 4096


def test_a_replaced_state_is_freed_step_by_step_and_views_keep_theirs() -> None:
    machine = Machine()
    transaction = machine.store.begin(10)
    for number in range(500):
        transaction.put(EVALUATIONS, Evaluation(id=f"e{number:03d}", job_id=f"job-{number}"))
    machine.store.commit(transaction)
    data = list(write(machine.view()))
    old = machine.view()
    handed: list[Any] = []
    machine.on_dissolved(handed.append)
    machine.restore(iter(data))
    row = old.get(EVALUATIONS, "e001")
    steps = sum(1 for _ in handed[0])
    assert steps >= 2 * 500 / 16, "rows and postings go in pieces"
    assert old.get(EVALUATIONS, "e001") is row and len(list(old.scan(EVALUATIONS))) == 500
    assert list(write(machine.view())) == data
