from __future__ import annotations

import zlib
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fsm.store.model import Model, Write, assert_equal, do, histories, new_store
from yurt.fsm.store import snapshot
from yurt.fsm.store.schema import EVALUATIONS, JOB_VERSIONS, JOBS, TABLES
from yurt.fsm.store.snapshot import BODY_BYTES_MAX, FORMAT, BadSnapshot
from yurt.fsm.store.store import Store
from yurt.fsm.structs.evaluation import Evaluation
from yurt.fsm.structs.job import Job


def small_store() -> Store:
    store = new_store()
    transaction = store.begin(1)
    job = Job(id="a", payload=b"\x00\xff", meta={"b": "1", "a": "2"})
    transaction.put(JOBS, job)
    transaction.put(JOB_VERSIONS, job)
    transaction.put(EVALUATIONS, Evaluation(id="e", job_id="a"))
    store.commit(transaction)
    return store


def written(store: Store) -> bytes:
    return b"".join(snapshot.write(store.view()))


def frames(data: bytes) -> list[list[Any]]:
    unpacker = msgpack.Unpacker()
    unpacker.feed(data)
    return list(unpacker)


def framed(bodies: list[bytes]) -> bytes:
    checksum, packed = 0, b""
    for body in bodies:
        checksum = zlib.crc32(body, checksum)
        packed += msgpack.packb([checksum, body])
    return packed


@given(histories, st.integers(1, 200))
def test_a_snapshot_says_everything(history: list[tuple[list[Write], bool]], step: int) -> None:
    store, model = new_store(), Model()
    for index, (writes, rolled_back) in enumerate(history, start=1):
        transaction = store.begin(index)
        if not rolled_back:
            for write in writes:
                do(transaction, write)
                model.write(write, index)
        store.commit(transaction)
    data = written(store)
    restored = new_store()
    restored.replace(snapshot.read(data[at : at + step] for at in range(0, len(data), step)))
    assert restored.index == store.index
    for table in TABLES:
        rows = list(restored.view().scan(table))
        assert rows == list(store.view().scan(table))
        assert restored.view().table_index(table) == store.view().table_index(table)
    assert written(restored) == data
    restored_model = Model()
    restored_model.indexes = model.indexes
    for table in TABLES:
        restored_model.rows[table.name] = {table.key(row): row for row in restored.view().scan(table)}
    assert_equal(restored.view(), restored_model)


def test_the_state_goes_on_alike_after_a_restore() -> None:
    one = small_store()
    other = new_store()
    other.replace(snapshot.read([written(one)]))
    for store in (one, other):
        transaction = store.begin(2)
        transaction.put(EVALUATIONS, Evaluation(id="f", job_id="a"))
        transaction.delete(JOBS, ("default", "a"))
        store.commit(transaction)
    assert written(one) == written(other)


def test_a_job_is_written_and_kept_once() -> None:
    store = small_store()
    without = new_store()
    transaction = without.begin(1)
    transaction.put(JOB_VERSIONS, Job(id="a", payload=b"\x00\xff", meta={"b": "1", "a": "2"}))
    transaction.put(EVALUATIONS, Evaluation(id="e", job_id="a"))
    without.commit(transaction)
    assert len(written(store)) - len(written(without)) < 30
    state = snapshot.read([written(store)])
    assert state.tables["jobs"].rows["default", "a"] is state.tables["job_version"].rows["default", "a", 0]


def test_a_job_unlike_its_version_is_written_too() -> None:
    store = small_store()
    transaction = store.begin(2)
    changed = Job(id="a", priority=70)
    transaction.put(JOBS, changed)
    store.commit(transaction)
    state = snapshot.read([written(store)])
    assert state.tables["jobs"].rows["default", "a"] == changed
    assert state.tables["job_version"].rows["default", "a", 0].priority == 50


def test_equal_is_not_the_same() -> None:
    store = new_store()
    transaction = store.begin(1)
    transaction.put(JOB_VERSIONS, Job(id="a", meta={"a": "1", "b": "2"}))
    transaction.put(JOBS, Job(id="a", meta={"b": "2", "a": "1"}))
    store.commit(transaction)
    restored = new_store()
    restored.replace(snapshot.read([written(store)]))
    assert list(next(restored.view().scan(JOBS)).meta or {}) == ["b", "a"]


