"""A digest of a slice of the state: servers that applied the same commands have the same one (design: fsm).

The slices go round: each digest says where the next one begins, so that in time every row is compared and no digest
costs more than its rows. A job's slice holds its versions, summary and scaling events too, a root key's its wrapped
form if there is one (versions before know of none). Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import msgpack
import msgspec

from yurt.fsm.store.schema import (
    BY_NAME,
    JOB_SUMMARIES,
    JOB_VERSIONS,
    JOBS,
    ROOT_KEYS,
    SCALING_EVENTS,
    TABLES,
    WRAPPED_KEYS,
)
from yurt.fsm.store.view import View

ROWS = 256  # of one slice
_ORDER = [table.name for table in TABLES if table.listed]
_encoder = msgspec.msgpack.Encoder()


def digest(view: View, place: bytes) -> tuple[bytes, bytes]:
    """The digest (16 bytes) of the slice at `place` (empty: the first), and the place of the next slice."""
    name, start = _place(place)
    table = BY_NAME[name]
    found = hashlib.blake2b(digest_size=16)
    found.update(_encoder.encode((view.index, name, view.table_index(table), view.count(table))))
    rows = zip(view.keys(table, start=start), view.scan(table, start=start), strict=True)
    for taken, (key, row) in enumerate(rows):
        if taken == ROWS:
            return found.digest(), _packed(name, key)
        for part in _parts(view, name, key, row):
            found.update(_encoder.encode(part))
    return found.digest(), _packed(_ORDER[(_ORDER.index(name) + 1) % len(_ORDER)], None)


def _parts(view: View, name: str, key: Any, row: Any) -> Iterator[Any]:
    yield row
    if name == JOBS.name:
        yield from view.find(JOB_VERSIONS, "job", key)
        yield view.get(JOB_SUMMARIES, key)
        yield view.get(SCALING_EVENTS, key)
    elif name == ROOT_KEYS.name and (wrapped := view.get(WRAPPED_KEYS, key)) is not None:
        yield wrapped


def _packed(name: str, key: Any) -> bytes:
    packed: bytes = msgpack.packb([name, key])
    return packed


def _place(place: bytes) -> tuple[str, Any]:
    if not place:
        return _ORDER[0], None
    name, key = msgpack.unpackb(place, use_list=False)
    return (name, key) if name in _ORDER else (_ORDER[0], None)
