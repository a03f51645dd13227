from __future__ import annotations

from tests.fsm.store.model import new_store
from yurt.fsm.store.encoded import EncodedRows
from yurt.fsm.store.schema import JOBS
from yurt.fsm.store.state import empty_state
from yurt.fsm.store.store import Store
from yurt.fsm.structs.base import to_json
from yurt.fsm.structs.job import Job


def name_only(job: Job) -> bytes:
    """A form of a job."""
    return b'"' + job.id.encode() + b'"'


def stored(job: Job) -> Store:
    store = new_store()
    transaction = store.begin(1)
    transaction.put(JOBS, job)
    store.commit(transaction)
    return store


def test_a_stored_row_is_encoded_once_a_form() -> None:
    job = Job(id="a")
    store = stored(job)
    body = store.encoded(JOBS, job)
    assert body == to_json(job)
    assert store.encoded(JOBS, job) is body
    assert store.encoded(JOBS, job, name_only) == b'"a"'
    assert store.encoded(JOBS, job, name_only) is store.encoded(JOBS, job, name_only)
    assert store.encoded(JOBS, job) is body


def test_a_rewritten_row_is_encoded_anew_and_the_old_one_still_right() -> None:
    old, new = Job(id="a"), Job(id="a", priority=70)
    store = stored(old)
    before = store.encoded(JOBS, old)
    transaction = store.begin(2)
    transaction.put(JOBS, new)
    assert store.encoded(JOBS, new) == to_json(new)
    assert store.encoded(JOBS, old) is before
    store.commit(transaction)
    after = store.encoded(JOBS, new)
    assert after == to_json(new)
    assert store.encoded(JOBS, old) == before
    assert store.encoded(JOBS, new) is after


def test_bytes_go_with_their_row() -> None:
    job = Job(id="a")
    store = stored(job)
    store.encoded(JOBS, job)
    transaction = store.begin(2)
    transaction.delete(JOBS, ("default", "a"))
    store.commit(transaction)
    assert store._encoded._bytes == 0
    assert not store._encoded._by_table["jobs"][to_json]


def test_a_restore_forgets_all() -> None:
    job = Job(id="a")
    store = stored(job)
    store.encoded(JOBS, job)
    store.replace(empty_state())
    assert store._encoded._bytes == 0


def test_the_bound_holds() -> None:
    kept = EncodedRows(bytes_max=100)
    for number in range(50):
        kept.keep("jobs", to_json, number, number, b"x" * 9)
        assert kept._bytes <= 100
    assert kept.get("jobs", to_json, 49, 49) == b"x" * 9
    assert kept.get("jobs", to_json, 0, 0) is None
