"""The limits of a connection, on real sockets: slow, large and too many."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from yurt.server.http.asgi.protocol import (
    HEAD_BYTES_MAX,
    HEADERS_MAX,
    READ_BYTES,
    TARGET_BYTES_MAX,
    Connections,
    limited,
)
from yurt.server.http.asgi.serve import bind

SECONDS = 0.4
CONNECTIONS_MAX = 4
LARGE = 64 << 20
HANDLING_SECONDS = 1.5 * SECONDS


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Reads the body, takes its time at /slow, answers the body's length. Some paths never come to an end."""
    size, more = 0, scope["path"] != "/early"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    if scope["path"] == "/large":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % LARGE)]})
        for _ in range(LARGE >> 16):
            await send({"type": "http.response.body", "body": b"x" * (1 << 16), "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        return
    if scope["path"] == "/whole":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % LARGE)]})
        await send({"type": "http.response.body", "body": bytes(LARGE)})
        return
    if scope["path"] == "/tokens":  # how many tokens the head has, after the whole body
        size = sum(name == b"x-nomad-token" for name, _ in scope["headers"])
    if scope["path"] in ("/begun", "/early"):  # a chunked answer that goes on until the client is gone
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    if scope["path"] == "/unanswered":  # works until the client is gone
        await receive()
        return
    if scope["path"] == "/slow":
        await asyncio.sleep(HANDLING_SECONDS)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(str(size)))]})
    await send({"type": "http.response.body", "body": str(size).encode()})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    http, ws = limited(Connections(request_seconds=SECONDS, write_seconds=SECONDS, per_client_max=CONNECTIONS_MAX))
    config = uvicorn.Config(application, http=http, ws=ws, lifespan="off", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    listening = bind("127.0.0.1", 0)
    thread = threading.Thread(target=lambda: server.run(sockets=[listening]), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield listening.getsockname()[1]
    server.should_exit = True
    thread.join(10)


Connect = Callable[[], socket.socket]


@pytest.fixture
def connect(port: int) -> Iterator[Connect]:
    """Connections that are all closed, and forgotten by the server, when the test ends."""
    opened: list[socket.socket] = []

    def dial() -> socket.socket:
        opened.append(socket.create_connection(("127.0.0.1", port), timeout=10))
        return opened[-1]

    yield dial
    for one in opened:
        one.close()
    time.sleep(0.05)


def answer(connection: socket.socket) -> bytes:
    """What comes until the answer is whole or the connection ends."""
    data = b""
    while b"\r\n\r\n" not in data or len(data.partition(b"\r\n\r\n")[2]) < length_of(data):
        try:
            part = connection.recv(65536)
        except ConnectionError:
            break
        if not part:
            break
        data += part
    return data


def length_of(data: bytes) -> int:
    for line in data.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0


def status(connection: socket.socket) -> int:
    line = answer(connection).split(b"\r\n")[0]
    return int(line.split()[1]) if line else 0


def ended(connection: socket.socket) -> bool:
    """Whether the server has ended the connection; waits for it."""
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def written_until_refused(connection: socket.socket, piece: bytes, *, pause: float) -> int:
    """How many pieces could be written before the connection was ended."""
    for number in range(200_000):
        try:
            connection.sendall(piece)
        except OSError:
            return number
        time.sleep(pause)
    return 200_000


def request(target: str = "/", *headers: str) -> bytes:
    return "\r\n".join((f"GET {target} HTTP/1.1", "Host: x", *headers, "", "")).encode()


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (request(), 200),
        (request("/" + "a" * (TARGET_BYTES_MAX - 1)), 200),
        (request("/" + "a" * TARGET_BYTES_MAX), 414),
        (request("/", *(f"X-{n}: y" for n in range(HEADERS_MAX - 1))), 200),
        (request("/", *(f"X-{n}: y" for n in range(HEADERS_MAX))), 431),
        (request("/", "X: " + "y" * (HEAD_BYTES_MAX - 100)), 200),
        (request("/", "X: " + "y" * HEAD_BYTES_MAX), 431),
        (request("/", *(f"X-{n}: {'y' * 1024}" for n in range(40))), 431),
        (b"no request at all\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 200),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    ],
    ids=["small", "target", "target+1", "headers", "headers+1", "head", "head+1", "sum", "junk", "body", "length", "chunk"],
)  # fmt: skip
def test_sizes(connect: Connect, sent: bytes, expected: int) -> None:
    connection = connect()
    connection.sendall(sent)
    assert status(connection) == expected
    if expected != 200:
        assert ended(connection), "a refused connection is of no further use"
    fresh = connect()
    fresh.sendall(request())
    assert status(fresh) == 200


TRAILER = b"POST /tokens HTTP/1.1\r\nHost: x\r\n%bTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Nomad-Token: b\r\n\r\n"


@pytest.mark.parametrize(("own", "tokens"), [(b"", b"0"), (b"X-Nomad-Token: a\r\n", b"1")], ids=["none", "one"])
def test_s12_what_follows_a_chunked_body_is_no_header(connect: Connect, own: bytes, tokens: bytes) -> None:
    connection = connect()
    connection.sendall(TRAILER % own)
    assert answer(connection).endswith(b"\r\n\r\n" + tokens)
    connection.sendall(request("/tokens", "X-Nomad-Token: a"))
    assert answer(connection).endswith(b"\r\n\r\n1"), "the next request of the connection has its headers"


def test_s12_trailers_count_as_a_head(connect: Connect) -> None:
    connection = connect()
    head, _, _ = (TRAILER % b"").partition(b"X-Nomad-Token")
    connection.sendall(head + b"X-A: b\r\n" * (HEADERS_MAX + 1) + b"\r\n")
    assert status(connection) == 431


UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n"


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + UPGRADE + b"\r\n", 400),
        (b"GET / HTTP/1.0\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nhOST: y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x y\r\n\r\n", 400),
        (b"GET http://y/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET /\r\n\r\n", 400),
        (request("/", "X-Nomad-Token: a", "x-nomad-token: a"), 400),
        (request("/", "Authorization: Bearer a", "Authorization: Bearer b"), 400),
        (request("/", "Cookie: a", "Cookie: b"), 200),
    ],
    ids=["2.0", "no host", "no host, upgrade", "1.0", "hosts", "cases", "space", "other", "own", "0.9", "tokens",
         "authorizations", "cookies"],
)  # fmt: skip
def test_s19_heads_that_nobody_should_send_are_refused(connect: Connect, sent: bytes, expected: int) -> None:
    connection = connect()
    connection.sendall(sent)
    assert status(connection) == expected
    if expected != 200:
        assert ended(connection)
    fresh = connect()
    fresh.sendall(request())
    assert status(fresh) == 200


