"""Bytes that no peer sends: the connection ends, the server goes on."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
from pathlib import Path

import msgspec
import pytest

from tests.process.servers import ServerProcess, cluster, leader_of, small_job
from yurt.server.raft.core import messages
from yurt.server.raft.transport.connection import RAFT, REQUEST
from yurt.server.raft.transport.handshake import HELLO, Hello

CONNECTIONS = 150
_HEAD = struct.Struct(">IB")


def frame(kind: int, body: bytes) -> bytes:
    return _HEAD.pack(len(body), kind) + body


def talk(server: ServerProcess, *frames: bytes) -> bytes:
    """Send and read what comes until the connection ends or is quiet."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.rpc_port), timeout=5) as peer:
        peer.settimeout(0.05)
        for one in frames:
            peer.sendall(one)
        with contextlib.suppress(TimeoutError):
            return peer.recv(1 << 16)
    return b""


def plausible(chance: random.Random, cluster: bytes, term: int) -> bytes:
    """A message that decodes, or nearly: any fields, any term."""
    number = lambda: chance.choice((0, 1, 2, 5, term, term + 1, 2**31, 2**61, 2**63, -1))  # noqa: E731
    entries = [(b"x", number(), number())]
    made: list[messages.Message] = [
        messages.AppendAnswer(cluster, term, number(), True, number()),
        messages.HeartbeatAnswer(cluster, term, number()),
        messages.VoteRequest(cluster, 0, number(), number(), number(), chance.random() < 0.5, False),
        messages.VoteAnswer(cluster, 0, number(), True, chance.random() < 0.5),
        messages.ReadRequest(cluster, 0, number(), number(), True),
        messages.ReadAnswer(cluster, 0, number(), number(), True, number()),
        messages.SnapshotAnswer(cluster, term, number(), number(), number(), number(), number()),
        messages.Heartbeat(cluster, term, number()),
        messages.Append(cluster, term, number(), 0, 0, 0, [(b"x", 1, term)]),
        messages.TimeoutNow(cluster, 0, number()),
        messages.Append(cluster, 0, number(), number(), number(), number(), entries),
        messages.Append(cluster, 2**63, number(), number(), number(), number(), []),
    ]
    data = bytearray(messages.encode(chance.choice(made)))
    if chance.random() < 0.5:
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data)


@pytest.mark.slow
def test_hostile_bytes_end_only_their_connection(tmp_path: Path) -> None:
    chance = random.Random(11)
    with cluster(tmp_path) as servers:
        answer = servers[0].request("PUT", "/v1/jobs", small_job("before"))
        assert answer[0] == 200, answer
        leader = leader_of(servers)
        stats = leader.request("GET", "/v1/agent/self")[1]["stats"]["raft"]
        hello = Hello(region="global", name="evil", server_id="evil", address="127.0.0.1:1")
        greeting = frame(HELLO, msgspec.msgpack.encode(hello))
        answer = talk(leader, greeting)
        known = msgspec.msgpack.decode(answer[_HEAD.size :], type=Hello)
        assert known.cluster
        for number in range(CONNECTIONS):
            kind = number % 5
            if kind == 0:
                talk(leader, chance.randbytes(chance.randrange(1, 200)))
            elif kind == 1:
                talk(leader, greeting, frame(chance.randrange(256), chance.randbytes(50)))
            elif kind == 2:
                talk(leader, greeting, _HEAD.pack(2**32 - 1, RAFT))
            elif kind == 3:
                talk(leader, greeting, frame(REQUEST, msgspec.msgpack.encode((b"i", "http", chance.randbytes(40)))))
            else:
                talk(
                    leader,
                    greeting,
                    *(frame(RAFT, plausible(chance, known.cluster, int(stats["term"]))) for _ in range(5)),
                )
        assert leader.request("PUT", "/v1/jobs", small_job("after"))[0] == 200
        for server in servers:
            assert server.process is not None and server.process.poll() is None
            assert "the server stops" not in server.log()
            assert {job["ID"] for job in server.request("GET", "/v1/jobs")[1]} == {"before", "after"}
