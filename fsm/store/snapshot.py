"""The state as a stream of bytes and back.

Format 1: msgpack frames `[crc32, body]`. The first body is the header (map), each further one a run of rows of one
table in key order, the last one is empty. A job that equals its version row is stored as that version's number.
Nothing is taken over before every checksum and every count was right.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import msgpack
import msgspec
from immutables import Map

from yurt.fsm.errors import YurtError
from yurt.fsm.store.schema import BY_NAME, JOB_VERSIONS, JOBS, TABLES, Table
from yurt.fsm.store.state import State, empty_state
from yurt.fsm.store.view import View

FORMAT = 1
BODY_BYTES_MAX = 1 << 20
FRAME_BYTES_MAX = 64 << 20


class BadSnapshot(YurtError):
    """The bytes are no snapshot that this version can read; the state was left alone."""


def write(view: View) -> Iterator[bytes]:
    """The view as frames of about 1 MiB each; the same state gives the same bytes."""
    header = {
        "format": FORMAT,
        "index": view.index,
        "tables": [[table.name, view.table_index(table), view.count(table)] for table in TABLES],
    }
    yield _frame(msgpack.packb(header))
    for table in TABLES:
        yield from _table_frames(view, table)
    yield _frame(b"")


def _frame(body: bytes) -> bytes:
    packed: bytes = msgpack.packb([zlib.crc32(body), body])
    return packed


def _table_frames(view: View, table: Table[Any, Any]) -> Iterator[bytes]:
    packer = msgpack.Packer(autoreset=False)
    rows = view.state.rows[table.name]
    for key in sorted(rows):
        packer.pack(_pack_row(view, table, rows[key]))
        if len(packer.getbuffer()) >= BODY_BYTES_MAX:
            yield _frame(packer.bytes())
            packer.reset()
    if packer.bytes():
        yield _frame(packer.bytes())


def _pack_row(view: View, table: Table[Any, Any], row: Any) -> Any:
    if table is JOBS and view.get(JOB_VERSIONS, (row.namespace, row.id, row.version)) == row:
        return [row.namespace, row.id, row.version]
    return msgspec.msgpack.encode(row)


def read(chunks: Iterator[bytes]) -> State:
    """The state that the frames hold; raises `BadSnapshot`."""
    bodies = _bodies(chunks)
    try:
        header = msgpack.unpackb(next(bodies), raw=False)
        if header["format"] != FORMAT:
            raise BadSnapshot(f"the snapshot has format {header['format']}; this version reads format {FORMAT}")
        tables = [(BY_NAME[name], index, count) for name, index, count in header["tables"]]
        return _read_tables(bodies, header["index"], tables)
    except (StopIteration, KeyError, TypeError, ValueError, msgspec.MsgspecError, msgpack.UnpackException) as error:
        raise BadSnapshot(f"the snapshot is damaged: {type(error).__name__}: {error}") from error


def _bodies(chunks: Iterator[bytes]) -> Iterator[bytes]:
    unpacker = msgpack.Unpacker(raw=False, max_buffer_size=FRAME_BYTES_MAX, strict_map_key=True)
    for chunk in chunks:
        unpacker.feed(chunk)
        for checksum, body in unpacker:
            if zlib.crc32(body) != checksum:
                raise BadSnapshot("the snapshot is damaged: a checksum is wrong")
            yield body


def _read_tables(bodies: Iterator[bytes], index: int, tables: list[tuple[Table[Any, Any], int, int]]) -> State:
    state = empty_state()
    for table, table_index, count in tables:
        state.rows[table.name] = _read_rows(bodies, table, count, state)
        state.table_indexes[table.name] = table_index
        for name, value_of in table.indexes.items():
            state.indexes[table.name][name] = _index_of(state.rows[table.name], value_of)
    if next(bodies, None) != b"" or next(bodies, None) is not None:
        raise BadSnapshot("the snapshot is damaged: its end is missing")
    return State(index, state.rows, state.indexes, state.table_indexes)


def _read_rows(bodies: Iterator[bytes], table: Table[Any, Any], count: int, state: State) -> Map[Any, Any]:
    decoder = msgspec.msgpack.Decoder(table.record)
    found = 0
    rows: dict[Any, Any] = {}
    while found < count:
        unpacker = msgpack.Unpacker(raw=False, max_buffer_size=FRAME_BYTES_MAX)
        unpacker.feed(next(bodies))
        for packed in unpacker:
            if isinstance(packed, list):
                row = state.rows[JOB_VERSIONS.name][tuple(packed)]
            else:
                row = decoder.decode(packed)
            rows[table.key(row)] = row
            found += 1
    if found != count or len(rows) != count:
        raise BadSnapshot(f"the snapshot is damaged: {table.name} has {found} rows, not {count}")
    return Map(rows)


def _index_of(rows: Map[Any, Any], value_of: Any) -> Map[Any, Map[Any, bool]]:
    groups: dict[Any, dict[Any, bool]] = {}
    for key, row in rows.items():
        value = value_of(row)
        if value is not None:
            groups.setdefault(value, {})[key] = True
    return Map({value: Map(keys) for value, keys in groups.items()})
