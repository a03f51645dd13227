"""Ordinary reads while somebody attacks: `python -m tests.bench.attacks [NAME...]`. One server, all on loopback.

Each attack goes on while one client reads a job again and again; its latencies, and the server's memory, are the point.
"""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import resource
import socket
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench.placement import Noticed
from tests.bench.product import line, resident_mb
from tests.process.servers import ServerProcess, single, small_job

SECONDS = 6.0
SLOW, IDLE = 500, 10_000
Attack = Callable[[int, threading.Event], str]


def connected(port: int) -> socket.socket:
    """A connection to the server."""
    return socket.create_connection(("127.0.0.1", port), timeout=15)


@contextlib.contextmanager
def many(port: int, count: int) -> Iterator[list[socket.socket]]:
    """So many connections at once, as far as files may be open."""
    held = []
    try:
        for _ in range(count):
            held.append(connected(port))
        yield held
    finally:
        for one in held:
            one.close()


def slowloris(port: int, ended: threading.Event) -> str:
    """Hundreds of connections that send a header now and then."""
    begun = 0
    while not ended.is_set():
        with many(port, SLOW) as held:
            begun += len(held)
            for one in held:
                one.sendall(b"GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\n")
            while not ended.wait(0.5):
                for one in held:
                    with contextlib.suppress(OSError):
                        one.sendall(b"X-A: b\r\n")
    return f"{begun} connections"


def idle(port: int, ended: threading.Event) -> str:
    """Connections that asked once and stay."""
    with many(port, IDLE) as held:
        for one in held:
            one.sendall(b"GET /v1/status/leader HTTP/1.1\r\nHost: localhost\r\n\r\n")
        ended.wait(SECONDS)
        return f"{len(held):,} connections"


def headers(port: int, ended: threading.Event) -> str:
    """A million headers, again and again."""
    sent = refused = 0
    piece = b"".join(b"X-%d: y\r\n" % number for number in range(1000))
    while not ended.is_set():
        with contextlib.closing(connected(port)) as one:
            try:
                one.sendall(b"GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\n")
                for _ in range(1000):
                    one.sendall(piece)
                    sent += 1000
            except OSError:
                refused += 1
    return f"{sent:,} headers, {refused} connections ended"


def bombs(port: int, ended: threading.Event) -> str:
    """Bodies that are small and say that they are compressed; they are not opened."""
    zeros = b"0" * (64 << 20)
    bodies = {"gzip": gzip.compress(zeros), "deflate": zlib.compress(zeros)}
    sent = 0
    while not ended.is_set():
        for encoding, body in bodies.items():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("PUT", "/v1/jobs", body, {"Content-Encoding": encoding})
            assert connection.getresponse().status == 400
            connection.close()
            sent += 1
    return f"{sent} bodies of {len(bodies['gzip']):,} bytes for 64 MiB"


def nesting(port: int, ended: threading.Event) -> str:
    """JSON that is deep, and JSON that is wide."""
    deep = b'{"Job":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001
    wide = b'{"Job":{"ID":"a","Meta":{' + b",".join(b'"k%d":"v"' % n for n in range(200_000)) + b"}}}"
    sent = 0
    while not ended.is_set():
        for body in (deep, wide):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("PUT", "/v1/jobs", body)
            assert connection.getresponse().status in (400, 500)
            connection.close()
            sent += 1
    return f"{sent} bodies"


def huge(port: int, ended: threading.Event) -> str:
    """Bodies that are too large, and say so or not."""
    sent = 0
    while not ended.is_set():
        with contextlib.closing(connected(port)) as one:
            try:
                one.sendall(b"PUT /v1/jobs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
                for _ in range(64):
                    one.sendall(b"100000\r\n" + b"x" * (1 << 20) + b"\r\n")
                    sent += 1
            except OSError:
                continue
    return f"{sent} MiB"


def deaf(port: int, ended: threading.Event) -> str:
    """Clients that ask for much and take nothing."""
    with many(port, 90) as held:
        for one in held:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.sendall(b"GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200)
        ended.wait(SECONDS)
        return f"{len(held)} connections of 200 requests"


UPLOADS, UPLOAD_BYTES = 90, 15 << 20


def upload(port: int, ended: threading.Event, headers: dict[str, str] | None = None) -> dict[int, int]:
    """Send 90 bodies of 15 MB at once; return how many were answered with which status (0: cut off)."""
    body = b'{"Job":{"ID":"a","Meta":{"k":"' + b"v" * (UPLOAD_BYTES - 40) + b'"}}}'
    answers: Counter[int] = Counter()

    def send() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("PUT", "/v1/jobs", body, headers or {})
            answers[connection.getresponse().status] += 1
        except OSError:
            answers[0] += 1
        finally:
            connection.close()

    while True:
        senders = [threading.Thread(target=send) for _ in range(UPLOADS)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        if ended.is_set():
            return dict(answers)


def uploads(port: int, ended: threading.Event) -> str:
    """Ninety bodies of 15 MB at once, again and again."""
    answers = upload(port, ended)
    return ", ".join(f"{count} × {status or 'cut off'}" for status, count in sorted(answers.items()))


ATTACKS: dict[str, Attack] = {
    one.__name__: one for one in (slowloris, idle, headers, bombs, nesting, huge, uploads, deaf)
}


def read(connection: http.client.HTTPConnection, _number: int) -> None:
    """What the ordinary client asks for."""
    connection.request("GET", "/v1/job/read-me")
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200


def under(attack: Attack, server: ServerProcess, seconds: float = SECONDS) -> tuple[str, str]:
    """What an attack did, and what an ordinary client noticed of it."""
    ended, did = threading.Event(), [""]
    thread = threading.Thread(target=lambda: did.__setitem__(0, attack(server.http_port, ended)))
    thread.start()
    time.sleep(1.0)
    noticed = Noticed(server, read, 0.01)
    time.sleep(seconds)
    ended.set()
    said = noticed.end()
    thread.join()
    return did[0], said


def main() -> None:
    """Run those named, or all."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print("| attack | reads meanwhile | target | detail |\n|---|---|---|---|")
    for name in sys.argv[1:] or ATTACKS:
        with (
            tempfile.TemporaryDirectory() as directory,
            single(Path(directory), limits={"http_max_conns_per_client": 0}) as server,
        ):
            for number in range(200):
                assert server.request("PUT", "/v1/jobs", small_job(f"job-{number}"))[0] == 200
            assert server.request("PUT", "/v1/jobs", json.loads(json.dumps(small_job("read-me"))))[0] == 200
            before = resident_mb(server)
            did, said = under(ATTACKS[name], server)
            line(name, said, "it answers", f"{did}; {before:.0f} MB before, {resident_mb(server):.0f} MB after")


if __name__ == "__main__":
    main()
