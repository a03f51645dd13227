"""Members of a real cluster come and go: joining, hand-over, removal, rolling restarts, reads on every server."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.process.servers import ServerProcess, cluster, free_ports, leader_of, small_job, wait_for

GAP_SECONDS_MAX = 0.8  # on a machine that does other things too; the bench shows the real figure


def peers(server: ServerProcess) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.request("GET", "/v1/operator/raft/configuration")[1]["Servers"]
    return found


def newcomer(directory: Path, servers: list[ServerProcess]) -> ServerProcess:
    """A fourth server that knows one of the others."""
    http_port, rpc_port = free_ports(2)
    block = {"enabled": True, "server_join": {"retry_join": [f"127.0.0.1:{servers[0].rpc_port}"]}}
    return ServerProcess(directory, "s4", http_port, rpc_port, server=block)


class RetryingWriter(threading.Thread):
    """Writes without pause; on any failure it goes to the next server with the same job."""

    def __init__(self, servers: list[ServerProcess]) -> None:
        super().__init__(daemon=True)
        self.servers, self.ended = servers, threading.Event()
        self.acknowledged: list[str] = []
        self.times: list[float] = [time.monotonic()]
        self.refusals: list[str] = []

    def run(self) -> None:
        count = attempt = 0
        while not self.ended.is_set():
            server = self.servers[attempt % len(self.servers)]
            try:
                status, body = server.request("PUT", "/v1/jobs", small_job(f"w-{count}"), timeout=10)
            except (OSError, EOFError, ValueError):
                attempt += 1
                continue
            except Exception as error:  # noqa: BLE001 (http.client's own: the connection ended within an answer)
                self.refusals.append(repr(error))
                attempt += 1
                continue
            if status == 200:
                self.acknowledged.append(f"w-{count}")
                self.times.append(time.monotonic())
                count += 1
            else:
                self.refusals.append(str(body))
                attempt += 1


@pytest.mark.slow
def test_a_rolling_restart_loses_nothing_and_hardly_stops_writes(tmp_path: Path) -> None:
    with cluster(tmp_path) as servers:
        writer = RetryingWriter(servers)
        writer.start()
        for server in servers:
            time.sleep(0.5)
            assert server.stop() == 0
            server.start().wait_ready()
        time.sleep(0.5)
        writer.ended.set()
        writer.join(20)
        gaps = sorted(b - a for a, b in zip(writer.times, writer.times[1:], strict=False))
        assert gaps[-1] < GAP_SECONDS_MAX, gaps[-5:]
        stored = {job["ID"] for job in servers[0].request("GET", "/v1/jobs")[1]}
        assert set(writer.acknowledged) <= stored
        assert not [text for text in writer.refusals if "outcome is unknown" in text], "a clean stop leaves no doubt"


@pytest.mark.slow
def test_a_new_server_joins_votes_and_takes_the_place_of_another(tmp_path: Path) -> None:
    with cluster(tmp_path, autopilot={"server_stabilization_time": "0s"}) as servers:
        for number in range(50):
            assert servers[0].request("PUT", "/v1/jobs", small_job(f"before-{number}"))[0] == 200
        fourth = newcomer(tmp_path / "s4", servers)
        try:
            fourth.start().wait_ready()
            wait_for(lambda: len([one for one in peers(fourth) if one["Voter"]]) == 4, 20, "the fourth server votes")
            assert len(fourth.request("GET", "/v1/jobs?stale")[1]) == 50
            old = leader_of(servers)
            own_id = next(one["ID"] for one in peers(old) if one["Address"].endswith(f":{old.rpc_port}"))
            assert fourth.request("DELETE", f"/v1/operator/raft/peer?id={own_id}")[0] == 200  # the leader itself
            rest = [one for one in (*servers, fourth) if one is not old]
            wait_for(lambda: len(peers(rest[0])) == 3 and leader_of(rest) is not old, 20, "the leader is removed")
            old.kill()
            leader_of(rest).kill()  # two of three are left: the new one counts
            living = [one for one in rest if one.process is not None and one.process.poll() is None]
            assert living[0].request("PUT", "/v1/jobs", small_job("after"))[0] == 200
            assert len(living[1].request("GET", "/v1/jobs")[1]) == 51
        finally:
            fourth.end()


@pytest.mark.slow
def test_leadership_goes_where_it_is_sent_and_every_server_reads_what_was_acknowledged(tmp_path: Path) -> None:
    with cluster(tmp_path) as servers:
        for number in range(40):
            writer, reader = servers[number % 3], servers[(number + 1) % 3]
            assert writer.request("PUT", "/v1/jobs", small_job(f"job-{number}"))[0] == 200
            query = "?consistent" if number % 2 else ""
            status, found = reader.request("GET", f"/v1/job/job-{number}{query}")
            assert status == 200, f"{reader.name} does not see what {writer.name} acknowledged: {found}"
            if number % 10 == 9:
                leader = leader_of(servers)
                target = next(one for one in peers(leader) if not one["Leader"])
                status, answer = leader.request("PUT", f"/v1/operator/raft/transfer-leadership?id={target['ID']}")
                assert (status, answer["Noop"]) == (200, False)
                wait_for(lambda at=target: leader_of(servers).rpc_port == int(at["Address"].split(":")[1]), 5, "handed")
        health = leader_of(servers).request("GET", "/v1/operator/autopilot/health")
        assert health[0] == 200, json.dumps(health[1])
        assert health[1]["FailureTolerance"] == 1
