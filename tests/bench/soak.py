"""Memory of a development agent under steady traffic, printed over time: `python -m tests.bench.soak [MINUTES]`.

200 jobs with one short mock task each are registered, planned, read with differences and purged by some clients, and
everything that has ended is collected every 30 s: the state stays small, so memory must stay flat. The last table names
the types of which more objects live than after the first minute.
"""

from __future__ import annotations

import ctypes
import gc
import http.client
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.process.servers import free_ports

JOBS, CLIENTS, COLLECT_SECONDS, REPORT_SECONDS, WARM_SECONDS = 200, 4, 30.0, 15.0, 60.0
PAUSE_SECONDS = 0.015  # between two requests of a client
GROWN_MIN = 200


# --- the agent's side


def resident_kb() -> int:
    """Resident memory of this process."""
    text = Path("/proc/self/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0])


def census() -> dict[str, int]:
    """Objects that the collector tracks, by type."""
    kinds = (type(found) for found in gc.get_objects())
    return dict(Counter(f"{kind.__module__}.{kind.__qualname__}" for kind in kinds))


def report(*, collect: bool) -> dict[str, Any]:
    """Memory now; with `collect` also what is left when all garbage is gone and free pages are given back."""
    found: dict[str, Any] = {"resident": resident_kb()}
    if collect:
        found["unreachable"] = gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        found |= {"trimmed": resident_kb(), "objects": census(), "blocks": sys.getallocatedblocks()}
    return found


def run_agent(config: str) -> None:
    """A development agent that answers each line of its standard input with a report."""

    def listen() -> None:
        for line in sys.stdin:
            print(json.dumps(report(collect=line.strip() == "collect")), flush=True)

    threading.Thread(target=listen, daemon=True).start()
    from yurt.server.cli.main import main as command

    command(["agent", "-dev", "-log-level", "ERROR", "-config", config])


# --- the clients' side


def job(number: int, chance: random.Random) -> dict[str, Any]:
    """A batch job with one task that ends at once."""
    task = {
        "Name": "task", "Driver": "mock_driver", "Config": {"run_for": "10ms"},
        "Env": {"N": str(chance.randrange(1000))}, "Resources": {"CPU": 1, "MemoryMB": 10},
        "LogConfig": {"MaxFiles": 1, "MaxFileSizeMB": 1},
    }  # fmt: skip
    group = {"Name": "group", "Count": 1, "EphemeralDisk": {"SizeMB": 20}, "Tasks": [task]}
    return {"Job": {"ID": f"soak-{number}", "Type": "batch", "TaskGroups": [group]}}


class Client:
    """One keep-alive connection."""

    def __init__(self, port: int, seed: int) -> None:
        self._port, self.chance, self.count = port, random.Random(seed), 0
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The decoded answer, None if it is not 200."""
        self.count += 1
        try:
            self._connection.request(method, path, None if body is None else json.dumps(body))
            answer = self._connection.getresponse()
            data = answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return None
        return json.loads(data) if answer.status == 200 and data else None

    def turn(self) -> None:
        """One request of the mix."""
        number = self.chance.randrange(JOBS)
        path = f"/v1/job/soak-{number}"
        match self.chance.randrange(6):
            case 0 | 1:
                self.ask("PUT", "/v1/jobs", job(number, self.chance))
            case 2:
                self.ask("PUT", f"{path}/plan", {**job(number, self.chance), "Diff": True})
            case 3:
                self.ask("GET", f"{path}/versions?diffs=true")
            case 4:
                self.ask("GET", path)
            case 5:
                self.ask("DELETE", f"{path}?purge=true")

    def run(self, until: float) -> None:
        """Turn after turn."""
        while time.monotonic() < until:
            self.turn()
            time.sleep(PAUSE_SECONDS)


class Soak:
    """An agent, its clients, and what it reports."""

    def __init__(self, directory: Path, seconds: float) -> None:
        ports = dict(zip(("http", "rpc"), free_ports(2), strict=True))
        config = directory / "config.json"
        config.write_text(json.dumps({"ports": ports, "limits": {"http_max_conns_per_client": 0}}))
        command = [sys.executable, "-m", "tests.bench.soak", "--agent", str(config)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.clients = [Client(ports["http"], number) for number in range(CLIENTS + 1)]
        self.seconds = seconds

    def ask(self, line: str) -> dict[str, Any]:
        """A report of the agent."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(line, file=self.process.stdin, flush=True)
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found

    def run(self) -> None:
        """Print a line every few seconds, and at the end what is left."""
        own = self.clients[-1]
        while own.ask("GET", "/v1/nodes") in (None, []):
            time.sleep(0.1)
        until = time.monotonic() + self.seconds
        threads = [threading.Thread(target=one.run, args=(until,)) for one in self.clients[:-1]]
        began, collected, warm = time.monotonic(), time.monotonic(), None
        print("| s | requests | resident MB | after a collection | unreachable | blocks |\n|---|---|---|---|---|---|")
        for thread in threads:
            thread.start()
        while time.monotonic() < until:
            time.sleep(min(REPORT_SECONDS, max(0.1, until - time.monotonic())))
            if time.monotonic() - collected >= COLLECT_SECONDS:
                own.ask("PUT", "/v1/system/gc")
                collected = time.monotonic()
            if warm is None and time.monotonic() - began >= WARM_SECONDS:
                warm = self._line(began, "collect")
            else:
                self._line(began, "look")
        for thread in threads:
            thread.join()
        self._empty(own)
        end = self._line(began, "collect")
        if warm is not None:
            self._compare(warm, end)

    def _line(self, began: float, asked: str) -> dict[str, Any]:
        requests = sum(one.count for one in self.clients)
        found = {**self.ask(asked), "requests": requests}
        trimmed = f"{found['trimmed'] / 1024:.1f}" if "trimmed" in found else ""
        print(
            f"| {time.monotonic() - began:.0f} | {requests} | {found['resident'] / 1024:.1f} | {trimmed} "
            f"| {found.get('unreachable', '')} | {found.get('blocks', '')} |",
            flush=True,
        )
        return found

    @staticmethod
    def _empty(own: Client) -> None:
        """Purge every job, and collect until nothing is left."""
        for number in range(JOBS):
            own.ask("DELETE", f"/v1/job/soak-{number}?purge=true")
        for _ in range(20):
            own.ask("PUT", "/v1/system/gc")
            time.sleep(0.5)
            if not any(own.ask("GET", f"/v1/{kind}") for kind in ("jobs", "evaluations", "allocations")):
                break

    @staticmethod
    def _compare(warm: dict[str, Any], end: dict[str, Any]) -> None:
        requests = end["requests"] - warm["requests"]
        print(f"\nper request: {(end['trimmed'] - warm['trimmed']) / requests:+.3f} KB live")
        grown = Counter(end["objects"])
        grown.subtract(warm["objects"])
        for kind, count in grown.most_common(30):
            if count >= GROWN_MIN:
                print(f"  {count:+8d} {kind}")


def main() -> None:
    """Run the soak, or be its agent."""
    if sys.argv[1:2] == ["--agent"]:
        run_agent(sys.argv[2])
        return
    minutes = float(sys.argv[1]) if sys.argv[1:] else 7.0
    with tempfile.TemporaryDirectory() as directory:
        soak = Soak(Path(directory), minutes * 60)
        try:
            soak.run()
        finally:
            soak.process.terminate()
            soak.process.wait(30)


if __name__ == "__main__":
    main()
