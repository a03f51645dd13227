"""Run the conformance kit on a fresh server and hold the ratchet: `python -m tests.conformance.check KIT [--update]`.

`ratchet.txt` lists the scenarios that pass (exact or soft). One that no longer passes fails the check; `--update`
writes the list and the table of `docs/conformance.md` anew. Every recorded job file must be parsed exactly.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from tests.process.servers import ServerProcess, cluster, free_ports, leader_of

HERE = Path(__file__).resolve().parent
RATCHET = HERE / "ratchet.txt"
REPORT = HERE.parent.parent / "docs/conformance.md"
PASSES = ("exact", "soft")
LIBRARY = "pysyncobj/"  # scenarios of the Jobs API on the second engine
LEVELS = ("exact", "soft", "fail", "error")


@contextmanager
def fresh_server(*flags: str) -> Iterator[tuple[str, Path]]:
    """The address of a `yurt agent -dev` started for this run, and a directory that goes with it."""
    http_port, rpc_port = free_ports(2)
    with tempfile.TemporaryDirectory() as directory:
        server = ServerProcess(Path(directory), "conformance", http_port, rpc_port)
        try:
            yield server.start("-dev", *flags).wait_ready().address, Path(directory)
        finally:
            server.end()


def run_kit(kit: Path, only: str = "*") -> dict[str, str]:
    """Scenario → level; `only`: names, joined by commas. Those on the second engine begin with its name and a slash."""
    names = only.split(",")
    on_library = ",".join(name.removeprefix(LIBRARY) for name in names if name.startswith(LIBRARY))
    only = ",".join(name for name in names if not name.startswith(LIBRARY))
    found: dict[str, str] = {}
    if only:
        with fresh_server() as (address, directory):
            found = _asked(kit, "tasks", address, only, directory)
    if on_library or only == "*":
        found |= _on_library(kit, on_library or "job*")
    guarded = ",".join(name for name in only.split(",") if name.startswith("acl_")) or ("acl_*" if only == "*" else "")
    if guarded:
        with fresh_server("-acl-enabled") as (address, directory):
            secret = _bootstrapped(address)
            found |= _asked(kit, "tasks,acl", address, guarded, directory, "--token", secret)
    replicated = ",".join(name for name in only.split(",") if name.startswith("cluster_replication"))
    if replicated or only == "*":
        with tempfile.TemporaryDirectory() as name, cluster(Path(name)) as servers:
            leader = leader_of(servers)  # first: the recordings hear of the second's refusals as forwarded ones
            addresses = ",".join(one.address for one in sorted(servers, key=lambda one: one is not leader))
            found |= _asked(kit, "cluster", addresses, replicated or "cluster_replication", Path(name))
    return found


def _on_library(kit: Path, only: str) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "engine.json"
        file.write_text(
            json.dumps({"server": {"raft_engine": LIBRARY.rstrip("/"), "pysyncobj": {"password": token_hex()}}})
        )
        with fresh_server("-config", str(file)) as (address, directory):
            return {f"{LIBRARY}{key}": level for key, level in _asked(kit, "tasks", address, only, directory).items()}


def _asked(kit: Path, have: str, address: str, only: str, directory: Path, *more: str) -> dict[str, str]:
    out = directory / "out.json"
    command = [sys.executable, str(kit / "conform"), "check", "--have", have, "--against", address, "-k", only, *more]
    subprocess.run([*command, "--json", str(out)], check=False, stdout=subprocess.DEVNULL, timeout=1800)
    return {name: level for name, level in levels(json.loads(out.read_text())).items() if level in LEVELS}


def _bootstrapped(address: str) -> str:
    request = urllib.request.Request(f"{address}/v1/acl/bootstrap", method="PUT")
    with urllib.request.urlopen(request, timeout=30) as answer:
        secret: str = json.loads(answer.read())["SecretID"]
    return secret


def job_files_agree(kit: Path) -> bool:
    """Whether every recorded job file is parsed, or refused, exactly as recorded; tells what differs."""
    with fresh_server() as (address, _):
        command = [sys.executable, str(kit / "hcl-check"), "--against", address, "-q"]
        return subprocess.run(command, check=False, timeout=600).returncode == 0


def levels(outcomes: object) -> dict[str, str]:
    """The kit's JSON, reduced to scenario → level."""
    rows = outcomes if isinstance(outcomes, list) else outcomes["scenarios"] if isinstance(outcomes, dict) else []
    return {row.get("scenario") or row["name"]: row["level"] for row in rows}


def report(found: dict[str, str]) -> str:
    """A table: area, then how many scenarios are exact, soft, failing and broken off."""
    areas: dict[str, Counter[str]] = {}
    for name, level in found.items():
        area = f"{LIBRARY}job*" if name.startswith(LIBRARY) else name.split(".")[0]
        areas.setdefault(area, Counter())[level] += 1
    lines = [
        "# Agreement with the recorded API",
        "",
        "How Yurt answers the recorded scenarios (`-dev`, with access control, three servers): *exact*, *soft* (only a library's wording or",
        "an empty value differs), *fail*, *error* (an earlier answer was missing). The row `pysyncobj/job*` is the Jobs API on the second engine.",
        "Made by `python -m tests.conformance.check KIT --update`.",
        "",
        "| area | exact | soft | fail | error |",
        "|---|---|---|---|---|",
    ]
    for area, counts in sorted(areas.items()):
        lines.append(f"| {area} | " + " | ".join(str(counts[level]) for level in LEVELS) + " |")
    total = Counter(found.values())
    lines.append("| **all** | " + " | ".join(f"**{total[level]}**" for level in LEVELS) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Check, print, and say which scenarios fell or rose."""
    found = run_kit(Path(sys.argv[1]))
    passing = sorted(name for name, level in found.items() if level in PASSES)
    if "--update" in sys.argv:
        RATCHET.write_text("".join(f"{name}\n" for name in passing))
        REPORT.write_text(report(found))
    held = set(RATCHET.read_text().split())
    if again := sorted(held - set(passing)):  # a machine that was busy for a moment is no regression
        print("again:", ", ".join(again))
        found |= run_kit(Path(sys.argv[1]), ",".join(again))
        passing = sorted(name for name, level in found.items() if level in PASSES)
    fallen = sorted((held & set(found)) - set(passing)) + sorted(held - set(found))
    risen = sorted(set(passing) - held)
    for name in fallen:
        print(f"fell: {name} ({found.get(name, 'not run')})")
    if risen:
        print(f"{len(risen)} more pass than ratchet.txt knows: run with --update")
    counts = Counter(found.values())
    print("conformance:", ", ".join(f"{level} {counts[level]}" for level in LEVELS))
    return 0 if job_files_agree(Path(sys.argv[1])) and passing and not fallen else 1


if __name__ == "__main__":
    sys.exit(main())
