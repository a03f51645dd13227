"""What diffs cost: `python -m tests.bench.diff`.

Times are the best of many runs; pauses are the longest that the event loop made others wait.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import msgspec

from tests.bench.store import line
from yurt.fsm.job.diff.job import diff_jobs
from yurt.fsm.structs.base import to_json
from yurt.fsm.structs.job import Job
from yurt.server.agent import SWITCH_SECONDS
from yurt.server.platform.worker_thread import Background

RUNS = 50


def job(groups: int, version: int) -> Job:
    """A job whose groups have a network, a service, two tasks, a template; `version` is in half of the blocks."""
    return msgspec.convert({"ID": "big", "TaskGroups": [_group(number, version) for number in range(groups)]}, Job)


def _group(number: int, version: int) -> dict[str, Any]:
    check = {"Name": "alive", "Type": "http", "Path": f"/{version}", "Interval": 10**10, "Timeout": 10**9}
    web = {
        "Name": "web",
        "Driver": "docker",
        "Config": {"image": f"nginx:{version}", "ports": ["http"], "args": ["a", "b"]},
        "Env": {"A": "1", "B": str(version), "C": "3"},
        "Resources": {"CPU": 100 + version, "MemoryMB": 64},
        "Templates": [{"EmbeddedTmpl": f"{'x' * 200}{version}", "DestPath": "local/a"}],
        "Artifacts": [{"GetterSource": "https://example.com/x"}],
    }
    return {
        "Name": f"g{number}",
        "Count": number,
        "RestartPolicy": {"Attempts": version},
        "Networks": [{"DynamicPorts": [{"Label": "http", "To": 80}]}],
        "Services": [{"Name": f"s{number}", "Provider": "nomad", "Tags": ["a", str(version)], "Checks": [check]}],
        "Tasks": [web, {"Name": "side", "Driver": "docker", "Config": {"image": "x"}}],
    }


def dense(entries: int, version: int) -> Job:
    """A job of one task with many small entries in Env, all of them changed."""
    env = {f"K{number}": f"{number + version}" for number in range(entries)}
    return msgspec.convert({"ID": "dense", "TaskGroups": [{"Name": "g", "Tasks": [{"Name": "t", "Env": env}]}]}, Job)


def milliseconds(old: Job | None, new: Job | None, runs: int = RUNS) -> float:
    """The best time of a diff."""
    best = float("inf")
    for _ in range(runs):
        started = time.perf_counter()
        diff_jobs(old, new)
        best = min(best, time.perf_counter() - started)
    return best * 1000


async def pause(old: Job, new: Job) -> tuple[float, float]:
    """The longest pause of the loop, and the whole time, while a diff is made and encoded beside it: milliseconds."""
    background, longest = Background(), 0.0
    started = time.perf_counter()
    piece = asyncio.ensure_future(background.run(lambda: len(to_json(diff_jobs(old, new)))))
    while not piece.done():
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        longest = max(longest, time.perf_counter() - before - 0.001)
    background.close()
    return longest * 1000, (time.perf_counter() - started) * 1000


def main() -> None:
    """Print the table."""
    sys.setswitchinterval(SWITCH_SECONDS)
    old, new = job(10, 1), job(10, 2)
    size = f"{len(to_json(old)) >> 10} KiB of JSON each"
    line("two 10-group jobs, half of the blocks changed", f"{milliseconds(old, new):.2f} ms", "< 2 ms", size)
    line("the same, equal", f"{milliseconds(old, job(10, 1)):.2f} ms")
    line("the same, added", f"{milliseconds(None, old):.2f} ms")
    for name, pair in (
        ("two 100-group jobs", (job(100, 1), job(100, 2))),
        ("100,000 entries changed", (dense(100_000, 1), dense(100_000, 2))),
        ("1,000,000 entries changed", (dense(1_000_000, 1), dense(1_000_000, 2))),
    ):
        longest, whole = asyncio.run(pause(*pair))
        line(
            name,
            f"{whole:.0f} ms",
            "",
            f"loop held up {longest:.0f} ms, {len(to_json(pair[0])) >> 10} KiB of JSON each",
        )


if __name__ == "__main__":
    main()
