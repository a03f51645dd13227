"""A cluster of N servers on this machine's loopback: `deploy/local-cluster 3 DIRECTORY`, Ctrl-C ends it.

The directory keeps configuration, data and logs; started again with it, the cluster goes on where it was.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import click

START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 15.0


@dataclass(frozen=True)
class Member:
    """One server of the cluster: its directory and its two ports."""

    name: str
    directory: Path
    http_port: int
    rpc_port: int

    @property
    def address(self) -> str:
        """Where its HTTP API listens."""
        return f"http://127.0.0.1:{self.http_port}"


def plan(directory: Path, servers: int) -> list[Member]:
    """The members of the cluster in `directory`: those of its first start, else new ones on free ports."""
    file = directory / "cluster.json"
    if file.exists():
        ports = json.loads(file.read_text())
        if len(ports) != servers:
            raise click.ClickException(f"{file} was made for {len(ports)} servers; start it with that number")
    else:
        free = free_ports(2 * servers)
        ports = [free[2 * i : 2 * i + 2] for i in range(servers)]
        directory.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(ports))
    return [Member(f"server{i + 1}", directory / f"server{i + 1}", *pair) for i, pair in enumerate(ports)]


def free_ports(count: int) -> list[int]:
    """`count` different ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def configuration(member: Member, members: list[Member], engine: str) -> dict[str, object]:
    """The agent configuration of one member."""
    return {
        "name": member.name,
        "data_dir": str((member.directory / "data").resolve()),
        "bind_addr": "127.0.0.1",
        "ports": {"http": member.http_port, "rpc": member.rpc_port},
        "server": {
            "enabled": True,
            "bootstrap_expect": len(members),
            "raft_engine": engine,
            "server_join": {"retry_join": [f"127.0.0.1:{one.rpc_port}" for one in members]},
            "cluster_secret_file": str(secret_file(member.directory.parent).resolve()),
        },
        "limits": {"http_max_conns_per_client": 0},
    }


def secret_file(directory: Path) -> Path:
    """The file of the cluster's own secret, for its owner only; made at the first start."""
    file = directory / "cluster-secret"
    if not file.exists():
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as opened:
            opened.write(f"{secrets.token_urlsafe(32)}\n")
    return file


def start(member: Member, members: list[Member], engine: str = "core") -> subprocess.Popen[bytes]:
    """Start one member's process, with its output in its log file."""
    member.directory.mkdir(parents=True, exist_ok=True)
    file = member.directory / "config.json"
    file.write_text(json.dumps(configuration(member, members, engine), indent=2))
    command = [sys.executable, "-P", "-m", "yurt.server.cli", "agent", "-config", str(file)]
    with (member.directory / "server.log").open("ab") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)


def has_leader(member: Member) -> bool:
    """Whether this member answers and knows a leader."""
    connection = http.client.HTTPConnection("127.0.0.1", member.http_port, timeout=2)
    try:
        connection.request("GET", "/v1/status/leader?stale")
        return connection.getresponse().read() not in (b"", b'""')
    except OSError:
        return False
    finally:
        connection.close()


def wait_for_leader(members: list[Member], processes: list[subprocess.Popen[bytes]]) -> None:
    """Return when every member knows a leader; raise with the way to the logs if that takes too long."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while not all(has_leader(member) for member in members):
        for member, process in zip(members, processes, strict=True):
            if process.poll() is not None:
                raise click.ClickException(
                    f"{member.name} ended with {process.returncode}: {member.directory}/server.log"
                )
        if time.monotonic() > deadline:
            raise click.ClickException(
                f"no leader after {START_SECONDS_MAX:.0f} s: see {members[0].directory}/server.log"
            )
        time.sleep(0.05)  # a server does not tell when it is ready: it is asked


def stop(processes: list[subprocess.Popen[bytes]]) -> None:
    """Ask every process to stop, then make those that do not."""
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + STOP_SECONDS_MAX
    for process in processes:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@click.command()
@click.argument("servers", type=click.IntRange(1, 7), default=3)
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path), default=Path("yurt-data/local-cluster"))
@click.option(
    "--engine", type=click.Choice(["core", "pysyncobj"]), default="core", help="Engine that replicates the state."
)
def main(servers: int, directory: Path, engine: str) -> None:
    """Run SERVERS servers on loopback with their state in DIRECTORY until Ctrl-C."""
    members = plan(directory, servers)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # also where a shell lets SIGINT be ignored
    processes: list[subprocess.Popen[bytes]] = []
    try:
        processes.extend(start(member, members, engine) for member in members)
        wait_for_leader(members, processes)
        for member, process in zip(members, processes, strict=True):
            click.echo(f"{member.name}  {member.address}  rpc 127.0.0.1:{member.rpc_port}  pid {process.pid}")
        click.echo(f"export YURT_ADDR={members[0].address}\nlogs: {directory}/*/server.log; Ctrl-C stops the cluster")
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)  # until one of them ends
        for member, process in zip(members, processes, strict=True):
            if process.poll() is not None:
                click.echo(f"{member.name} ended with {process.returncode}: {member.directory}/server.log", err=True)
        raise SystemExit(1)
    except KeyboardInterrupt:
        click.echo("\nstopping")
    finally:
        stop(processes)


if __name__ == "__main__":
    main()
