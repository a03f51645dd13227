"""Real servers as processes: started, asked, killed and started again by the tests that use them."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

START_SECONDS_MAX = 30.0


def free_ports(count: int) -> list[int]:
    """Different loopback ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def wait_for(predicate: Callable[[], Any], seconds: float, what: str) -> Any:
    """Poll until `predicate` answers something true; fail with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        if found := predicate():
            return found
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


class ServerProcess:
    """One `yurt agent` process with its directory and ports."""

    def __init__(self, directory: Path, name: str, http_port: int, rpc_port: int, **config: Any) -> None:
        self.name, self.directory, self.http_port, self.rpc_port = name, directory, http_port, rpc_port
        self.address = f"http://127.0.0.1:{http_port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.extra_config = config

    def start(self, *flags: str, **environment: str) -> ServerProcess:
        """Start the process; its output goes to a log in its directory."""
        self.directory.mkdir(parents=True, exist_ok=True)
        config = {
            "name": self.name,
            "data_dir": str(self.directory / "data"),
            "ports": {"http": self.http_port, "rpc": self.rpc_port},
            "limits": {"http_max_conns_per_client": 0},
            **self.extra_config,
        }
        (self.directory / "config.json").write_text(json.dumps(config))
        command = [
            sys.executable,
            "-m",
            "yurt.server.cli",
            "agent",
            "-config",
            str(self.directory / "config.json"),
            *flags,
        ]
        with (self.directory / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **environment}
            )
        return self

    def log(self) -> str:
        """What the process wrote so far."""
        return (self.directory / "server.log").read_text(errors="replace")

    def request(self, method: str, path: str, body: Any = None, *, timeout: float = 20.0) -> tuple[int, Any]:
        """Status and decoded body (text if it is no JSON) of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=timeout)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        try:
            return answer.status, json.loads(data) if data else None
        except ValueError:
            return answer.status, data.decode(errors="replace")

    def answers(self, path: str = "/v1/status/leader") -> bool:
        """Whether a GET is answered with 200."""
        try:
            return self.request("GET", path)[0] == 200
        except OSError:
            return False

    def wait_ready(self) -> ServerProcess:
        """Wait until the server has a leader and answers default reads."""

        def ready() -> bool:
            assert self.process is not None and self.process.poll() is None, f"{self.name} ended:\n{self.log()[-3000:]}"
            return self.answers("/v1/jobs")

        wait_for(ready, START_SECONDS_MAX, f"{self.name} ready\n")
        return self

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def end(self) -> None:
        """Make sure that the process is gone."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@contextmanager
def single(directory: Path, **config: Any) -> Iterator[ServerProcess]:
    """One server with a durable data directory, ready."""
    http_port, rpc_port = free_ports(2)
    config.setdefault("server", {"enabled": True, "bootstrap_expect": 1})
    server = ServerProcess(directory, "one", http_port, rpc_port, **config)
    try:
        yield server.start().wait_ready()
    finally:
        server.end()


@contextmanager
def cluster(directory: Path, size: int = 3, **config: Any) -> Iterator[list[ServerProcess]]:
    """Servers that form one cluster, all ready."""
    ports = free_ports(2 * size)
    join = [f"127.0.0.1:{ports[2 * i + 1]}" for i in range(size)]
    block = {"enabled": True, "bootstrap_expect": size, "server_join": {"retry_join": join}, **config.pop("server", {})}
    servers = [
        ServerProcess(directory / f"s{i + 1}", f"s{i + 1}", ports[2 * i], ports[2 * i + 1], server=block, **config)
        for i in range(size)
    ]
    try:
        for server in servers:
            server.start()
        for server in servers:
            server.wait_ready()
        yield servers
    finally:
        for server in servers:
            server.end()


def leader_of(servers: list[ServerProcess]) -> ServerProcess:
    """The server that the others name as leader."""

    def find() -> ServerProcess | None:
        for server in servers:
            try:
                status, address = server.request("GET", "/v1/status/leader", timeout=10)
            except OSError:
                continue
            if status == 200:
                for one in servers:
                    if (
                        address == f"127.0.0.1:{one.rpc_port}"
                        and one.process is not None
                        and one.process.poll() is None
                    ):
                        return one
        return None

    found: ServerProcess = wait_for(find, START_SECONDS_MAX, "a leader")
    return found


def small_job(job_id: str, **fields: Any) -> dict[str, Any]:
    """A batch-like job that needs no node: a service of count 0."""
    task = {"Name": "task", "Driver": "mock_driver", "Config": {"run_for": "1h"}}
    return {"Job": {"ID": job_id, "TaskGroups": [{"Name": "group", "Count": 0, "Tasks": [task]}], **fields}}
