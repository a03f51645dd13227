"""Strangers on the peer port: what they get, what they cost, and that ordinary requests go on (docs/security.md)."""

from __future__ import annotations

import contextlib
import resource
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.process.servers import ServerProcess, cluster, leader_of, single, small_job, wait_for
from yurt.server.raft.transport.connection import ANSWER, REQUEST
from yurt.server.raft.transport.handshake import HELLO, Hello

pytestmark = pytest.mark.slow

_HEAD = struct.Struct(">IB")
FILES = 1024
CONNECTIONS = 1003


def frame(kind: int, body: bytes) -> bytes:
    return _HEAD.pack(len(body), kind) + body


class Stranger:
    """A program that speaks the peers' protocol on one connection."""

    def __init__(self, port: int, server_id: str = "stranger", *, name: str = "stranger") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._hello = Hello(region="global", name=name, server_id=server_id, address="127.0.0.1:1")

    def close(self) -> None:
        self._socket.close()

    def greet(self) -> Hello:
        """Say hello; the server's own hello."""
        self._socket.sendall(frame(HELLO, msgspec.msgpack.encode(self._hello)))
        kind, body = self.read()
        assert kind == HELLO
        return msgspec.msgpack.decode(body, type=Hello)

    def ask(self, method: str, payload: bytes) -> tuple[bool, bytes]:
        """Whether a request was carried out, and its answer or the reason why not."""
        self._socket.sendall(frame(REQUEST, msgspec.msgpack.encode((b"i", method, payload))))
        kind, body = self.read()
        assert kind == ANSWER
        _, ok, answer = msgspec.msgpack.decode(body, type=tuple[bytes, bool, bytes])
        return ok, answer

    def read(self) -> tuple[int, bytes]:
        length, kind = _HEAD.unpack(self._exactly(_HEAD.size))
        return kind, self._exactly(length)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._socket.recv(size - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def is_closed(self, seconds: float) -> bool:
        """Whether the server ends the connection within a time."""
        self._socket.settimeout(seconds)
        try:
            while self._socket.recv(1 << 16):
                pass
        except TimeoutError:
            return False
        except OSError:
            return True
        return True


@contextlib.contextmanager
def stranger(server: ServerProcess, server_id: str = "stranger") -> Iterator[Stranger]:
    made = Stranger(server.rpc_port, server_id)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def few_files() -> Iterator[None]:
    """A server that this test starts may open 1,024 files; the test itself more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4 * FILES:
        pytest.skip("this needs more open files than are permitted here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4 * FILES, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class FewFiles(ServerProcess):
    """A server under `ulimit -n 1024`."""

    @property
    def program(self) -> tuple[str, ...]:
        return ("/bin/sh", "-c", f'ulimit -n {FILES}; exec "$0" "$@"', *super().program)


@pytest.mark.usefixtures("few_files")
def test_s14_a_thousand_greeted_connections_leave_http_and_members_their_room(tmp_path: Path) -> None:
    with single(tmp_path, kind=FewFiles, limits={"http_max_conns_per_client": 0, "rpc_max_conns_per_client": 0}) as one:
        held: list[Stranger] = []
        try:
            for number in range(CONNECTIONS):
                with contextlib.suppress(OSError, EOFError):
                    made = Stranger(one.rpc_port, f"stranger-{number}")
                    held.append(made)
                    made.greet()
            assert len(held) > CONNECTIONS * 0.9, "the port goes on accepting"
            began = time.monotonic()
            assert one.request("GET", "/v1/status/leader")[0] == 200
            assert one.request("PUT", "/v1/jobs", small_job("during"))[0] == 200
            assert time.monotonic() - began < 5.0
            assert one.process is not None
            assert len(list(Path(f"/proc/{one.process.pid}/fd").iterdir())) < FILES // 2
            with stranger(one, "newcomer") as newcomer:
                assert newcomer.greet().name == "one", "a newcomer takes the place of the oldest stranger"
        finally:
            for made in held:
                made.close()
        assert "Traceback" not in one.log()
        assert "too many connections on the peer port" in one.log()


def test_s14_unfinished_frames_of_strangers_take_little_memory(tmp_path: Path) -> None:
    with single(tmp_path) as one:
        made = [Stranger(one.rpc_port, f"stranger-{number}") for number in range(4)]
        before = memory_mb(one)
        unfinished = _HEAD.pack(60 << 20, REQUEST) + bytes(40 << 20)
        for held in made:
            held.greet()
            with contextlib.suppress(OSError):
                held._socket.sendall(unfinished)
        assert one.request("GET", "/v1/status/leader")[0] == 200
        assert sum(held.is_closed(0.5) for held in made) >= 3, "one large frame at a time, of all strangers"
        assert memory_mb(one) - before < 100
        for held in made:
            held.close()


def memory_mb(server: ServerProcess) -> float:
    assert server.process is not None
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def test_s14_silence_and_a_slow_greeting_end(tmp_path: Path) -> None:
    with single(tmp_path, limits={"rpc_handshake_timeout": "500ms"}) as one:
        with stranger(one) as silent:
            assert silent.is_closed(5.0), "nothing was said"
        with stranger(one) as slow:
            slow._socket.sendall(b"\x00\x00\x00\xff\x00half a greeting")
            assert slow.is_closed(5.0), "half a greeting"
        with stranger(one) as large:
            large._socket.sendall(_HEAD.pack(1 << 20, HELLO))
            assert large.is_closed(0.4), "a greeting of a megabyte is not waited for"


def test_s14_nothing_is_kept_of_strangers_that_have_gone(tmp_path: Path) -> None:
    with single(tmp_path, telemetry={"prometheus_metrics": True}) as one:
        for number in range(50):
            with stranger(one, f"stranger-{number}") as passing:
                passing._hello = msgspec.structs.replace(passing._hello, name=f"passer-by-{number}")
                passing.greet()
        wait_for(lambda: "passer-by" not in one.request("GET", "/v1/metrics?format=prometheus")[1], 5, "oblivion")


def test_first_bytes_of_other_protocols_end_their_connection_and_nothing_else(tmp_path: Path) -> None:
    with single(tmp_path, log_level="DEBUG") as one:
        for first in range(1, 256):
            with stranger(one) as client:
                client._socket.sendall(bytes((first,)) + b"nonsense")
                assert client.is_closed(4.0), first
        wait_for(lambda: one.log().count("client protocol refused on the peer port") == 6, 5, "a line each in the log")
        assert one.request("PUT", "/v1/jobs", small_job("afterwards"))[0] == 200
        assert "Traceback" not in one.log()


def test_s5_a_stranger_on_an_open_port_gets_no_keys_no_restore_and_no_forwarded_requests(tmp_path: Path) -> None:
    with single(tmp_path) as one, stranger(one) as thief:
        thief.greet()
        for method in ("keyring.get", "keyring.put", "restore", "events", "http"):
            ok, answer = thief.ask(method, b"x")
            assert not ok
            assert f"{method} is not for a".encode() in answer
        assert thief.ask("no such method", b"") == (False, b"unknown method no such method")


def test_a_member_is_let_in_while_strangers_hold_the_port(tmp_path: Path) -> None:
    limits = {"http_max_conns_per_client": 0, "rpc_max_conns": 16, "rpc_max_conns_per_client": 0}
    with cluster(tmp_path, limits=limits) as servers:
        leader = leader_of(servers)
        held = [Stranger(leader.rpc_port, f"stranger-{number}") for number in range(40)]
        for made in held:
            with contextlib.suppress(OSError, EOFError):
                made.greet()
        follower = next(server for server in servers if server is not leader)
        assert follower.stop() == 0
        follower.start().wait_ready()
        answer = follower.request("PUT", "/v1/jobs", small_job("through"))
        assert answer[0] == 200, answer
        for made in held:
            made.close()
