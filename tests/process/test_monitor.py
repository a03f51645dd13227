"""What agents log, watched over HTTP and by the command line; and the machine they run on."""

from __future__ import annotations

import base64
import http.client
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.process.servers import ServerProcess, cluster, free_ports, leader_of, single, small_job, wait_for


def test_frames_and_levels(tmp_path: Path) -> None:
    with single(tmp_path) as server:
        assert server.request("GET", "/v1/agent/monitor?log_level=zz") == (400, "Unknown log level: zz")
        status, text = server.request("GET", "/v1/agent/monitor?node_id=a&server_id=b")
        assert (status, text) == (400, "Cannot target node and server simultaneously")
        assert server.request("GET", "/v1/agent/monitor?server_id=zz") == (400, "unknown Nomad server zz")
        connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=20)
        connection.request("GET", "/v1/agent/monitor?log_level=info")
        answer = connection.getresponse()
        assert answer.read(2) == b"{}"
        assert server.process is not None
        os.kill(server.process.pid, signal.SIGHUP)  # a line
        assert answer.read(9) == b'{"Data":"'
        data = b""
        while not data.endswith(b'"}'):
            data += answer.read(1)
        assert "configuration read again" in base64.b64decode(data[:-2]).decode()
        connection.close()
        assert server.request("PUT", "/v1/jobs", small_job("a"))[0] == 200


def test_the_command_line_watches(tmp_path: Path) -> None:
    with single(tmp_path) as server:
        environment = {**os.environ, "YURT_ADDR": f"http://127.0.0.1:{server.http_port}"}
        command = [sys.executable, "-m", "yurt.server.cli", "monitor", "-server-id=leader", "-json"]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
            try:
                assert process.stdout is not None and server.process is not None

                os.set_blocking(process.stdout.fileno(), False)
                found = b""

                def seen() -> bool:
                    nonlocal found
                    os.kill(server.process.pid, signal.SIGHUP)  # type: ignore[union-attr]
                    found += process.stdout.read() or b""  # type: ignore[union-attr]
                    return b'"@message":"configuration read again"' in found

                wait_for(seen, 15, "the line in the output")
            finally:
                process.terminate()


@pytest.mark.slow
def test_another_server_and_a_node(tmp_path: Path) -> None:
    with cluster(tmp_path) as servers:
        leader = leader_of(servers)
        other = next(one for one in servers if one is not leader)
        ports = free_ports(2)
        client = {"enabled": True, "servers": [f"127.0.0.1:{leader.http_port}"]}
        node = ServerProcess(tmp_path / "node", "node", *ports, server={"enabled": False}, client=client)
        try:
            node.start()
            wait_for(lambda: leader.request("GET", "/v1/nodes")[1], 20, "the node")
            (row,) = leader.request("GET", "/v1/nodes")[1]
            for one, query in (
                (other, f"server_id={leader.name}&plain=true"),
                (other, f"node_id={row['ID']}&plain=true"),
            ):
                connection = http.client.HTTPConnection("127.0.0.1", one.http_port, timeout=20)
                connection.request("GET", f"/v1/agent/monitor?{query}")
                answer = connection.getresponse()
                assert answer.status == 200
                process = leader.process if "server_id" in query else node.process
                assert process is not None
                os.kill(process.pid, signal.SIGHUP)
                assert b"configuration read again" in answer.read1(65536)
                connection.close()
            machine = other.request("GET", f"/v1/agent/host?node_id={row['ID']}")[1]
            assert machine["OS"].startswith("Linux") and machine["Disk"]["/"]["DiskMB"] > 0
        finally:
            node.end()


def test_the_machine_without_its_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_TOKEN", "hunter2")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=hunter2")
    monkeypatch.setenv("DATABASE_URL", "postgres://u:hunter2@h/d")
    monkeypatch.setenv("PLAIN", "shown")
    with single(tmp_path) as server:
        machine = server.request("GET", "/v1/agent/host")[1]
        assert machine["Environment"]["PLAIN"] == "shown"
        assert machine["Environment"]["SOME_API_TOKEN"] == "<redacted>"
        assert "hunter2" not in str(machine)
        assert {"OS", "Network", "ResolvConf", "Hosts", "Environment", "Disk"} == set(machine)
