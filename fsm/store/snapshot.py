"""The state as a stream of bytes and back.

Format 1 is a msgpack stream of frames `[checksum, body]`, each body at most 1 MiB. A checksum is the CRC-32 of its body
chained with that of the frame before, so that a lost, doubled or moved frame is found too. The first body is the
header, a map: `format`, `index`, and for each table its name, its index and the number of its rows. The bodies after it
joined are a msgpack stream of rows: table by table in the header's order, in key order, each row the msgpack of its
record as a byte string; a job that equals its version row is the version's key instead. The last frame is the footer:
its body is empty. The same state gives the same bytes, always. Nothing is taken over before all of it was right.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import msgpack
import msgspec
from immutables import Map

from yurt.fsm.errors import YurtError
from yurt.fsm.store.postings import posting_of
from yurt.fsm.store.schema import BY_NAME, JOB_VERSIONS, JOBS, TABLES, Table
from yurt.fsm.store.state import Index, State, TableState, empty_state
from yurt.fsm.store.view import View

FORMAT = 1
BODY_BYTES_MAX = 1 << 20
_FRAME_BYTES_MAX = BODY_BYTES_MAX + 16
_ROW_BYTES_MAX = 1 << 30
_PIECE = 4096


class BadSnapshot(YurtError):
    """The bytes are no snapshot that this version can read; the state was left alone."""


class _Format(msgspec.Struct):
    """What the header of every format has."""

    format: int


class _Header(_Format):
    index: int
    tables: list[tuple[str, int, int]]


def write(view: View) -> Iterator[bytes]:
    """The view as frames, each hardly over 1 MiB. May run in another thread than the store's."""
    checksum = 0
    for body in _bodies_of(view.detached()):
        checksum = zlib.crc32(body, checksum)
        yield msgpack.packb([checksum, body])


def _bodies_of(view: View) -> Iterator[bytes]:
    tables = [[table.name, view.table_index(table), view.count(table)] for table in TABLES]
    yield msgpack.packb({"format": FORMAT, "index": view.index, "tables": tables})
    packer = msgpack.Packer(autoreset=False)
    for table in TABLES:
        for row in view.scan(table):
            packer.pack(_packed(view, table, row))
            if len(packer.getbuffer()) >= BODY_BYTES_MAX:
                whole = packer.bytes()
                packer.reset()
                for at in range(0, len(whole), BODY_BYTES_MAX):
                    yield whole[at : at + BODY_BYTES_MAX]
    if len(packer.getbuffer()):
        yield packer.bytes()
    yield b""


def _packed(view: View, table: Table[Any, Any], row: Any) -> Any:
    if table is not JOBS:
        return msgspec.msgpack.encode(row)
    key = (row.namespace, row.id, row.version)
    version = view.get(JOB_VERSIONS, key)
    if version is row:
        return key
    body = msgspec.msgpack.encode(row)  # compared as bytes: 1, 1.0 and True, or maps in another order, are equal
    return key if version is not None and msgspec.msgpack.encode(version) == body else body


def read(chunks: Iterable[bytes]) -> State:
    """The state that the chunks, cut anywhere, hold; raises `BadSnapshot`."""
    bodies = _bodies_in(chunks)
    try:
        first = next(bodies, b"")
        version = msgspec.msgpack.decode(first, type=_Format).format
        if version != FORMAT:
            way_out = ": upgrade this server first" if version > FORMAT else ""
            raise BadSnapshot(f"the snapshot has format {version}, this version reads format {FORMAT}{way_out}")
        header = msgspec.msgpack.decode(first, type=_Header)
        rows = _rows_in(bodies)
        state = empty_state()
        for name, index, count in header.tables:
            if name not in BY_NAME:
                raise BadSnapshot(f'the snapshot has a table "{name}" that this version does not know')
            state.tables[name] = _read_table(rows, BY_NAME[name], index, count, state)
        if next(rows, None) is not None:
            raise BadSnapshot("the snapshot is damaged: it holds more than its header says")
        return State(header.index, state.tables)
    except (msgspec.MsgspecError, msgpack.UnpackException, ValueError, TypeError) as error:
        raise BadSnapshot(f"the snapshot is damaged: {type(error).__name__}: {error}") from error


def _bodies_in(chunks: Iterable[bytes]) -> Iterator[bytes]:
    unpacker = msgpack.Unpacker(
        max_buffer_size=4 * _FRAME_BYTES_MAX, max_bin_len=BODY_BYTES_MAX, max_array_len=2, max_map_len=0, max_str_len=0
    )
    checksum = fed = used = 0
    ended = False
    for chunk in chunks:
        fed += len(chunk)
        for at in range(0, len(chunk), BODY_BYTES_MAX):
            unpacker.feed(chunk[at : at + BODY_BYTES_MAX])
            for found, body in unpacker:
                checksum = zlib.crc32(body, checksum)
                if found != checksum or ended:
                    raise BadSnapshot("the snapshot is damaged: a checksum is wrong")
                ended = not body
                used = unpacker.tell()
                if body:
                    yield body
    if not ended:
        raise BadSnapshot("the snapshot is damaged: its end is missing")
    if fed != used:
        raise BadSnapshot("the snapshot is damaged: something follows its end")


def _rows_in(bodies: Iterator[bytes]) -> Iterator[Any]:
    unpacker = msgpack.Unpacker(max_buffer_size=_ROW_BYTES_MAX)
    fed = used = 0
    for body in bodies:
        unpacker.feed(body)
        fed += len(body)
        for row in unpacker:
            used = unpacker.tell()
            yield row
    if fed != used:
        raise BadSnapshot("the snapshot is damaged: its last row is cut")


def _read_table(packed_rows: Iterator[Any], table: Table[Any, Any], index: int, count: int, state: State) -> TableState:
    decode = msgspec.msgpack.Decoder(table.record).decode
    versions = state.tables[JOB_VERSIONS.name].rows
    rows: dict[Any, Any] = {}
    last: Any = None
    for _ in range(count):
        packed = next(packed_rows, None)
        row = decode(packed) if isinstance(packed, bytes) else versions.get(tuple(packed or ()))
        if row is None:
            raise BadSnapshot(f"the snapshot is damaged: rows of {table.name} are missing")
        key = table.key(row)
        if last is not None and key <= last:
            raise BadSnapshot(f"the snapshot is damaged: rows of {table.name} are out of order")
        rows[key] = row
        last = key
    return TableState(
        _map_of(rows), {name: _index_of(rows, value_of) for name, value_of in table.indexes.items()}, index
    )


def _index_of(rows: dict[Any, Any], value_of: Any) -> Index:
    keys_of: dict[Any, list[Any]] = {}
    for key, row in rows.items():
        value = value_of(row)
        if value is not None:
            keys_of.setdefault(value, []).append(key)
    return _map_of({value: posting_of(keys) for value, keys in keys_of.items()})


def _map_of(pairs: dict[Any, Any]) -> Map[Any, Any]:
    """A map made in pieces: one long call would hold the interpreter from the other threads for its whole time."""
    rest = iter(pairs.items())
    made = Map[Any, Any]().mutate()
    while piece := list(islice(rest, _PIECE)):
        made.update(piece)
    return made.finish()
