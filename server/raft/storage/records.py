"""Journal format 1: what the bytes of a segment mean. All numbers are little-endian.

    segment = header, (batch header, record...)..., [mark], zeros        one file SEQUENCE.log
    header  = magic, flags, sequence, base index, base term, chain, cluster ID, CRC
    batch   = magic, kind, own offset, number, number known durable, commit hint, CRC of itself, CRC in the chain
    record  = length, CRC in the chain, index, term, payload
    mark    = a batch header without records: SEAL (the next segment exists), CLEAN (the server stopped properly)

The chain: the CRC of a record or batch header covers the CRC before it, the first one covers the segment's header, a
header covers the chain at the end of the segment before it. So stale bytes after a rewritten record never look valid.
A batch header can also be told by itself: one that follows a bad record proves that the bad one was once durable,
because a batch is written only after the one before it was synced.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from yurt.server.raft.errors import WAY_OUT, Corrupt

SEGMENT_MAGIC = b"YURTLOG1"
BATCH_MAGIC = b"YBH1"  # as a length it would be above PAYLOAD_BYTES_MAX: a record never looks like a batch header
RESET = 1  # flag of a segment before which nothing counts
ENTRIES, SEAL, CLEAN = 1, 2, 3
_SEGMENT = struct.Struct("<8sIQQQI16s")
_BATCH = struct.Struct("<4sIQQQQ")
_RECORD = struct.Struct("<IIQQ")
_CRC = struct.Struct("<I")
_CRCS = struct.Struct("<II")
SEGMENT_HEADER_BYTES = _SEGMENT.size + _CRC.size
BATCH_HEADER_BYTES = _BATCH.size + _CRCS.size
RECORD_HEADER_BYTES = _RECORD.size
PAYLOAD_BYTES_MAX = 64 << 20

Entry = tuple[bytes, int, int]  # command, index, term


class Header(NamedTuple):
    """The first bytes of a segment: its place in the log, and the chain its records go on from."""

    flags: int
    sequence: int
    base_index: int
    base_term: int
    previous_chain: int
    chain: int

    @classmethod
    def of(cls, flags: int, sequence: int, base: tuple[int, int], previous_chain: int, cluster: bytes) -> Header:
        """The header of a new segment after the entry `base` (index, term)."""
        draft = cls(flags, sequence, *base, previous_chain, 0)
        return draft._replace(chain=zlib.crc32(draft._body(cluster)))

    def _body(self, cluster: bytes) -> bytes:
        numbers = (self.flags, self.sequence, self.base_index, self.base_term, self.previous_chain)
        return _SEGMENT.pack(SEGMENT_MAGIC, *numbers, cluster)

    def pack(self, cluster: bytes) -> bytes:
        """The bytes."""
        return self._body(cluster) + _CRC.pack(self.chain)


def read_header(data: bytes, path: str, cluster: bytes) -> Header:
    """The header of a segment; raises `Corrupt`."""
    if len(data) < SEGMENT_HEADER_BYTES:
        raise damage(path, 0, "its header is missing")
    crc = _CRC.unpack_from(data, _SEGMENT.size)[0]
    magic, flags, sequence, index, term, previous, found = _SEGMENT.unpack_from(data)
    if magic != SEGMENT_MAGIC or zlib.crc32(data[: _SEGMENT.size]) != crc:
        raise damage(path, 0, "its header is not one of journal format 1")
    if found != cluster:
        raise damage(path, 0, "it belongs to another cluster")
    return Header(flags, sequence, index, term, previous, crc)


def cluster_in(data: bytes) -> bytes:
    """The cluster ID that a segment's first bytes name, whether they are good or not."""
    return data[_SEGMENT.size - 16 : _SEGMENT.size]


def damage(path: str, offset: int, reason: str) -> Corrupt:
    """The error that names the place and the way out."""
    return Corrupt(f"{path} cannot be used, byte {offset}: {reason}. {WAY_OUT}")


class Batch(NamedTuple):
    """A batch header."""

    kind: int
    number: int
    durable: int
    commit_hint: int


def pack_batch(batch: Batch, entries: Sequence[Entry], segment: Segment, cluster: bytes) -> tuple[bytes, Places]:
    """The bytes of a batch at the end of a segment, and where its records will be."""
    head = _BATCH.pack(BATCH_MAGIC, batch.kind, segment.end, batch.number, batch.durable, batch.commit_hint)
    own = _own_crc(head, segment.header, cluster)
    chain = zlib.crc32(head, zlib.crc32(_CRCS.pack(segment.chain, own)))
    parts = [head, _CRCS.pack(own, chain)]
    position = segment.end + BATCH_HEADER_BYTES
    places = Places([], [])
    for payload, index, term in entries:
        chain = _record_crc(chain, index, term, payload)
        parts.append(_RECORD.pack(len(payload), chain, index, term))
        parts.append(payload)
        position += RECORD_HEADER_BYTES + len(payload)
        places.ends.append(position)
        places.chains.append(chain)
    return b"".join(parts), places


