"""Jobs that came and went leave no objects behind, in servers and node agents alike."""

from __future__ import annotations

import gc
from collections import Counter
from typing import Any

import pytest

from yurt.server.testing.agent import wait_for
from yurt.testing import Cluster

JOBS, AT_ONCE = 300, 50
GROWTH_MAX = 40  # objects of one type; a leak of one object a job shows 2,000
# The log in memory, and the disk that a simulation keeps there, are bounded by snapshots.
CONFIG = {"server": {"raft_snapshot_threshold": 64, "raft_trailing_logs": 16, "raft_snapshot_interval": "1s"}}


def job(number: int) -> dict[str, Any]:
    """A batch job with one task that ends at once."""
    task = {
        "Name": "task", "Driver": "mock_driver", "Config": {"run_for": "10ms"},
        "Resources": {"CPU": 1, "MemoryMB": 10}, "LogConfig": {"MaxFiles": 1, "MaxFileSizeMB": 1},
    }  # fmt: skip
    group = {"Name": "group", "Count": 1, "EphemeralDisk": {"SizeMB": 20}, "Tasks": [task]}
    return {"Job": {"ID": f"job-{number}", "Type": "batch", "TaskGroups": [group]}}


class Traffic:
    """Jobs that are registered, run, end, and are purged and collected."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self.server = cluster, cluster.servers[0]

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        status, answer = self.server.request(method, path, body)
        assert status == 200, (method, path, status, answer)
        return answer

    def wave(self, first: int) -> None:
        """A hundred jobs, from their registration to the state without them."""
        numbers = range(first, first + AT_ONCE)
        for number in numbers:
            self.ask("PUT", "/v1/jobs", job(number))
        wait_for(self._has_ended, 120, "every allocation has ended", self.cluster.clock)
        for number in numbers:
            self.ask("DELETE", f"/v1/job/job-{number}?purge=true")
        wait_for(self._is_empty, 120, "nothing is left in the state", self.cluster.clock)

    def _has_ended(self) -> bool:
        self.cluster.clock.sleep(0.5)
        rows = self.ask("GET", "/v1/allocations")
        return len(rows) == AT_ONCE and all(row["ClientStatus"] == "complete" for row in rows)

    def _is_empty(self) -> bool:
        self.ask("PUT", "/v1/system/gc")
        self.cluster.clock.sleep(0.5)
        return not any(self.ask("GET", f"/v1/{kind}") for kind in ("jobs", "evaluations", "allocations"))

    def rest(self) -> Counter[str]:
        """The objects of the product by type, when everything is quiet."""
        self.cluster.clock.sleep(10.0)
        gc.collect()
        kinds = (type(found) for found in gc.get_objects())
        return Counter(f"{kind.__module__}.{kind.__qualname__}" for kind in kinds)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_memory_is_flat_after_two_thousand_jobs_came_and_went() -> None:
    with Cluster(1, nodes=1, in_process=True, seed=11, config=CONFIG) as cluster:
        traffic = Traffic(cluster)
        for first in range(-3 * AT_ONCE, 0, AT_ONCE):
            traffic.wave(first)  # rings and caches are full from now on
        before = traffic.rest()
        for first in range(0, JOBS, AT_ONCE):
            traffic.wave(first)
        grown = traffic.rest() - before
        testing = {kind: count for kind, count in grown.items() if kind.startswith(("yurt.server.testing.", "tests."))}
        leaks = {kind: count for kind, count in grown.items() if count > GROWTH_MAX and kind not in testing}
        assert not leaks, f"objects that jobs left behind: {leaks}"