@pytest.mark.parametrize(
    "sent",
    [
        request("/" + "a" * TARGET_BYTES_MAX),
        request("/", "X: " + "y" * HEAD_BYTES_MAX),
        b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"no request at all\r\n\r\n",
        b"\x00",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + UPGRADE + b"\r\n",
    ],
    ids=["target", "head", "2.0", "no host", "junk", "byte", "upgrade"],
)
@pytest.mark.parametrize(("path", "begun"), [("/begun", b"5\r\nfirst\r\n"), ("/unanswered", b"")])
def test_nothing_is_written_into_the_answer_of_an_earlier_request(
    connect: Connect, path: str, begun: bytes, sent: bytes
) -> None:
    connection = connect()
    connection.sendall(request(path))
    data = b""
    while begun and not data.endswith(begun):
        data += connection.recv(65536)
    connection.sendall(sent)
    assert ended(connection), "the answer cannot be taken for a whole one"


def test_trailers_of_a_request_whose_answer_has_begun_end_the_connection(connect: Connect) -> None:
    connection = connect()
    head = b"POST /early HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"
    connection.sendall(head)
    data = b""
    while not data.endswith(b"5\r\nfirst\r\n"):
        data += connection.recv(65536)
    connection.sendall(b"0\r\n" + b"X-A: b\r\n" * (HEADERS_MAX + 1) + b"\r\n")
    assert ended(connection)


