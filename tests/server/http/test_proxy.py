"""Requests that are handed over from one agent to another, and their answers."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from yurt.server.acl.statements import NODE_HEADER
from yurt.server.http.context import JSON, Answer, Context, FileAnswer
from yurt.server.http.listing import ListBody
from yurt.server.http.proxy import PROXIED, signed

NODE_ID = "00000000-0000-4000-8000-000000000000"


def context(headers: dict[bytes, bytes]) -> Context:
    """A request to an agent that is a node."""
    server: Any = SimpleNamespace(node_agent=SimpleNamespace(node=SimpleNamespace(id=NODE_ID)))
    return Context(server, "GET", "/v1/jobs", b"", headers, b"")


async def pieces() -> AsyncIterator[bytes]:
    yield b"a"


ANSWERS = {
    "body": Answer(403, b"body", (JSON,)),
    "rows": Answer(200, b"", (JSON,), rows=ListBody([1], lambda row: b"1")),
    "stream": Answer(200, b"", (JSON,), stream=pieces()),
    "file": FileAnswer(io.BytesIO(b"file"), 4, (JSON,)),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_what_a_node_answers_is_the_same_with_its_name(answer: Answer) -> None:
    found = signed(answer, context({PROXIED: b"1"}))
    assert found.headers == (JSON, (NODE_HEADER, NODE_ID.encode())) and answer.headers == (JSON,)
    assert type(found) is type(answer)
    for name in {*Answer.__slots__, *type(answer).__slots__} - {"headers"}:
        assert getattr(found, name) is getattr(answer, name), name


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_that_nobody_hands_on_bears_no_name(answer: Answer) -> None:
    assert signed(answer, context({})) is answer
