"""One `yurt agent` as a process: started, asked, paused, killed and started again."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from yurt.server.testing.agent import START_SECONDS_MAX, ClusterError, wait_for

STOP_SECONDS_MAX = 15.0
FAULTS = "YURT_FAULTS"  # names the file of the faults that an agent makes itself (docs/experiments.md)


def free_ports(count: int) -> list[int]:
    """`count` different loopback ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def end_tasks(directory: Path) -> None:
    """End the tasks of node agents whose files are below a directory: they outlive their agents."""
    directory = directory.resolve()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            if b"supervisor.py" not in (entry / "cmdline").read_bytes():
                continue
            files = {os.readlink(one) for one in (entry / "fd").iterdir()}
            if any(one.startswith(f"{directory}/") for one in files):
                os.kill(int(entry.name), signal.SIGTERM)


class AgentProcess:
    """An agent with its directory and its ports; `config` are members of its JSON configuration.

    The directory is made absolute: agents refuse a relative one.
    """

    speaks_to_peers = True  # with the cluster's secret

    def __init__(self, directory: Path, name: str, http_port: int, rpc_port: int, **config: Any) -> None:
        self.directory, self.name, self.http_port, self.rpc_port = directory.resolve(), name, http_port, rpc_port
        self.config = config
        self.environment: dict[str, str] = {}  # what it is started with beside the caller's
        self.address = f"http://127.0.0.1:{http_port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.is_paused = False
        self._broken: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"<{self.name} {self.address}{'' if self.is_running else ' (down)'}>"

    @property
    def program(self) -> tuple[str, ...]:
        """The command that is run, before `agent`."""
        return (sys.executable, "-P", "-m", "yurt.server.cli")

    @property
    def ports(self) -> dict[str, int]:
        """The ports of its configuration."""
        return {"http": self.http_port, "rpc": self.rpc_port}

    # --- the process

    def start(self, *flags: str, **environment: str) -> AgentProcess:
        """Start it; its output goes to `agent.log` in its directory."""
        self.directory.mkdir(parents=True, exist_ok=True)
        configuration = {
            "name": self.name,
            "data_dir": str(self.directory / "data"),
            "ports": self.ports,
            "limits": {"http_max_conns_per_client": 0},
            **self.config,
        }
        file = self.directory / "config.json"
        file.write_text(json.dumps(configuration, indent=2))
        command = [*self.program, "agent", "-config", str(file), *flags]
        with (self.directory / "agent.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment, **environment},
                start_new_session=True,
            )
        self.is_paused = False
        return self

    @property
    def is_running(self) -> bool:
        """Whether the process is there (perhaps paused)."""
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> int:
        """Stop it cleanly (SIGTERM); the exit code."""
        if self.process is None:
            return 0
        self.resume()
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ClusterError(f"{self.name} did not stop within {STOP_SECONDS_MAX:.0f} s and was killed") from None

    def pause(self) -> None:
        """Let it stand still (SIGSTOP), as a machine does that is overloaded or suspended."""
        if self.process is not None and self.is_running:
            self.process.send_signal(signal.SIGSTOP)
            self.is_paused = True

    def resume(self) -> None:
        """Let it go on (SIGCONT)."""
        if self.process is not None and self.is_running and self.is_paused:
            self.process.send_signal(signal.SIGCONT)
        self.is_paused = False

    def end(self) -> None:
        """Make sure that the process is gone."""
        if self.is_running:
            self.resume()
            self.kill()

    def log(self, characters: int = 0) -> str:
        """Return the last `characters` of the agent's log; all of it with 0."""
        file = self.directory / "agent.log"
        text = file.read_text(errors="replace") if file.exists() else ""
        return text[-characters:] if characters else text

    def break_on_purpose(
        self, *, sync_seconds: float | None = None, full: bool | None = None, clock_seconds: float | None = None
    ) -> None:
        """Faults of disk and clock, made by the agent itself; raises `ClusterError` if it was not started for them."""
        path = self.environment.get(FAULTS)
        if path is None:
            raise ClusterError(f"{self.name} was not started with {FAULTS}: make the cluster with faults=True")
        given = {"sync_seconds": sync_seconds, "full": full, "clock_seconds": clock_seconds}
        self._broken.update({name: value for name, value in given.items() if value is not None})
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".part")
        partial.write_text(json.dumps(self._broken))
        os.replace(partial, file)

    # --- its API

    def connection(self, timeout: float) -> http.client.HTTPConnection:
        """A new connection to its API; it is made with the first request."""
        return http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=timeout)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        timeout: float = 20.0,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Status and decoded body (text if it is no JSON) of one request; OSError if there is no answer."""
        connection = self.connection(timeout)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers or {})
            answer = connection.getresponse()
            data = answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError(f"{self.name} broke off its answer: {error!r}") from error
        finally:
            connection.close()
        try:
            return answer.status, json.loads(data) if data else None
        except ValueError:
            return answer.status, data.decode(errors="replace")

    def answers(self, path: str = "/v1/status/leader") -> bool:
        """Whether a GET is answered with 200."""
        try:
            return self.is_running and not self.is_paused and self.request("GET", path, timeout=6.0)[0] == 200
        except OSError:
            return False

    def wait_ready(self) -> AgentProcess:
        """Wait until it has a leader and answers default reads."""

        def ready() -> bool:
            if not self.is_running:
                raise ClusterError(f"{self.name} ended:\n{self.log(3000)}")
            return self.answers("/v1/namespaces")  # needs no token

        wait_for(ready, START_SECONDS_MAX, f"{self.name} is ready; its log: {self.directory / 'agent.log'}")
        return self
