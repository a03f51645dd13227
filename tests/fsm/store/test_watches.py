from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fsm.store.model import USED, Write, do, histories, names, new_store, spaces
from yurt.fsm.store.schema import EVALUATIONS, JOB_VERSIONS, JOBS
from yurt.fsm.store.state import empty_state
from yurt.fsm.store.store import Store
from yurt.fsm.store.watches import Having, Prefix, Watch, WatchItem
from yurt.fsm.structs.evaluation import Evaluation
from yurt.fsm.structs.job import Job

keys = st.tuples(spaces, names)
version_keys = st.tuples(spaces, names, st.integers(0, 2))
prefixes = st.one_of(st.tuples(spaces), st.tuples(spaces, st.sampled_from(["", "a", "ab", "b", "ü"])))
watch_items: st.SearchStrategy[WatchItem] = st.one_of(
    st.tuples(st.sampled_from(USED), st.none()),
    st.tuples(st.just(JOBS), keys),
    st.tuples(st.just(JOB_VERSIONS), version_keys),
    st.tuples(st.just(EVALUATIONS), names),
    st.tuples(st.sampled_from([JOBS, JOB_VERSIONS]), prefixes.map(Prefix)),
    st.tuples(st.just(EVALUATIONS), st.sampled_from(["", "a", "ab", "ü"]).map(Prefix)),
)


def begins(key: Any, prefix: Any) -> bool:
    if isinstance(prefix, str):
        return bool(key.startswith(prefix))
    return bool(key[: len(prefix) - 1] == prefix[:-1] and key[len(prefix) - 1].startswith(prefix[-1]))


def concerns(item: WatchItem, changed: list[tuple[str, Any]], touched: set[str]) -> bool:
    table, what = item
    if what is None:
        return table.name in touched
    own = [key for name, key in changed if name == table.name]
    return any(begins(key, what.text) if isinstance(what, Prefix) else key == what for key in own)


@given(histories, st.lists(st.lists(watch_items, max_size=4), max_size=6))
def test_a_commit_wakes_exactly_those_it_touched_once(
    history: list[tuple[list[Write], bool]], wanted: list[list[WatchItem]]
) -> None:
    store = new_store()
    woken: list[tuple[int, int]] = []

    def note(number: int) -> Callable[[int], None]:
        return lambda index: woken.append((number, index))

    for number, items in enumerate(wanted):
        store.watches.watch(items, note(number))
    for index, (writes, rolled_back) in enumerate(history, start=1):
        woken.clear()
        transaction = store.begin(index)
        touched = {write[1].name for write in writes if do(transaction, write)}
        if rolled_back:
            store.skip(index)
            assert woken == []
            continue
        changed = [(change.table.name, change.key) for change in store.commit(transaction)]
        expected = [
            (number, index)
            for number, items in enumerate(wanted)
            if any(concerns(item, changed, touched) for item in items)
        ]
        assert sorted(woken) == expected


def fail(index: int) -> None:
    pytest.fail(f"woken at {index}")


def put(store: Store, name: str) -> None:
    transaction = store.begin(store.index + 1)
    transaction.put(JOBS, Job(id=name))
    store.commit(transaction)


def test_a_callback_sees_the_new_state_and_its_index() -> None:
    store = new_store()
    seen: list[tuple[int, int]] = []
    store.watches.watch([(JOBS, None)], lambda index: seen.append((index, store.view().count(JOBS))))
    put(store, "a")
    put(store, "b")
    assert seen == [(1, 1), (2, 2)]


def test_cancelled_watches_are_silent_and_gone() -> None:
    store = new_store()
    items: list[WatchItem] = [(JOBS, None), (JOBS, ("default", "a")), (JOBS, Prefix(("default", "a")))]
    watches = [store.watches.watch(items, fail) for _ in range(3)]
    assert len(store.watches) == 3
    for watch in watches:
        watch.cancel()
        watch.cancel()
    put(store, "a")
    assert len(store.watches) == 0
    assert not (store.watches._by_key or store.watches._by_table or store.watches._by_prefix["jobs"])


def test_callbacks_may_cancel_and_watch() -> None:
    store = new_store()
    seen: list[str] = []
    watches: dict[str, Watch] = {}

    def first(_: int) -> None:
        seen.append("first")
        watches["first"].cancel()
        watches["second"].cancel()
        store.watches.watch([(JOBS, ("default", "a"))], lambda _: seen.append("third"))

    watches["first"] = store.watches.watch([(JOBS, ("default", "a"))], first)
    watches["second"] = store.watches.watch([(JOBS, ("default", "a"))], fail)
    put(store, "a")
    assert seen == ["first"]
    put(store, "a")
    assert seen == ["first", "third"]


def test_a_failing_callback_stops_nobody() -> None:
    errors: list[Exception] = []
    seen: list[int] = []
    store = Store(errors.append)
    store.watches.watch([(JOBS, None)], lambda index: seen.append(1 // 0))
    store.watches.watch([(JOBS, None)], seen.append)
    put(store, "a")
    assert seen == [1]
    assert [type(error) for error in errors] == [ZeroDivisionError]
    assert store.view().count(JOBS) == 1


def test_a_restore_wakes_everyone_once() -> None:
    store = new_store()
    seen: list[int] = []
    store.watches.watch([(JOBS, None), (JOBS, ("a", "b")), (EVALUATIONS, Prefix("a"))], seen.append)
    store.replace(empty_state())
    assert seen == [0]


def test_a_watch_on_a_value_hears_of_rows_that_get_or_lose_it() -> None:
    store, woken = new_store(), list[int]()
    watch = store.watches.watch([(EVALUATIONS, Having("job", ("default", "web")))], woken.append)

    def put(index: int, job_id: str) -> None:
        transaction = store.begin(index)
        transaction.put(EVALUATIONS, Evaluation(id="e", namespace="default", job_id=job_id))
        store.commit(transaction)

    put(1, "db")
    put(2, "web")
    put(3, "web")
    put(4, "db")
    put(5, "db")
    assert woken == [2, 3, 4]
    store.watches.wake_all(6)
    assert woken[-1] == 6 and len(store.watches) == 1
    watch.cancel()
    put(7, "web")
    assert woken[-1] == 6 and len(store.watches) == 0
