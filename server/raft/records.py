"""Journal format 1: what the bytes of a segment mean.

    segment = header, batch...          header = magic, first index, chain, cluster ID, CRC
    batch   = batch header, record...   batch header = magic, own offset, known durable index, commit hint, count, CRC
    record  = length, CRC, index, term, payload

A record's CRC covers the CRC of the record before it (the chain), so that stale bytes after a rewritten record never
look valid. A batch header stands for itself: one that follows a bad record proves that the bad one was once durable.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from yurt.server.raft.errors import Corrupt

SEGMENT_MAGIC = b"YURTLOG1"
BATCH_MAGIC = b"YBH1"
_SEGMENT = struct.Struct("<8sQI16s")
_BATCH = struct.Struct("<4sQQQI")
_RECORD = struct.Struct("<IIQQ")
_CRC = struct.Struct("<I")
SEGMENT_HEADER_BYTES = _SEGMENT.size + 4
BATCH_HEADER_BYTES = _BATCH.size + 4
RECORD_HEADER_BYTES = _RECORD.size
PAYLOAD_BYTES_MAX = 64 << 20

Entry = tuple[bytes, int, int]  # command, index, term


class Found(NamedTuple):
    """An entry in a segment: where its record starts and the chain before it."""

    entry: Entry
    offset: int
    chain_before: int


class Scan(NamedTuple):
    """What a segment holds: entries, the end of the last good batch, the chain there, the commit hint."""

    first_index: int
    found: list[Found]
    end: int
    chain: int
    commit_hint: int
    torn: bool


def segment_header(first_index: int, chain: int, cluster: bytes) -> bytes:
    """The first bytes of a segment."""
    body = _SEGMENT.pack(SEGMENT_MAGIC, first_index, chain, cluster)
    return body + _CRC.pack(zlib.crc32(body))


def pack_batch(
    entries: list[Entry], *, offset: int, chain: int, durable: int, commit: int, cluster: bytes
) -> tuple[bytes, list[tuple[int, int]], int]:
    """The bytes of a batch at `offset`, (offset, chain before) of each record, and the chain after it."""
    head = _BATCH.pack(BATCH_MAGIC, offset, durable, commit, len(entries))
    parts = [head, _CRC.pack(zlib.crc32(head + cluster))]
    position = offset + BATCH_HEADER_BYTES
    places = []
    for payload, index, term in entries:
        places.append((position, chain))
        chain = _record_crc(chain, index, term, payload)
        parts.append(_RECORD.pack(len(payload), chain, index, term))
        parts.append(payload)
        position += RECORD_HEADER_BYTES + len(payload)
    return b"".join(parts), places, chain


def _record_crc(chain: int, index: int, term: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(_RECORD.pack(len(payload), chain, index, term)))


def scan_segment(data: bytes, name: str, cluster: bytes, *, last: bool) -> Scan:
    """Read a segment; a bad tail of the last one is torn, anything else that is bad raises `Corrupt`."""
    first_index, chain = _read_header(data, name, cluster)
    found: list[Found] = []
    offset, commit_hint = SEGMENT_HEADER_BYTES, 0
    while True:
        batch = _read_batch(data, offset, cluster, chain, first_index + len(found))
        if batch is None:
            break
        more, offset, chain, hint = batch
        found.extend(more)
        commit_hint = max(commit_hint, hint)
    torn = any(data[offset : offset + BATCH_HEADER_BYTES + RECORD_HEADER_BYTES])
    if not last and torn:
        raise Corrupt(f"{name} is damaged at byte {offset}, before the end of the log")
    if follows := _later_batch(data, offset, cluster):
        raise Corrupt(
            f"{name} is damaged at byte {offset}: a batch at byte {follows} was written after it was durable. "
            "Bring the server back with an empty data directory, so that it gets the state from its peers"
        )
    return Scan(first_index, found, offset, chain, commit_hint, torn)


def _read_header(data: bytes, name: str, cluster: bytes) -> tuple[int, int]:
    body = data[: _SEGMENT.size]
    if len(data) < SEGMENT_HEADER_BYTES or _CRC.unpack_from(data, _SEGMENT.size)[0] != zlib.crc32(body):
        raise Corrupt(f"the header of {name} is damaged")
    magic, first_index, chain, found = _SEGMENT.unpack(body)
    if magic != SEGMENT_MAGIC:
        raise Corrupt(f"{name} is of another format")
    if found != cluster:
        raise Corrupt(f"{name} belongs to another cluster")
    return first_index, chain


def _batch_head(data: bytes, offset: int, cluster: bytes) -> tuple[int, int] | None:
    """Commit hint and count of a valid batch header at `offset`."""
    if offset + BATCH_HEADER_BYTES > len(data):
        return None
    head = data[offset : offset + _BATCH.size]
    magic, own_offset, _durable, commit, count = _BATCH.unpack(head)
    if magic != BATCH_MAGIC or own_offset != offset:
        return None
    if _CRC.unpack_from(data, offset + _BATCH.size)[0] != zlib.crc32(head + cluster):
        return None
    return commit, count


def _read_batch(
    data: bytes, offset: int, cluster: bytes, chain: int, next_index: int
) -> tuple[list[Found], int, int, int] | None:
    """The records of the batch at `offset`, its end, the chain there and its commit hint; None if it is not whole."""
    head = _batch_head(data, offset, cluster)
    if head is None:
        return None
    commit, count = head
    position = offset + BATCH_HEADER_BYTES
    found = []
    for _ in range(count):
        if position + RECORD_HEADER_BYTES > len(data):
            return None
        length, crc, index, term = _RECORD.unpack_from(data, position)
        payload = data[position + RECORD_HEADER_BYTES : position + RECORD_HEADER_BYTES + length]
        if length > PAYLOAD_BYTES_MAX or len(payload) != length or index != next_index:
            return None
        if _record_crc(chain, index, term, payload) != crc:
            return None
        found.append(Found((payload, index, term), position, chain))
        chain, position, next_index = crc, position + RECORD_HEADER_BYTES + length, next_index + 1
    return found, position, chain, commit


def _later_batch(data: bytes, offset: int, cluster: bytes) -> int:
    """The offset of a valid batch header after `offset`, 0 if there is none."""
    at = data.find(BATCH_MAGIC, offset + 1)
    while at >= 0:
        if _batch_head(data, at, cluster) is not None:
            return at
        at = data.find(BATCH_MAGIC, at + 1)
    return 0
