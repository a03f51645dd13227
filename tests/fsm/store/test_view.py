from __future__ import annotations

from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fsm.store.model import Write, histories, new_store
from yurt.fsm.store import reader
from yurt.fsm.store.reader import after_prefix
from yurt.fsm.store.schema import EVALUATIONS, JOBS
from yurt.fsm.store.store import Store
from yurt.fsm.structs.evaluation import Evaluation
from yurt.fsm.structs.job import Job


def filled(*ids: str, namespace: str = "default", index: int = 1, store: Store | None = None) -> Store:
    """A store with these jobs."""
    store = store or new_store()
    transaction = store.begin(index)
    for name in ids:
        transaction.put(JOBS, Job(id=name, namespace=namespace))
    store.commit(transaction)
    return store


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, "default/a default/ab default/b default2/a z/c"),
        ({"reverse": True}, "z/c default2/a default/b default/ab default/a"),
        ({"prefix": ("default", "")}, "default/a default/ab default/b"),
        ({"prefix": ("default", "a")}, "default/a default/ab"),
        ({"prefix": ("default", "a"), "reverse": True}, "default/ab default/a"),
        ({"prefix": ("default",)}, "default/a default/ab default/b default2/a"),
        ({"prefix": ("default", "x")}, ""),
        ({"prefix": ("",)}, "default/a default/ab default/b default2/a z/c"),
        ({"start": ("default", "ab")}, "default/ab default/b default2/a z/c"),
        ({"start": ("default", "aa")}, "default/ab default/b default2/a z/c"),
        ({"start": ("default", "aa"), "reverse": True}, "default/a"),
        ({"start": ("default", "ab"), "reverse": True}, "default/ab default/a"),
        ({"start": ("zz", "")}, ""),
        ({"start": ("a", ""), "reverse": True}, ""),
        ({"prefix": ("default", ""), "start": ("default", "ab")}, "default/ab default/b"),
        ({"prefix": ("default", "b"), "start": ("default", "a")}, "default/b"),
        ({"prefix": ("default", "a"), "start": ("default", "b")}, ""),
        ({"prefix": ("default", ""), "start": ("default", "ab"), "reverse": True}, "default/ab default/a"),
        ({"prefix": ("default", "a"), "start": ("default", "z"), "reverse": True}, "default/ab default/a"),
        ({"prefix": ("default", "b"), "start": ("default", "a"), "reverse": True}, ""),
    ],
)
def test_scans(asked: dict[str, Any], found: str) -> None:
    store = filled("ab", "b", "a")
    filled("a", namespace="default2", index=2, store=store)
    filled("c", namespace="z", index=3, store=store)
    for state in (store.view(), store.view().detached(), store.begin(4)):
        assert " ".join(f"{job.namespace}/{job.id}" for job in state.scan(JOBS, **asked)) == found
        assert " ".join("/".join(key) for key in state.keys(JOBS, **asked)) == found


texts = st.text(alphabet="ab\ud7ff\U0010ffff", max_size=4)


@given(st.sets(texts, max_size=12), texts, texts, st.booleans())
def test_text_prefixes_and_starts(ids: set[str], prefix: str, start: str, reverse: bool) -> None:
    store = new_store()
    transaction = store.begin(1)
    for name in sorted(ids):
        transaction.put(EVALUATIONS, Evaluation(id=name))
    store.commit(transaction)
    within = [name for name in ids if name.startswith(prefix) and (name <= start if reverse else name >= start)]
    for view in (store.view(), store.view().detached()):
        found = [row.id for row in view.scan(EVALUATIONS, prefix=prefix, start=start, reverse=reverse)]
        assert found == sorted(within, reverse=reverse)


@given(st.tuples(texts, texts), st.tuples(texts, texts))
def test_a_prefix_ends_below_its_bound(key: tuple[str, str], prefix: tuple[str, str]) -> None:
    begins = key[0] == prefix[0] and key[1].startswith(prefix[1])
    bound = after_prefix(prefix)
    assert begins == (key >= prefix and (bound is None or key < bound))


@pytest.mark.parametrize("reverse", [False, True])
def test_a_scan_goes_on_as_it_began_while_the_state_moves_on(reverse: bool) -> None:
    names = [f"job-{number:04d}" for number in range(1000)]
    store = filled(*names)
    scan = store.view().scan(JOBS, reverse=reverse)
    seen = [next(scan).id for _ in range(300)]
    transaction = store.begin(2)
    for name in names[::2]:
        transaction.delete(JOBS, ("default", name))
    transaction.put(JOBS, Job(id="job-0500x"))
    store.commit(transaction)
    assert seen + [job.id for job in scan] == (names[::-1] if reverse else names)
    assert len(list(store.view().scan(JOBS))) == 501


