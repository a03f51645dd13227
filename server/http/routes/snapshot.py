"""Saving and restoring the whole state, and how large it is (spec cluster §15)."""

from __future__ import annotations

import base64
import os

import msgspec

from yurt.fsm.store.schema import TABLES
from yurt.fsm.store.view import View
from yurt.fsm.structs.base import Record, to_json
from yurt.server.http.asgi.context import Answer, Context, FileAnswer, ReadOptions, index_header
from yurt.server.http.query.found import Found
from yurt.server.platform.turns import Steps

SAMPLE = 256


class TableSize(Record, frozen=True):
    """How large a table is."""

    table: str
    rows: int
    bytes: int
    index: int


async def save(context: Context) -> Answer:
    """GET /v1/operator/snapshot: from the state of the server that is asked, which is as new as for any read."""
    file, digest, index = await context.server.backup.save()
    headers = (
        (b"content-type", b"application/x-gzip"),
        (b"digest", b"sha-256=" + base64.b64encode(digest)),
        index_header(index),
    )
    return FileAnswer(file, os.fstat(file.fileno()).st_size, headers)


async def restore(context: Context) -> Answer:
    """PUT /v1/operator/snapshot: answers when the state is replaced and the leader's duties have begun anew."""
    await context.server.backup.restore(context.parts())
    return Answer(200)


def state_sizes(view: View, context: Context, options: ReadOptions) -> Steps[Found]:
    """GET /v1/operator/state: rows, bytes (of a sample of 256 rows, scaled) and index of every table."""
    found = []
    for table in TABLES:
        rows = view.count(table)
        sample = view.sample(table, SAMPLE)
        sampled = 0
        for row in sample:
            sampled += len(msgspec.msgpack.encode(row))
            yield
        size = sampled * rows // len(sample) if sample else 0
        found.append(TableSize(table=table.name, rows=rows, bytes=size, index=view.table_index(table)))
    return Found(to_json(found), view.index, tuple((table, None) for table in TABLES))
