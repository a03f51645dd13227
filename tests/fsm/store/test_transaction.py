from __future__ import annotations

import pytest
from hypothesis import given

from tests.fsm.store.model import Model, Write, assert_equal, do, histories, new_store
from yurt.fsm.store.changes import Change
from yurt.fsm.store.schema import EVALUATIONS, JOBS, NODES, SERVICE_REGISTRATIONS
from yurt.fsm.structs.job import Job

A, B = Job(id="a"), Job(id="a", priority=70)
KEY = ("default", "a")


@given(histories)
def test_the_store_says_what_plain_dictionaries_say(history: list[tuple[list[Write], bool]]) -> None:
    store, model = new_store(), Model()
    frozen = []
    for index, (writes, rolled_back) in enumerate(history, start=1):
        frozen.append((store.view(), model.copy()))
        transaction, attempt = store.begin(index), model.copy()
        for write in writes:
            assert do(transaction, write) == attempt.write(write, index)
        assert transaction.index == index
        assert_equal(transaction, attempt)
        if rolled_back:
            store.skip(index)
        else:
            before, model = model, attempt
            for table, key, old, new in store.commit(transaction):
                assert before.rows[table.name].get(key) is old
                assert model.rows[table.name].get(key) is new
        assert store.index == index
        assert_equal(store.view(), model)
    for view, content in frozen:
        assert_equal(view, content)
        assert_equal(view.detached(), content)


@pytest.mark.parametrize(
    ("stored", "writes", "expected"),
    [
        ([], [("put", A)], [Change(JOBS, KEY, None, A)]),
        ([], [("put", A), ("put", B)], [Change(JOBS, KEY, None, B)]),
        ([], [("put", A), ("delete", A)], []),
        ([A], [("put", B)], [Change(JOBS, KEY, A, B)]),
        ([A], [("put", A)], [Change(JOBS, KEY, A, A)]),
        ([A], [("delete", A)], [Change(JOBS, KEY, A, None)]),
        ([A], [("delete", A), ("put", B)], [Change(JOBS, KEY, A, B)]),
        ([A], [("put", B), ("delete", A)], [Change(JOBS, KEY, A, None)]),
        ([A], [("delete", B), ("delete", B)], [Change(JOBS, KEY, A, None)]),
        ([], [("delete", A)], []),
    ],
)
def test_a_command_gives_one_change_a_row(
    stored: list[Job], writes: list[tuple[str, Job]], expected: list[Change]
) -> None:
    store = new_store()
    first = store.begin(1)
    for job in stored:
        first.put(JOBS, job)
    store.commit(first)
    second = store.begin(2)
    for what, job in writes:
        do(second, (what, JOBS, job))
    assert store.commit(second) == expected


def test_changes_come_in_the_order_of_first_writes() -> None:
    store = new_store()
    transaction = store.begin(1)
    for name in ("z", "a", "m", "z"):
        transaction.put(JOBS, Job(id=name))
    assert [change.key[1] for change in store.commit(transaction)] == ["z", "a", "m"]


def test_an_index_never_goes_back() -> None:
    store = new_store()
    store.skip(5)
    with pytest.raises(AssertionError):
        store.begin(5)
    with pytest.raises(AssertionError):
        store.skip(5)


def test_table_indexes_move_with_writes_alone() -> None:
    store = new_store()
    assert store.view().table_index(SERVICE_REGISTRATIONS) == 1
    transaction = store.begin(7)
    transaction.put(JOBS, A)
    transaction.touch(EVALUATIONS)
    assert not transaction.delete(NODES, "nobody")
    store.commit(transaction)
    store.skip(8)
    indexes = [store.view().table_index(table) for table in (JOBS, EVALUATIONS, NODES)]
    assert indexes == [7, 7, 0]


def test_a_net_change_of_nothing_keeps_scans_fast_and_right() -> None:
    store = new_store()
    transaction = store.begin(1)
    transaction.put(JOBS, A)
    transaction.delete(JOBS, KEY)
    store.commit(transaction)
    view = store.view()
    assert store._orders.of(JOBS, view._tables[JOBS.name].rows) == []
    assert list(view.scan(JOBS)) == []
