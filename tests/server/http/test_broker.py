"""The broker switched off and on by an operator (case `broker-disable`; spec scheduling §3)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.servers import ServerProcess, free_ports, small_job, wait_for


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[ServerProcess]:
    http_port, rpc_port = free_ports(2)
    one = ServerProcess(tmp_path, "broker", http_port, rpc_port)
    try:
        yield one.start("-dev").wait_ready()
    finally:
        one.end()


def test_broker_disable(own_server: ServerProcess) -> None:
    path = "/v1/operator/scheduler/configuration"
    assert own_server.request("PUT", path, {"PauseEvalBroker": True})[0] == 200
    made = [own_server.request("PUT", "/v1/jobs", small_job(name))[1]["EvalID"] for name in ("a", "b")]

    def statuses() -> set[str]:
        return {own_server.request("GET", f"/v1/evaluation/{one}")[1]["Status"] for one in made}

    time.sleep(0.5)
    assert statuses() == {"pending"}, "nobody works on them"
    assert own_server.request("PUT", path, {"PauseEvalBroker": False})[0] == 200
    wait_for(lambda: statuses() == {"complete"}, 10, "what waited to be taken in and worked on")