def test_frames_are_bounded_whatever_the_rows() -> None:
    store = new_store()
    for index, size in enumerate((10, 3 * BODY_BYTES_MAX, BODY_BYTES_MAX - 100, 10), start=1):
        transaction = store.begin(index)
        transaction.put(JOBS, Job(id=str(index), payload=b"x" * size))
        store.commit(transaction)
    chunks = list(snapshot.write(store.view()))
    assert max(map(len, chunks)) <= BODY_BYTES_MAX + 16
    assert all(len(body) <= BODY_BYTES_MAX for _, body in frames(b"".join(chunks)))
    restored = new_store()
    restored.replace(snapshot.read(chunks))
    assert list(restored.view().scan(JOBS)) == list(store.view().scan(JOBS))


def test_a_view_is_written_as_it_was() -> None:
    store = small_store()
    before = written(store)
    chunks = snapshot.write(store.view())
    next(chunks)
    transaction = store.begin(2)
    transaction.delete(JOBS, ("default", "a"))
    store.commit(transaction)
    state = snapshot.read([before])
    assert state.index == 1
    assert written(store) != before
    assert b"".join(snapshot.write(store.view())) == written(store)


def test_every_damaged_byte_is_found() -> None:
    data = written(small_store())
    for at in range(len(data)):
        for flip in (0x01, 0x80):
            damaged = data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :]
            with pytest.raises(BadSnapshot):
                snapshot.read([damaged])


def test_every_cut_and_everything_behind_the_end_is_found() -> None:
    data = written(small_store())
    for at in range(len(data)):
        with pytest.raises(BadSnapshot):
            snapshot.read([data[:at]])
    for more in (b"\x00", b"\x92", b"\xc4", data, data[:9], msgpack.packb([0, b""]), data[-7:]):
        for chunks in ([data + more], [data, more]):
            with pytest.raises(BadSnapshot):
                snapshot.read(chunks)


def test_lost_doubled_and_moved_frames_are_found() -> None:
    store = new_store()
    for index in range(1, 5):
        transaction = store.begin(index)
        transaction.put(JOBS, Job(id=str(index), payload=b"x" * BODY_BYTES_MAX))
        store.commit(transaction)
    packed = [msgpack.packb(frame) for frame in frames(written(store))]
    for wrong in (packed[:2] + packed[3:], packed[:3] + packed[2:], [packed[0], packed[2], packed[1], *packed[3:]]):
        with pytest.raises(BadSnapshot, match="checksum"):
            snapshot.read(wrong)


def header(**changes: Any) -> Any:
    return msgpack.packb({"format": FORMAT, "index": 5, "tables": [["jobs", 5, 0]], **changes})


@pytest.mark.parametrize(
    ("bodies", "text"),
    [
        ([header(format=FORMAT + 1, index="later", tables=None)], "reads format 1: upgrade this server first"),
        ([header(format=0)], "the snapshot has format 0, this version reads format 1"),
        ([header(tables=[["moons", 1, 1]])], 'a table "moons" that this version does not know'),
        ([header(tables=[["jobs", 1, 1]])], "rows of jobs are missing"),
        ([header(tables=[["jobs", 1, 1]]), msgpack.packb(["a", "b", 0])], "rows of jobs are missing"),
        ([header(tables=[["jobs", 1, 1]]), msgpack.packb(b"\x80")[:-1]], "missing|cut"),
        ([header(tables=[["jobs", 1, 1]]), msgpack.packb(7)], "damaged: TypeError"),
        ([header(tables=[["jobs", 1, 1]]), msgpack.packb(b"\x90")], "damaged: ValidationError"),
        ([header(tables=[["jobs", 1, 2]]), 2 * msgpack.packb(b"\x80")], "rows of jobs are out of order"),
        ([header(), msgpack.packb(b"\x80")], "holds more than its header says"),
        ([header(), b"\xc4"], "its last row is cut"),
        ([header(index="five")], "damaged: ValidationError"),
        ([b"\x00"], "damaged: ValidationError"),
        ([], "damaged: DecodeError"),
    ],
)
def test_what_no_snapshot_may_say(bodies: list[bytes], text: str) -> None:
    with pytest.raises(BadSnapshot, match=text):
        snapshot.read([framed([*bodies, b""])])


def test_nothing_is_no_snapshot() -> None:
    for chunks in ([], [b""], [b"\xff" * 100], [b"\x92\x00\xc6\xff\xff\xff\xff"]):
        with pytest.raises(BadSnapshot):
            snapshot.read(chunks)


def test_an_older_snapshot_without_a_table_leaves_it_empty() -> None:
    state = snapshot.read([framed([header(), b""])])
    assert state.index == 5
    assert state.tables["jobs"].index == 5
    assert state.tables["namespaces"].index == 1
    assert len(state.tables["namespaces"].rows) == 0


def test_errors_of_the_source_pass_through() -> None:
    def failing() -> Any:
        yield written(small_store())[:50]
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        snapshot.read(failing())