def test_a_refused_head_is_not_read_to_its_end(connect: Connect) -> None:
    connection = connect()
    connection.sendall(b"GET / HTTP/1.1\r\n")
    sent = written_until_refused(connection, f"X: {'y' * 100}\r\n".encode(), pause=0.0)
    assert sent < 200_000, "the flood stops in the kernel's buffers"


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET / HT",
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf",
        request() + b"GET / HTTP/1.1\r\nHo",
    ],
    ids=["silent", "line", "head", "body", "second"],
)  # fmt: skip
def test_a_request_that_does_not_come_to_its_end_is_ended(connect: Connect, begun: bytes) -> None:
    connection = connect()
    started = time.monotonic()
    connection.sendall(begun)
    if begun.startswith(request()):
        assert status(connection) == 200
    assert ended(connection)
    assert SECONDS * 0.8 < time.monotonic() - started < SECONDS + 3


def test_a_trickle_does_not_put_off_the_end(connect: Connect) -> None:
    connection = connect()
    connection.sendall(b"GET / HTTP/1.1\r\n")
    started = time.monotonic()
    assert 5 < written_until_refused(connection, b"X: y\r\n", pause=SECONDS / 20) < 100
    assert time.monotonic() - started < SECONDS + 3


def test_an_idle_connection_and_a_slow_handler_are_left_alone(connect: Connect) -> None:
    connection = connect()
    for target in ("/", "/slow", "/"):
        connection.sendall(request(target))
        assert status(connection) == 200
        time.sleep(1.2 * SECONDS)


def test_pipelined_requests_are_answered_in_order(connect: Connect) -> None:
    connection = connect()
    body = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b"
    connection.sendall(b"".join(body % (size, b"z" * size) for size in (1, 2, 3)))
    data = b""
    while data.count(b"HTTP/1.1 200") < 3 or not data.endswith(b"3"):
        data += connection.recv(65536)
    assert [part[-1:] for part in data.split(b"HTTP/1.1")[1:]] == [b"1", b"2", b"3"]


def test_one_address_may_hold_so_many_connections(connect: Connect) -> None:
    held = [connect() for _ in range(CONNECTIONS_MAX)]
    for one in held:
        one.sendall(request())
        assert status(one) == 200
    refused = connect()
    data = answer(refused)
    assert data.startswith(b"HTTP/1.1 429 Too Many Requests\r\n") and b"\r\nContent-Length: 81\r\n" in data
    assert data.endswith(b"Your IP is issuing too many concurrent connections, please rate limit your calls\n")
    assert ended(refused)
    held[0].close()
    time.sleep(0.1)
    again = connect()
    again.sendall(request())
    assert status(again) == 200, "one that is closed makes room"
    held[1].sendall(request())
    assert status(held[1]) == 200, "those that were there are not disturbed"


def test_who_takes_nothing_of_an_answer_is_given_up(connect: Connect) -> None:
    connection = connect()
    connection.sendall(request("/large"))
    time.sleep(2.5 * SECONDS)  # the buffers are full, nothing is taken
    taken = 0
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(1 << 20):
            taken += len(part)
    assert taken < LARGE, "the rest never comes"


def test_who_takes_an_answer_slowly_gets_all_of_it(connect: Connect) -> None:
    connection = connect()
    connection.sendall(request("/large"))
    taken = 0
    while taken < LARGE:
        part = connection.recv(4 << 20)
        assert part, "it is cut off"
        taken += len(part)
        time.sleep(SECONDS / 10)


def test_who_takes_an_answer_that_was_written_at_once_slowly_gets_all_of_it(connect: Connect) -> None:
    """Nothing is resumed as long as it lies there: what counts is whether some of it goes."""
    connection = connect()
    connection.sendall(request("/whole"))
    taken, ended = 0, time.monotonic() + 4 * SECONDS
    while taken < LARGE:
        part = connection.recv(1 << 20)
        assert part, "it is cut off"
        taken += len(part)
        if time.monotonic() < ended:
            time.sleep(SECONDS / 10)  # the pace of a slow line, for longer than the limit


