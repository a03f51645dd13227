"""The node agent's figures, with real tasks on this machine: `python -m tests.bench.tasks [NAME...]`."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench.product import line
from tests.process.servers import ServerProcess, free_ports, wait_for

RAW = {"raw_exec": {"config": {"enabled": True}}}
SHORT_TASKS, IDLE_TASKS, IDLE_SECONDS = 200, 100, 20


def job(job_id: str, count: int, script: str, kind: str, log_mb: int = 1) -> dict[str, Any]:
    """A job of `count` shells."""
    task = {
        "Name": "t", "Driver": "raw_exec", "Config": {"command": "/bin/sh", "args": ["-c", script]},
        "Resources": {"CPU": 1, "MemoryMB": 10}, "LogConfig": {"MaxFiles": 5, "MaxFileSizeMB": max(1, log_mb)},
    }  # fmt: skip
    group = {"Name": "g", "Count": count, "Tasks": [task], "EphemeralDisk": {"SizeMB": 10 + 5 * log_mb}}
    update = {"Update": {"MaxParallel": 0}} if kind == "service" else {}
    return {"Job": {"ID": job_id, "Type": kind, "TaskGroups": [group], **update}}


class Node:
    """A server that is a node too, with a data directory."""

    def __init__(self, directory: str) -> None:
        http_port, rpc_port = free_ports(2)
        self.process = ServerProcess(
            Path(directory), "one", http_port, rpc_port, server={"enabled": True, "bootstrap_expect": 1},
            client={"enabled": True, "network_interface": "lo"}, plugin=RAW,
        )  # fmt: skip
        self.process.start().wait_ready()
        wait_for(lambda: [one for one in self.ask("/v1/nodes") if one["Status"] == "ready"], 20, "a ready node")

    def ask(self, path: str, method: str = "GET", body: Any = None) -> Any:
        """The body of an answer that is none of a refusal."""
        status, answer = self.process.request(method, path, body, timeout=30)
        assert status == 200, answer
        return answer

    def count(self, job_id: str, status: str) -> int:
        """Allocations of a job with that status."""
        return sum(one["ClientStatus"] == status for one in self.ask(f"/v1/job/{job_id}/allocations"))

    def end(self, *jobs: str) -> None:
        """Stop the jobs, then the process."""
        for one in jobs:
            self.ask(f"/v1/job/{one}", "DELETE")
            wait_for(lambda one=one: self.count(one, "running") == 0, 60, "the tasks to end")  # type: ignore[misc]
        self.process.end()


def first_task() -> None:
    """`-dev` from its start to a running task."""
    best = 1e9
    for _ in range(3):
        ports = free_ports(2)
        directory = Path(tempfile.mkdtemp())
        (directory / "ports.json").write_text(json.dumps({"ports": {"http": ports[0], "rpc": ports[1]}}))
        command = [sys.executable, "-m", "yurt.server.cli", "agent", "-dev", "-bind", "127.0.0.1"]
        started = time.perf_counter()
        process = subprocess.Popen([*command, "-config", str(directory)], stderr=subprocess.DEVNULL)
        agent = ServerProcess(directory / "asked", "dev", *ports)
        wait_for(partial(_answers, ports[0]), 20, "the agent")
        body = job("first", 1, f"touch {directory}/mark; exec sleep 60", "batch")
        status, text = agent.request("PUT", "/v1/jobs", body)
        assert status == 200, text
        wait_for((directory / "mark").exists, 20, "the task")
        best = min(best, time.perf_counter() - started)
        process.terminate()
        process.wait(30)
    line("-dev: from its start to a job's task running", f"{best:.2f} s", "< 3 s", "best of 3")


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def short_tasks() -> None:
    """200 tasks that end at once, on one node."""
    with tempfile.TemporaryDirectory() as directory:
        node = Node(directory)
        started = time.perf_counter()
        node.ask("/v1/jobs", "PUT", job("short", SHORT_TASKS, "exit 0", "batch"))
        wait_for(lambda: node.count("short", "complete") == SHORT_TASKS, 120, "all to complete")
        seconds = time.perf_counter() - started
        node.end()
    line(f"{SHORT_TASKS} short raw_exec tasks, registered to all complete", f"{seconds:.1f} s", "< 20 s")


def log_follow() -> None:
    """How fast a followed log is delivered, and a plain one."""
    size = 400 << 20
    with tempfile.TemporaryDirectory() as directory:
        node = Node(directory)
        node.ask(
            "/v1/jobs",
            "PUT",
            job("loud", 1, f"yes 0123456789012345678901234567890123456789 | head -c {size}", "batch", 100),
        )
        wait_for(lambda: node.count("loud", "complete") == 1, 120, "the output")
        (alloc,) = node.ask("/v1/job/loud/allocations")
        for plain, name in ((True, "plain"), (False, "frames of JSON")):
            got, started = 0, time.perf_counter()
            with socket.create_connection(("127.0.0.1", node.process.http_port)) as connection:
                query = f"task=t&type=stdout&follow=true&plain={'true' if plain else 'false'}"
                connection.sendall(
                    f"GET /v1/client/fs/logs/{alloc['ID']}?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
                )
                while data := connection.recv(1 << 20):
                    got += len(data)
            seconds = time.perf_counter() - started
            rate = size / seconds / 1e6
            line(f"log follow, {name}", f"{rate:.0f} MB/s of the log", "> 20 MB/s", f"{got >> 20} MiB on the wire")
        node.end()


def idle() -> None:
    """The agent's share of a core while 100 tasks run and nothing happens."""
    with tempfile.TemporaryDirectory() as directory:
        node = Node(directory)
        node.ask("/v1/jobs", "PUT", job("idle", IDLE_TASKS, "exec sleep 3600", "service"))
        wait_for(lambda: node.count("idle", "running") == IDLE_TASKS, 120, "all to run")
        time.sleep(5)
        assert node.process.process is not None
        pid = node.process.process.pid
        before = _seconds(pid)
        time.sleep(IDLE_SECONDS)
        share = 100 * (_seconds(pid) - before) / IDLE_SECONDS
        resident = _supervisors()
        node.end("idle")
    line(f"server and agent, {IDLE_TASKS} tasks running, idle", f"{share:.2f} % of a core", "< 1 %", resident)


def _seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _supervisors() -> str:
    """What the supervisors hold that is theirs alone."""
    sizes = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if b"supervisor.py" in (path / "cmdline").read_bytes():
                lines = (path / "smaps_rollup").read_text().splitlines()
                sizes.append(sum(int(one.split()[1]) for one in lines if one.startswith("Pss:")))
        except OSError:
            continue
    return f"{sum(sizes) / len(sizes) / 1024:.1f} MB a supervisor (proportional)" if sizes else ""


BENCHES: dict[str, Callable[[], None]] = {
    "first": first_task, "short": short_tasks, "follow": log_follow, "idle": idle,
}  # fmt: skip

if __name__ == "__main__":
    print("| what | measured | target | detail |\n|---|---|---|---|", flush=True)
    for chosen in sys.argv[1:] or BENCHES:
        BENCHES[chosen]()
