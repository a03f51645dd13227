"""The event stream of a server that took its state from a leader: it goes on where the others' streams do."""

from __future__ import annotations

import http.client
import json
from pathlib import Path

import pytest

from tests.process.servers import ServerProcess, cluster, leader_of, small_job, wait_for

SMALL = {"raft_snapshot_threshold": 20, "raft_snapshot_interval": "100ms", "raft_trailing_logs": 0}


def lines_of(server: ServerProcess, after: int, until: int) -> list[bytes]:
    """The lines of a stream until one reaches an index; the text of the answer if it is none."""
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=20)
    try:
        connection.request("GET", f"/v1/event/stream?after={after}")
        answer = connection.getresponse()
        if answer.status != 200:
            return [answer.read()]
        found = [answer.readline()]
        while json.loads(found[-1] or b'{"Index":9e9}').get("Index", 0) < until:
            found.append(answer.readline())
        return found
    finally:
        connection.close()


def write(server: ServerProcess, prefix: str, count: int) -> int:
    """Jobs, and the index of the last one."""
    index = 0
    for number in range(count):
        status, body = server.request("PUT", "/v1/jobs", small_job(f"{prefix}-{number}"))
        assert status == 200
        index = body["JobModifyIndex"]
    return index


def is_quiet(server: ServerProcess) -> bool:
    """Whether all evaluations are done."""
    status, body = server.request("GET", "/v1/evaluations?status=pending")
    return status == 200 and body == []


def has(server: ServerProcess, index: int) -> bool:
    status, body = server.request("GET", "/v1/jobs?stale")
    return status == 200 and max((job["ModifyIndex"] for job in body), default=0) >= index


def left_behind(servers: list[ServerProcess]) -> tuple[ServerProcess, ServerProcess, int]:
    """The leader, a server that had to take the leader's snapshot, and the index of the last write."""
    leader = leader_of(servers)
    write(leader, "before", 5)
    late = next(one for one in servers if one is not leader)
    late.kill()
    written = leader.log().count("snapshot written")
    for number in range(20):  # until the log that the other one would need is gone
        end = write(leader, f"during-{number}", 15)
        if leader.log().count("snapshot written") >= written + 3:
            break
    wait_for(lambda: is_quiet(leader), 20, "the end of the evaluations")
    late.start().wait_ready()
    wait_for(lambda: has(late, end), 20, "what the others have")
    assert "snapshot installed" in late.log()
    return leader, late, end


@pytest.mark.slow
@pytest.mark.parametrize("held", [1000, 40])
def test_after_a_leaders_snapshot_all_is_told_as_the_leader_tells_it(tmp_path: Path, held: int) -> None:
    with cluster(tmp_path, server={**SMALL, "event_buffer_size": held}) as servers:
        leader, late, end = left_behind(servers)
        if held == 1000:
            first = 0
        else:  # the leader does not hold all either; it says where it begins
            first = int(lines_of(leader, 0, end)[0].partition(b"ask for after=")[2].split()[0])
        wanted = lines_of(leader, first, end)
        assert len(wanted) > min(held, 60) * 0.9 and wanted[0] == b'{"OldestIndex":%d}\n' % (first + 1)
        assert lines_of(late, first, end) == wanted, late.log(3000)
        middle = json.loads(wanted[len(wanted) // 2])["Index"]
        assert lines_of(late, middle, end)[1:] == wanted[len(wanted) // 2 + 1 :]

        wait_for(lambda: (late_file(late)).exists(), 10, "the events on disk")
        end = write(leader, "later", 3)
        first = first if held == 1000 else middle
        assert lines_of(late, first, end)[1:] == lines_of(leader, first, end)[1:]
        late.kill()
        late.start().wait_ready()
        wait_for(lambda: has(late, end), 20, "what the others have")
        assert lines_of(late, first, end)[1:] == lines_of(leader, first, end)[1:], "and again after a restart"


def late_file(server: ServerProcess) -> Path:
    return server.directory / "data/server/events"


@pytest.mark.slow
def test_a_server_that_lost_its_file_asks_the_others(tmp_path: Path) -> None:
    with cluster(tmp_path, server={**SMALL, "event_buffer_size": 1000}) as servers:
        leader = leader_of(servers)
        late = next(one for one in servers if one is not leader)
        end = write(leader, "some", 60)
        wait_for(lambda: "snapshot written" in late.log() and late_file(late).exists(), 20, "a snapshot")
        late.kill()
        late_file(late).write_bytes(b"\x93nonsense")
        late.start().wait_ready()
        wait_for(lambda: has(late, end), 20, "what the others have")
        assert lines_of(late, 0, end) == lines_of(leader, 0, end)
        assert "the newest events cannot be read" in late.log()


@pytest.mark.slow
def test_what_was_before_a_restored_state_does_not_come_back(tmp_path: Path) -> None:
    with cluster(tmp_path, server={**SMALL, "event_buffer_size": 1000}) as servers:
        leader = leader_of(servers)
        late = next(one for one in servers if one is not leader)
        write(leader, "kept", 30)
        status, saved = raw(leader, "GET")
        assert status == 200
        before = write(leader, "forgotten", 30)
        late.kill()
        assert raw(leader, "PUT", saved)[0] == 200
        for number in range(20):
            end = write(leader, f"again-{number}", 15)
            if leader.log().count("snapshot written") >= 6:
                break
        wait_for(lambda: is_quiet(leader), 20, "the end of the evaluations")
        late.start().wait_ready()
        wait_for(lambda: has(late, end), 20, "what the others have")
        refused = [lines_of(one, before, end)[0] for one in servers]
        assert refused[0].startswith(b"events after index ") and len(set(refused)) == 1
        begin = int(refused[0].partition(b"ask for after=")[2].split()[0])
        assert begin > before
        for one in servers:
            one.kill()
            one.start().wait_ready()
        for one in servers:
            wait_for(lambda one=one: has(one, end), 20, "what the others have")  # type: ignore[misc]
            assert lines_of(one, before, end) == refused[:1]
        told = [lines_of(one, begin, end) for one in servers]
        assert told[0] == told[1] == told[2] and told[0][0] == b'{"OldestIndex":%d}\n' % (begin + 1)


def raw(server: ServerProcess, method: str, body: bytes | None = None) -> tuple[int, bytes]:
    """The snapshot endpoint, as bytes."""
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=30)
    try:
        connection.request(method, "/v1/operator/snapshot", body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