class Unsent:
    """A transport that has something unsent."""

    def __init__(self, size: int) -> None:
        self.size, self.is_aborted = size, False

    def get_write_buffer_size(self) -> int:
        return self.size

    def is_closing(self) -> bool:
        return self.is_aborted

    def abort(self) -> None:
        self.is_aborted = True


class Timers:
    """A loop whose time goes on when the test says so."""

    def __init__(self) -> None:
        self.due: list[Callable[[], None]] = []

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Any:
        self.due.append(callback)
        return SimpleNamespace(cancel=lambda: None)


@pytest.mark.parametrize(
    ("sizes", "is_aborted"),
    [
        ((200_000, 200_000), True),
        ((200_000, 199_999), True),
        ((200_000, 200_000 - READ_BYTES), False),
        ((200_000, 150_000, 149_000), True),
        ((1_000, 999), True),
        ((1_000, 0), False),
    ],
)
def test_who_takes_an_answer_byte_by_byte_is_given_up(sizes: tuple[int, ...], is_aborted: bool) -> None:
    transport, loop = Unsent(sizes[0]), Timers()
    http, _ = limited(Connections())
    protocol = http.__new__(http)
    protocol.transport, protocol.loop, protocol.flow = transport, loop, SimpleNamespace(pause_writing=lambda: None)  # type: ignore[assignment]
    protocol.pause_writing()
    for size in sizes[1:]:
        assert not transport.is_aborted
        transport.size = size
        loop.due.pop()()
    assert transport.is_aborted == is_aborted


def test_one_network_is_one_client() -> None:
    bounds = Connections(per_client_max=2)
    assert bounds.begin("2001:db8::1") is None and bounds.begin("2001:db8::2") is None
    assert b" 429 " in (bounds.begin("2001:db8::3") or b"")
    assert bounds.begin("::ffff:10.0.0.1") is None and bounds.begin("10.0.0.1") is None
    assert bounds.begin("::ffff:10.0.0.2") is None, "of a listener for both, each has its own"


def test_all_addresses_together_have_a_bound_too() -> None:
    bounds = Connections(total_max=3, per_client_max=2)
    assert bounds.begin("a") is None and bounds.begin("b") is None and bounds.begin("b") is None
    assert b" 503 " in (bounds.begin("c") or b"")
    bounds.end("c")
    bounds.end("a")
    assert b" 429 " in (bounds.begin("b") or b"")
    for _ in range(3):
        bounds.end("b")
    assert not bounds.by_address and bounds.total == 0, "nothing of those that went is kept"


def test_requests_leave_nothing_for_the_collector() -> None:
    """What a request leaves in a cycle stops the loop later, for longer than the request took."""
    requests: list[weakref.ref[Any]] = []

    async def noted(scope: Any, receive: Any, send: Any) -> None:
        requests.append(weakref.ref(receive.__self__))
        await application(scope, receive, send)

    async def main() -> int:
        http, _ = limited(Connections(request_seconds=60.0))
        config = uvicorn.Config(noted, http=http, ws="none", lifespan="off", log_config=None, access_log=False)
        config.load()
        state = ServerState()
        listening = bind("127.0.0.1", 0)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: http(config=config, server_state=state, app_state={}), sock=listening)
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        for _ in range(20):
            writer.write(request())
            assert (await reader.readuntil(b"\r\n\r\n0")).startswith(b"HTTP/1.1 200")
        while state.tasks:
            await asyncio.sleep(0)
        left = sum(one() is not None for one in requests)
        writer.close()
        server.close()
        return left

    gc.disable()
    try:
        left = asyncio.run(main())
    finally:
        gc.enable()
    assert len(requests) == 20 and left <= 1, "the newest one at most"
