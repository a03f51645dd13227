"""Lives in which snapshots matter: servers that are away for long, full disks, rotten files, cuts in transfers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from yurt.server.raft.core.installing import Installing
from yurt.server.testing.simulation.scenario import Life

FAULTS = ("crash", "rot", "full disk", "cut link", "snapshot", "crash while writing")
BUSY = {"snapshot_entries": 20, "between_writes": 0.006, "pause": 0.3, "calm_disk_seconds": 0.002}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_snapshots_under_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    installed: list[int] = []
    take_over = Installing._take_over

    def counted(self: Installing, snapshot: Any, loaded: Any) -> None:
        installed.append(snapshot.index)
        take_over(self, snapshot, loaded)

    monkeypatch.setattr(Installing, "_take_over", counted)
    counts: Counter[str] = Counter()
    refused = 0
    for seed in range(100, 250):
        life = Life(seed, size=(3, 3, 5, 4, 2)[seed % 5], faults=FAULTS, settings=BUSY)
        counts += life.live().counts
        refused += sum("refuses to start" in line for line in life.cluster.world.trace)
    assert len(installed) > 100
    assert counts["rot"] > 100 and counts["full disk"] > 100
    assert 0 < refused < counts["rot"]
