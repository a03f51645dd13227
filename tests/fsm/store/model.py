"""Random writes, and a store made of plain dictionaries to compare with."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from yurt.fsm.store.schema import EVALUATIONS, JOB_VERSIONS, JOBS, TABLES, Table
from yurt.fsm.store.store import Store
from yurt.fsm.store.transaction import Transaction
from yurt.fsm.structs.evaluation import Evaluation
from yurt.fsm.structs.job import Job

Write = tuple[str, Table[Any, Any], Any]
USED = (JOBS, JOB_VERSIONS, EVALUATIONS)


def new_store() -> Store:
    """A store whose listeners' errors are raised."""

    def fail(error: Exception) -> None:
        raise error

    return Store(fail)


names = st.sampled_from(["a", "ab", "abc", "b", "ba", "ü", "a\U0010ffff"])
spaces = st.sampled_from(["default", "default2", "z"])
jobs = st.builds(
    Job, id=names, namespace=spaces, parent_id=st.sampled_from(["", "a", "b"]), priority=st.integers(0, 3),
    version=st.integers(0, 2), create_index=st.integers(1, 3),
)  # fmt: skip
evaluations = st.builds(
    Evaluation, id=names, namespace=spaces, job_id=names, status=st.sampled_from(["pending", "blocked", "complete"]),
    create_index=st.integers(1, 3),
)  # fmt: skip
rows = st.one_of(
    jobs.map(lambda job: (JOBS, job)),
    jobs.map(lambda job: (JOB_VERSIONS, job)),
    evaluations.map(lambda evaluation: (EVALUATIONS, evaluation)),
)
writes: st.SearchStrategy[Write] = st.one_of(
    rows.map(lambda pair: ("put", *pair)),
    rows.map(lambda pair: ("delete", *pair)),
    st.sampled_from(USED).map(lambda table: ("touch", table, None)),
)
# Commands: what each writes, and whether it is rolled back in the end.
histories = st.lists(st.tuples(st.lists(writes, max_size=8), st.booleans()), max_size=12)


class Model:
    """The plain store."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[Any, Any]] = {table.name: {} for table in TABLES}
        self.indexes = {table.name: table.floor for table in TABLES}

    def copy(self) -> Model:
        """Another one with the same content."""
        other = Model()
        other.rows = {name: dict(rows) for name, rows in self.rows.items()}
        other.indexes = dict(self.indexes)
        return other

    def write(self, write: Write, index: int) -> bool:
        """Do what a transaction does; whether it touched anything."""
        what, table, row = write
        if what == "put":
            self.rows[table.name][table.key(row)] = row
        elif what == "delete" and self.rows[table.name].pop(table.key(row), None) is None:
            return False
        self.indexes[table.name] = index
        return True


def do(transaction: Transaction, write: Write) -> bool:
    """Do a write in a transaction; whether it touched anything."""
    what, table, row = write
    if what == "put":
        transaction.put(table, row)
    elif what == "delete":
        return transaction.delete(table, table.key(row))
    else:
        transaction.touch(table)
    return True


def assert_equal(reader: Any, model: Model) -> None:
    """Everything a reader can say is what the model says."""
    for table in USED:
        expected = model.rows[table.name]
        keys = sorted(expected)
        assert reader.count(table) == len(expected)
        assert reader.table_index(table) == model.indexes[table.name]
        assert list(reader.keys(table)) == keys
        assert list(reader.scan(table)) == [expected[key] for key in keys]
        assert list(reader.scan(table, reverse=True)) == [expected[key] for key in reversed(keys)]
        for key in keys:
            assert reader.get(table, key) is expected[key]
        for name, place_of in table.orders.items():
            by_place = sorted(expected.values(), key=place_of)
            assert list(reader.scan(table, order=name)) == by_place
            assert list(reader.scan(table, order=name, reverse=True)) == by_place[::-1]
        for name, value_of in table.indexes.items():
            groups: dict[Any, list[Any]] = {}
            for key in keys:
                groups.setdefault(value_of(expected[key]), []).append(expected[key])
            for value, group in groups.items():
                if value is not None:
                    assert reader.find(table, name, value) == group
                    assert reader.has(table, name, value)
                    assert reader.tally(table, name, value) == len(group)
            assert reader.find(table, name, "nobody") == []
            assert not reader.has(table, name, None)
