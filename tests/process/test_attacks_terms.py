"""S2 on running processes: a stranger's terms move nobody; a cluster whose terms are used up says so and is mended."""

from __future__ import annotations

import contextlib
import socket
import struct
from pathlib import Path

import msgspec
import pytest

from tests.process.servers import ServerProcess, cluster, leader_of, small_job, wait_for
from tests.process.test_snapshots import yurt
from yurt.server.raft.core import messages
from yurt.server.raft.storage.disk import RealDisk
from yurt.server.raft.storage.hard_state import HardState, HardStateFile
from yurt.server.raft.transport.connection import RAFT
from yurt.server.raft.transport.handshake import HELLO, Hello

TERMS = (100, 10**6, 1 << 61, messages.NUMBER_MAX - 1)
_HEAD = struct.Struct(">IB")


def frame(kind: int, body: bytes) -> bytes:
    return _HEAD.pack(len(body), kind) + body


def term_of(server: ServerProcess) -> int:
    return int(server.request("GET", "/v1/agent/self")[1]["stats"]["raft"]["term"])


def written(servers: list[ServerProcess], job_id: str) -> None:
    """Register a job; on a busy machine an election may be under way."""
    wait_for(
        lambda: leader_of(servers).request("PUT", "/v1/jobs", small_job(job_id))[0] == 200, 60, "a write to be answered"
    )


def speak(server: ServerProcess, name: str, *said: messages.Message) -> None:
    """Say hello as a stranger, then this; the connection may end at any time."""
    hello = Hello(region="global", name=name, server_id=name, address="127.0.0.1:1")
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.rpc_port), timeout=5) as peer:
        peer.settimeout(1.0)
        peer.sendall(frame(HELLO, msgspec.msgpack.encode(hello)))
        peer.recv(1 << 16)
        for message in said:
            peer.sendall(frame(RAFT, messages.encode(message)))
        with contextlib.suppress(TimeoutError):
            peer.recv(1 << 16)


@pytest.mark.slow
def test_s2_terms_of_a_stranger_move_no_server(tmp_path: Path) -> None:
    with cluster(tmp_path) as servers:
        leader = leader_of(servers)
        known = cluster_id_of(leader)
        for server in servers:
            for number, term in enumerate(TERMS):
                speak(
                    server,
                    f"stranger-{number}",
                    messages.Heartbeat(known, term, 1),
                    messages.VoteRequest(known, term, 2, 10**6, term),
                    messages.Append(known, term, 3, 0, 0, 0, []),
                    messages.SnapshotBegin(known, term, 4, 10**6, term, 100, 1),
                )
        written(servers, "after")
        assert max(term_of(server) for server in servers) < min(TERMS), "a busy machine may elect, no stranger may"


def cluster_id_of(server: ServerProcess) -> bytes:
    """What a server tells whoever says hello."""
    hello = Hello(region="global", name="curious", server_id="curious", address="127.0.0.1:1")
    with socket.create_connection(("127.0.0.1", server.rpc_port), timeout=5) as peer:
        peer.settimeout(2.0)
        peer.sendall(frame(HELLO, msgspec.msgpack.encode(hello)))
        answer = peer.recv(1 << 16)
    return msgspec.msgpack.decode(answer[_HEAD.size :], type=Hello).cluster


@pytest.mark.slow
def test_s2_terms_that_are_used_up_are_told_and_reset(tmp_path: Path) -> None:
    with cluster(tmp_path) as servers:
        written(servers, "before")
        for server in servers:
            server.kill()
            hard_state = HardStateFile(RealDisk(), str(server.directory / "data/server/raft"))
            hard_state.load(required=True)
            hard_state.save(HardState(messages.NUMBER_MAX - 1, None))
        for server in servers:
            server.start()
        wait_for(lambda: "no election is possible" in servers[0].log(), 30, "the log to say why nobody leads")
        for server in servers:
            server.kill()
        for server in servers:
            data = str(server.directory / "data")
            assert "Nothing was changed" in yurt("operator", "raft", "recover", data, "-term", "1000")
            assert "greater than the last term" in yurt("operator", "raft", "recover", data, "-term", "1", code=1)
            assert "will start in term 1000" in yurt("operator", "raft", "recover", data, "-term", "1000", "-yes")
        for server in servers:
            server.start()
        for server in servers:
            server.wait_ready()
            assert 1000 < term_of(server) < 1100
            assert {job["ID"] for job in server.request("GET", "/v1/jobs")[1]} == {"before"}
