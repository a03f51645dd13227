"""Requests that are handed over from one agent to another, and their answers."""

from __future__ import annotations

import asyncio
import gc
import io
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from yurt.fsm.errors import Refusal
from yurt.server.acl.statements import NODE_HEADER
from yurt.server.http.asgi.context import JSON, Answer, Context, FileAnswer
from yurt.server.http.query.listing import ListBody
from yurt.server.http.routing.proxy import BODY_BYTES_MAX, PROXIED, STREAMED_BYTES, Target, proxied, signed

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


def handed_on(sent: bytes) -> tuple[Answer, bytes]:
    """The answer that is handed on, and its body, where another agent sends some bytes and ends the connection."""

    async def main() -> tuple[Answer, bytes]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(sent)
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            host, port = server.sockets[0].getsockname()
            answer = await proxied(context({}), Target("server a", f"{host}:{port}"))
            body = answer.body
            if answer.stream is not None:
                body = b"".join([piece async for piece in answer.stream])
            return answer, body

    return asyncio.run(main())


def head(*headers: bytes) -> bytes:
    return b"\r\n".join((b"HTTP/1.1 200 OK", *headers, b"", b""))


@pytest.mark.parametrize("length", [b"9" * 5000, b"%d" % (BODY_BYTES_MAX + 1), b"x", b"-1", b"1 1", b""])
def test_s17_an_answer_whose_length_is_absurd_is_none(length: bytes) -> None:
    with pytest.raises(Refusal) as refusal:
        handed_on(head(b"Content-Length: " + length) + b"body")
    assert refusal.value.status == 502 and "server a" in refusal.value.text


def test_an_answer_with_a_length_is_handed_on_whole() -> None:
    assert handed_on(head(b"Content-Length: 4") + b"body")[1] == b"body"
    with pytest.raises(Refusal) as refusal:
        handed_on(head(b"Content-Length: 5") + b"body")
    assert "broke off" in refusal.value.text


def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    assert handed_on(head() + b"body")[1] == b"body"


def test_a_long_answer_is_handed_on_as_it_comes() -> None:
    size = STREAMED_BYTES + 1
    sent = head(b"Content-Length: %d" % size) + b"x" * size
    answer, body = handed_on(sent + b"more")
    assert answer.stream is not None and not answer.body
    assert body == b"x" * size
    assert dict(answer.headers)[b"content-length"] == b"%d" % size
    with pytest.raises(ConnectionError):
        handed_on(sent[:-1])


def test_a_request_that_is_given_up_leaves_no_connection() -> None:
    async def main() -> None:
        asked, ended = asyncio.Event(), asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            asked.set()
            assert await reader.read() == b""
            writer.close()
            ended.set()

        async with asyncio.timeout(5), await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            host, port = server.sockets[0].getsockname()
            asking = asyncio.ensure_future(proxied(context({}), Target("server a", f"{host}:{port}")))
            await asked.wait()
            asking.cancel()
            await ended.wait()

    gc.disable()
    try:
        asyncio.run(main())
    finally:
        gc.enable()


CHUNKED = head(b"Transfer-Encoding: chunked")
CHUNKS = b"4\r\nbody\r\n" + b"%x\r\n%b\r\n" % (100_000, b"x" * 100_000)


def test_an_answer_in_chunks_is_handed_on_without_their_lengths() -> None:
    """Servers send long lists so, also to agents that are only nodes."""
    answer, body = handed_on(CHUNKED + CHUNKS + b"0\r\n\r\n")
    assert body == b"body" + b"x" * 100_000
    assert not any(name == b"transfer-encoding" for name, _ in answer.headers)


@pytest.mark.parametrize("end", [b"", b"5\r\nab", b"zz\r\n", b"0\r\n"], ids=["end", "piece", "junk", "no end"])
def test_chunks_that_do_not_come_to_their_end_are_no_whole_answer(end: bytes) -> None:
    with pytest.raises(ConnectionError):
        handed_on(CHUNKED + CHUNKS + end)


@pytest.mark.parametrize(
    "line", [b"HTTP/1.1", b"HTTP/1.1 x", b"HTTP/1.1 42 No", b"HTTP/1.1 99999 No", b"HTTP/1.1 " + b"9" * 5000]
)
def test_an_answer_without_a_status_is_none(line: bytes) -> None:
    with pytest.raises(Refusal) as refusal:
        handed_on(line + b"\r\nContent-Length: 4\r\n\r\nbody")
    assert "broke off" in refusal.value.text
