"""What admission costs, and what each step of it: `python -m tests.bench.admission`.

Times are the best of several rounds, in microseconds; bodies are JSON as clients send it.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench.load import measure
from tests.bench.product import registration
from tests.process.servers import ServerProcess, single
from yurt.fsm.job.admit import Limits, admit, errors_of
from yurt.fsm.job.canonicalize import canonicalize
from yurt.fsm.job.decode import _folded_body, decode_body
from yurt.fsm.job.mutate import mutate
from yurt.fsm.job.requests import RegisterRequest
from yurt.fsm.job.warnings import job_warnings, memory_warnings
from yurt.fsm.machine import Machine
from yurt.fsm.structs.base import to_json

SECOND = 10**9
ROUNDS, TIMES = 7, 400
VIEW, LIMITS = Machine().view(), Limits()


def small() -> dict[str, Any]:
    """The job of the registration bench: one group, one task."""
    task = {"Name": "web", "Driver": "docker", "Config": {"image": "nginx:1.27"}, "Env": {"A": "1"}, "Resources": {"CPU": 100, "MemoryMB": 64}}  # fmt: skip
    group = {"Name": "web", "Count": 0, "Tasks": [task]}
    return {"ID": "web", "Name": "web", "Datacenters": ["dc1"], "Meta": {"owner": "me"}, "TaskGroups": [group]}


def large() -> dict[str, Any]:
    """Ten groups of two tasks with networks, services, checks, templates, constraints and volumes."""
    check = {"Type": "http", "Path": "/health", "Interval": 10 * SECOND, "Timeout": 2 * SECOND}
    tasks = [
        {
            "Name": f"task{number}", "Driver": "docker", "Config": {"image": "x:1", "ports": ["http"], "args": ["-a", 1]},
            "Env": {"A": "1", "B": "2"}, "Resources": {"CPU": 100, "MemoryMB": 64}, "KillSignal": "SIGINT",
            "Templates": [{"DestPath": "local/x", "EmbeddedTmpl": "{{ env \"A\" }}"}],
            "Artifacts": [{"GetterSource": "https://example.org/x.tgz"}],
            "VolumeMounts": [{"Volume": "data", "Destination": "/data"}],
        }
        for number in range(2)
    ]  # fmt: skip
    groups = [
        {
            "Name": f"group{number}", "Count": 3, "Tasks": tasks, "Networks": [{"Mode": "bridge", "DynamicPorts": [{"Label": "http", "To": 80}]}],
            "Services": [{"Name": f"web{number}", "PortLabel": "http", "Provider": "nomad", "Tags": ["a"], "Checks": [check]}],
            "Volumes": {"data": {"Type": "host", "Source": "data"}},
            "Constraints": [{"LTarget": "${attr.kernel.name}", "Operand": "=", "RTarget": "linux"}, {"LTarget": "${attr.os.version}", "Operand": "version", "RTarget": ">= 1.2"}],
        }
        for number in range(10)
    ]  # fmt: skip
    return {**small(), "TaskGroups": groups}


def microseconds(work: Callable[[], Any]) -> float:
    """What one call takes at best."""
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(TIMES // ROUNDS):
            work()
        best = min(best, (time.perf_counter() - started) / (TIMES // ROUNDS) * 1e6)
    return best


def rows(name: str, job: dict[str, Any], target: str) -> None:
    """The whole and its steps."""
    body = json.dumps({"Job": job}).encode()

    def decoded() -> dict[str, Any]:
        return decode_body(body, RegisterRequest)["Job"]  # type: ignore[no-any-return]

    def canonical() -> Any:
        return canonicalize(decoded(), namespace="default", region="global")

    plain = canonical()
    whole = mutate(plain)
    decoding = microseconds(decoded)
    read = b'{"Job":' + to_json(whole) + b"}"
    steps = (
        ("decode", decoding, f"key by key {microseconds(lambda: _folded_body(body, RegisterRequest)):.1f}"),
        ("canonicalize", microseconds(canonical) - decoding, ""),
        ("mutate", microseconds(lambda: mutate(plain)), ""),
        ("validate", microseconds(lambda: errors_of(whole, VIEW, LIMITS)), ""),
        ("warn", microseconds(lambda: (list(job_warnings(whole)), list(memory_warnings(whole, VIEW)))), ""),
    )
    total = microseconds(lambda: admit(decoded(), reader=VIEW, namespace="default", region="global", limits=LIMITS))
    print(f"| {name}, {len(body):,} bytes: all | {total:.1f} µs | {target} | |")
    for step, took, detail in steps:
        print(f"| {name}: {step} | {took:.1f} µs | | {took / total:.0%} {detail} |")
    again = microseconds(
        lambda: admit(
            decode_body(read, RegisterRequest)["Job"], reader=VIEW, namespace="default", region="global", limits=LIMITS
        )
    )
    print(f"| {name} as it is read, {len(read):,} bytes: all | {again:.1f} µs | | |")


class Bare(ServerProcess):
    """A server without admission, of the working directory's tests."""

    program = (sys.executable, "-m", "tests.bench.bare_admission")


def throughput() -> None:
    """Registrations a second with and without admission, in turns, so that both see the same machine."""
    best = {ServerProcess: 0.0, Bare: 0.0}
    for _ in range(3):
        for kind in best:
            with tempfile.TemporaryDirectory() as directory, single(Path(directory), kind) as server:
                measure([server], lambda n: registration(n, "warm"), seconds=1)
                best[kind] = max(best[kind], measure([server], lambda n: registration(n, "job"), seconds=4).rate)
    falls = 1 - best[ServerProcess] / best[Bare]
    print(
        f"| registrations/s, best of 3 | {best[ServerProcess]:,.0f}, bare {best[Bare]:,.0f}: −{falls:.0%} | < 20 % | |"
    )


def main() -> None:
    """Print the table."""
    print("| what | measured | target | detail |\n|---|---|---|---|")
    throughput()
    rows("bench job", small(), "≤ 60 µs")
    rows("10 groups", large(), "< 800 µs")


if __name__ == "__main__":
    main()
