"""How answers are sent: what happens to them between the dispatcher and the client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

from tests.server.http.bare_server import bare_server
from yurt.fsm.errors import Refusal
from yurt.server.http.asgi.app import App
from yurt.server.http.asgi.bodies import CHUNK_BYTES
from yurt.server.http.asgi.context import JSON, TEXT, Answer, Context
from yurt.server.server import Server


def sent(server: Server, answer: Answer, *, query: bytes = b"", accept: bytes = b"") -> tuple[int, bytes]:
    """Status and body of an answer as a client gets them."""
    messages: list[Any] = []

    async def main() -> None:
        async def dispatched(_context: Context) -> Answer:
            return answer

        async def receive() -> Any:
            return await asyncio.get_running_loop().create_future()

        async def send(message: Any) -> None:
            messages.append(message)

        scope = {
            "type": "http", "method": "GET", "path": "/v1/jobs", "query_string": query, "http_version": "1.1",
            "headers": [(b"accept", accept)], "client": ("10.0.0.1", 1),
        }  # fmt: skip
        await App(server, SimpleNamespace(answer=dispatched))(scope, receive, send)  # type: ignore[arg-type]

    asyncio.run(main())
    return messages[0]["status"], b"".join(message.get("body", b"") for message in messages)


def test_an_answer_that_nobody_has_time_to_indent_is_sent_as_it_is() -> None:
    server = bare_server()

    async def run(*_args: Any) -> Any:
        raise Refusal(429, "too much long work is waiting; retry later")

    server.background.run = run  # type: ignore[method-assign, assignment]
    body = b"[" + b"1," * CHUNK_BYTES + b"1]"
    assert sent(server, Answer(200, body, (JSON,)), query=b"pretty") == (200, body)


def test_the_text_of_an_error_that_comes_in_pieces_is_kept() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"no such "
        yield b"file"

    answer = Answer(404, b"", (TEXT,), stream=pieces())
    assert sent(bare_server(), answer, accept=b"application/problem+json") == (404, b"no such file")