def test_a_scan_may_rewrite_what_it_reads() -> None:
    store = filled(*(f"job-{number:04d}" for number in range(600)))
    transaction = store.begin(2)
    for job in transaction.scan(JOBS):
        transaction.put(JOBS, Job(id=job.id + "x"))
    assert transaction.count(JOBS) == 1200


def test_pages_by_creation_then_id() -> None:
    store = new_store()
    made = [("b", 5), ("a", 9), ("c", 5), ("d", 2)]
    for index, (name, created) in enumerate(made, start=1):
        transaction = store.begin(index)
        transaction.put(EVALUATIONS, Evaluation(id=name, create_index=created))
        store.commit(transaction)
    for view in (store.view(), store.view().detached()):
        assert [row.id for row in view.scan(EVALUATIONS, order="created")] == ["d", "b", "c", "a"]
        assert [row.id for row in view.scan(EVALUATIONS, order="created", start=(5, "c"))] == ["c", "a"]
        assert [row.id for row in view.scan(EVALUATIONS, order="created", start=(5, "c"), reverse=True)] == [
            "c", "b", "d",
        ]  # fmt: skip


def test_a_view_of_untouched_tables_stays_fast() -> None:
    store = filled("a")
    view = store.view()
    transaction = store.begin(2)
    transaction.put(EVALUATIONS, Evaluation(id="e"))
    store.commit(transaction)
    assert store._orders.of(JOBS, view._tables[JOBS.name].rows) is not None
    assert store._orders.of(EVALUATIONS, view._tables[EVALUATIONS.name].rows) is None


def apply(store: Store, history: list[tuple[list[Write], bool]]) -> None:
    """Commit the writes, one command after another."""
    for number, (writes, _) in enumerate(history, start=store.index + 1):
        transaction = store.begin(number)
        for verb, table, row in writes:
            if verb == "put":
                transaction.put(table, row)
            elif verb == "delete":
                transaction.delete(table, table.key(row))
        store.commit(transaction)


@given(histories, histories, st.booleans(), st.integers(1, 3))
def test_a_pinned_view_reads_its_own_state_out_of_newer_orders(
    before: list[tuple[list[Write], bool]], after: list[tuple[list[Write], bool]], reverse: bool, batch: int
) -> None:
    store = new_store()
    apply(store, before)
    view = store.view()
    wanted = [row.id for row in view.scan(JOBS, reverse=reverse)]
    by_creation = [row.id for row in view.scan(EVALUATIONS, order="created", reverse=reverse)]
    assert view.pin()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "_BATCH_FIRST", batch)
        patch.setattr(reader, "_BATCH_MAX", batch)
        patch.setattr(reader, "_sorted_in", None)  # nothing is sorted
        scans = view.scan(JOBS, reverse=reverse), view.scan(EVALUATIONS, order="created", reverse=reverse)
        begun = [list(islice(scan, 1)) for scan in scans]
        apply(store, after)
        assert [row.id for row in [*begun[0], *scans[0]]] == wanted
        assert [row.id for row in [*begun[1], *scans[1]]] == by_creation


def test_only_the_newest_state_can_be_pinned_and_a_pin_ends_with_its_view() -> None:
    store = filled("a")
    old = store.view()
    filled("b", index=2, store=store)
    assert not old.pin()
    view = store.view()
    assert view.pin()
    assert len(store._orders._pins) == 1
    del view
    assert not store._orders._pins


@pytest.mark.parametrize("count", [0, 1, 16, 17, 600])
def test_rows_of_a_value_come_one_by_one_as_in_a_list(count: int) -> None:
    store = new_store()
    transaction = store.begin(1)
    for number in range(count):
        transaction.put(EVALUATIONS, Evaluation(id=f"{number * 7919 % 1000:03d}", namespace="default", job_id="j"))
    store.commit(transaction)
    view = store.view()
    rows = list(view.each(EVALUATIONS, "job", ("default", "j")))
    assert [row for row in rows if row is not None] == view.find(EVALUATIONS, "job", ("default", "j"))
    assert rows.count(None) == (0 if count <= 16 else -(-count // 256))
    assert len(view.sample(EVALUATIONS, 5)) == min(5, count)