def _own_crc(head: bytes, header: Header, cluster: bytes) -> int:
    return zlib.crc32(head, zlib.crc32(cluster, header.chain))


def _record_crc(chain: int, index: int, term: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(_RECORD.pack(len(payload), chain, index, term)))


class Places(NamedTuple):
    """The offset after each record, and the chain there."""

    ends: list[int]
    chains: list[int]


@dataclass
class Segment:
    """A segment on disk: what it holds and where."""

    name: str
    header: Header
    places: Places = field(default_factory=lambda: Places([], []))
    size: int = 0  # bytes that are there, with the zeros

    @property
    def last_index(self) -> int:
        """The index of its last entry, or of the one before it."""
        return self.header.base_index + len(self.places.ends)

    @property
    def end(self) -> int:
        """The offset after its last entry."""
        return self.places.ends[-1] if self.places.ends else SEGMENT_HEADER_BYTES

    @property
    def chain(self) -> int:
        """The chain there."""
        return self.places.chains[-1] if self.places.chains else self.header.chain


class Scan(NamedTuple):
    """The findings in a segment: `mark` is SEAL, CLEAN or 0; `torn` says that something bad follows its end.

    `newest` is the offset of its last batch, 0 if it has none.
    """

    segment: Segment
    entries: list[Entry]
    number: int
    commit_hint: int
    mark: int
    torn: bool
    last_term: int
    newest: int = 0


def scan_segment(data: bytes, name: str, path: str, cluster: bytes) -> Scan:
    """Read a segment up to the first byte that is not good; raises `Corrupt` if that byte was once durable."""
    header = read_header(data, path, cluster)
    segment = Segment(name, header, size=len(data))
    entries: list[Entry] = []
    offset, chain, number, hint, mark, term = SEGMENT_HEADER_BYTES, header.chain, 0, 0, 0, header.base_term
    newest = 0
    while not mark:
        if batch := _batch_at(data, offset, header, cluster):
            crc = _CRC.unpack_from(data, offset + _BATCH.size + _CRC.size)[0]
            head = data[offset : offset + _BATCH.size]
            if crc != zlib.crc32(head, zlib.crc32(_CRCS.pack(chain, _own_crc(head, header, cluster)))):
                break
            if batch.number <= number:
                break
            number, hint, chain = batch.number, max(hint, batch.commit_hint), crc
            mark = batch.kind if batch.kind in (SEAL, CLEAN) else 0
            newest = newest if mark else offset
            offset += BATCH_HEADER_BYTES
        elif number and (found := _record_at(data, offset, chain, segment.last_index + 1, term)):
            entry, chain = found
            entries.append(entry)
            term = entry[2]
            offset += RECORD_HEADER_BYTES + len(entry[0])
            segment.places.ends.append(offset)
            segment.places.chains.append(chain)
        else:
            break
    torn = bool(data[offset:].strip(b"\0"))
    if torn and mark == CLEAN:
        raise damage(path, offset, "something follows the mark of a proper stop")
    if torn and (later := _later_batch(data, offset, header, cluster, number)):
        raise damage(path, offset, f"a bad record, and at byte {later} a batch that was written after it was durable")
    return Scan(segment, entries, number, hint, mark, torn, term, newest)


def _batch_at(data: bytes, offset: int, header: Header, cluster: bytes) -> Batch | None:
    """The batch header at an offset, if there is one that is good by itself."""
    if not data.startswith(BATCH_MAGIC, offset) or offset + BATCH_HEADER_BYTES > len(data):
        return None
    _, kind, own_offset, number, durable, commit_hint = _BATCH.unpack_from(data, offset)
    own = _CRC.unpack_from(data, offset + _BATCH.size)[0]
    if own_offset != offset or own != _own_crc(data[offset : offset + _BATCH.size], header, cluster):
        return None
    return Batch(kind, number, durable, commit_hint)


def _record_at(data: bytes, offset: int, chain: int, index: int, term_min: int) -> tuple[Entry, int] | None:
    """The record at an offset and the chain after it, if it is the good one that belongs there."""
    if offset + RECORD_HEADER_BYTES > len(data):
        return None
    length, crc, found_index, term = _RECORD.unpack_from(data, offset)
    if found_index != index or term < term_min or length > PAYLOAD_BYTES_MAX:
        return None
    payload = data[offset + RECORD_HEADER_BYTES : offset + RECORD_HEADER_BYTES + length]
    if len(payload) != length or _record_crc(chain, index, term, payload) != crc:
        return None
    return (payload, index, term), crc


def _later_batch(data: bytes, offset: int, header: Header, cluster: bytes, number: int) -> int:
    """The offset of a batch after `offset` that says that something newer than `number` was durable, else 0."""
    at = data.find(BATCH_MAGIC, offset)
    while at >= 0:
        batch = _batch_at(data, at, header, cluster)
        if batch is not None and at > offset and batch.number > number:
            return at
        at = data.find(BATCH_MAGIC, at + 1)
    return 0
