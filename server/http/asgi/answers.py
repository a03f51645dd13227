"""Answers that several endpoints share, and how records become answers."""

from __future__ import annotations

from typing import Any

import msgspec

from yurt.fsm.structs.base import Record, to_json
from yurt.server.http.asgi.context import Answer, index_header, json_answer


class IndexAnswer(Record, frozen=True):
    """That a write is done, and at which index."""

    index: int


class CountAnswer(Record, frozen=True):
    """How many, as of an index."""

    count: int
    index: int


def answered(record: Record, index: int) -> Answer:
    """A record as a write's answer."""
    return json_answer(to_json(record), index_header(index))


def encoded(body: bytes) -> Any:
    """Return encoded JSON as a member of a record that is not encoded yet."""
    return msgspec.Raw(body)
