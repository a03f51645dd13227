"""The state as a stream of bytes and back.

Format 1 is a msgpack stream of frames `[checksum, body]`, each body at most 1 MiB. A checksum is the CRC-32 of its body
chained with that of the frame before, so that a lost, doubled or moved frame is found too. The first body is the
header, a map: `format`, `index`, and for each table its name, its index and the number of its rows. The bodies after it
joined are a msgpack stream of rows: table by table in the header's order, in key order, each row the msgpack of its
record as a byte string; a job that equals its version row is the version's key instead. Tables that came late are left
out while they are empty. The last frame is the footer: its body is empty. The same state gives the same bytes, always.
Nothing is taken over before all of it was right.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import msgpack
import msgspec

from yurt.fsm.errors import YurtError
from yurt.fsm.store.loading import OutOfOrder, TableLoader
from yurt.fsm.store.schema import BY_NAME, JOB_VERSIONS, JOBS, TABLES, Table
from yurt.fsm.store.state import State, empty_state
from yurt.fsm.store.view import View

FORMAT = 1
BODY_BYTES_MAX = 1 << 20
_FRAME_BYTES_MAX = BODY_BYTES_MAX + 16
_ROW_BYTES_MAX = 1 << 30
ROWS_AT_ONCE = 512


class BadSnapshot(YurtError):
    """The bytes are no snapshot that this version can read; the state was left alone."""


class _Format(msgspec.Struct):
    """The part of the header that every format has."""

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
    written = [table for table in TABLES if not table.late or view.count(table)]
    tables = [[table.name, view.table_index(table), view.count(table)] for table in written]
    yield msgpack.packb({"format": FORMAT, "index": view.index, "tables": tables})
    packer = msgpack.Packer(autoreset=False)
    for table in written:
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
    return read_with_keys(chunks)[0]


def read_with_keys(chunks: Iterable[bytes]) -> tuple[State, dict[str, list[Any]]]:
    """As `read`; with the keys of each table's rows, in order."""
    bodies = _bodies_in(chunks)
    try:
        first = next(bodies, b"")
        version = msgspec.msgpack.decode(first, type=_Format).format
        if version != FORMAT:
            way_out = ": upgrade this server first" if version > FORMAT else ""
            raise BadSnapshot(f"the snapshot has format {version}, this version reads format {FORMAT}{way_out}")
        header = msgspec.msgpack.decode(first, type=_Header)
        packed_rows = _PackedRows(bodies)
        state = empty_state()
        keys: dict[str, list[Any]] = {}
        for name, index, count in header.tables:
            if name not in BY_NAME:
                raise BadSnapshot(f'the snapshot has a table "{name}" that this version does not know')
            table = _read_table(packed_rows, BY_NAME[name], count, state)
            state.tables[name], keys[name] = table.finish(index), table.keys
        if packed_rows.take(1):
            raise BadSnapshot("the snapshot is damaged: it holds more than its header says")
        return State(header.index, state.tables), keys
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


class _PackedRows:
    """The stream of rows, each a byte string or the key of a version, a body's worth at a time."""

    def __init__(self, bodies: Iterator[bytes]) -> None:
        self._bodies = bodies
        self._unpacker = msgpack.Unpacker(max_buffer_size=_ROW_BYTES_MAX)
        self._fed = self._used = self._at = 0
        self._batch: list[Any] = []

    def take(self, most: int) -> list[Any]:
        """The next rows, at least one and at most so many; none at the end."""
        while self._at == len(self._batch):
            body = next(self._bodies, None)
            if body is None:
                if self._fed != self._used:
                    raise BadSnapshot("the snapshot is damaged: its last row is cut")
                return []
            self._unpacker.feed(body)
            self._fed += len(body)
            self._batch, self._at = list(self._unpacker), 0
            if self._batch:
                self._used = self._unpacker.tell()
        taken = self._batch[self._at : self._at + most]
        self._at += len(taken)
        return taken


def _read_table(packed_rows: _PackedRows, table: Table[Any, Any], count: int, state: State) -> TableLoader:
    decode = msgspec.msgpack.Decoder(table.record).decode
    versions = state.tables[JOB_VERSIONS.name].rows
    loader = TableLoader(table)
    left = count
    while left:
        batch = packed_rows.take(min(left, ROWS_AT_ONCE))
        rows = [decode(row) if type(row) is bytes else versions.get(tuple(row or ())) for row in batch]
        if not rows or None in rows:
            raise BadSnapshot(f"the snapshot is damaged: rows of {table.name} are missing")
        try:
            loader.add(rows)
        except OutOfOrder:
            raise BadSnapshot(f"the snapshot is damaged: rows of {table.name} are out of order") from None
        left -= len(rows)
    return loader
