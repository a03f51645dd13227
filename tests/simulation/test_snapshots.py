"""Snapshots under faults lose nothing; planted bugs of snapshots are found (spec raft-engine §10, 15 to 18)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulation.snapshots import Life
from yurt.server.raft.engine import Engine
from yurt.server.raft.errors import YurtError
from yurt.server.raft.installing import Installing
from yurt.server.raft.snapshots import SnapshotStore

SEEDS_MAX = 300


@pytest.mark.parametrize("seed", range(5))
def test_a_seed(seed: int) -> None:
    assert Life(seed).live().acknowledged


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_many_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    installed: list[int] = []
    take_over = Installing._take_over

    def counted(self: Installing, snapshot: Any, loaded: Any) -> None:
        installed.append(snapshot.index)
        take_over(self, snapshot, loaded)

    monkeypatch.setattr(Installing, "_take_over", counted)
    lives = [Life(seed) for seed in range(100, 250)]
    for life in lives:
        life.live()
    assert len(installed) > 100
    assert sum(life.rotten for life in lives) > 100
    assert 0 < sum(life.refused for life in lives) < sum(life.rotten for life in lives)
    assert sum(life.full for life in lives) > 100


def an_older_snapshot_is_installed(self: Installing, snapshot: Any, loaded: Any) -> None:
    """15: over a newer state."""
    self.issue(self.log.reset(snapshot.index, snapshot.term))
    self._held.clear()
    self._unsynced.clear()
    self.own_match = snapshot.index
    self.machine.swap(loaded)
    self.snapshot = snapshot
    self.commit_index = self.last_applied = snapshot.index
    self.forget_entry()
    self.end_waiting()
    self.rebuild_configurations()


def nothing_is_needless(self: Installing, peer: Any, message: Any) -> bool:
    """15 and 16: what is committed or in the log already is installed all the same."""
    return False


def the_log_goes_up_to_the_newest(self: Engine) -> None:
    """17: the older snapshot cannot be completed any more."""
    upto = self.snapshot.index
    if upto >= self.log.first_index:
        self.issue(self.log.drop(upto))


def a_bad_checksum_is_overlooked(self: SnapshotStore, path: str) -> Any:
    """A rotten snapshot is loaded."""
    return self._metadata(path)[0]


def any_snapshot_is_acknowledged_at_once(self: Installing, have: Any, message: Any) -> None:
    """The answer leaves before anything is durable or loaded."""
    self._answer_snapshot(have.peer, message, 1)
    self.drop_incoming()


PLANTS: list[tuple[type, dict[str, Any]]] = [
    (Installing, {"_take_over": an_older_snapshot_is_installed, "_is_needless": nothing_is_needless}),
    (Engine, {"drop_log": the_log_goes_up_to_the_newest}),
    (SnapshotStore, {"verify": a_bad_checksum_is_overlooked}),
    (Installing, {"_install": any_snapshot_is_acknowledged_at_once}),
]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("owner", "plant"), PLANTS, ids=lambda one: next(iter(one)) if isinstance(one, dict) else "")
def test_a_planted_bug_is_found(monkeypatch: pytest.MonkeyPatch, owner: type, plant: dict[str, Any]) -> None:
    for name, bug in plant.items():
        monkeypatch.setattr(owner, name, bug)
    refused = rotten = 0
    for seed in range(SEEDS_MAX):
        life = Life(seed)
        try:
            life.live()
        except (AssertionError, YurtError, UnicodeDecodeError):
            return
        refused, rotten = refused + life.refused, rotten + life.rotten
        if "drop_log" in plant and rotten > 20 and refused > rotten // 2:
            return  # most starts are refused that an older snapshot and the log would have saved
    pytest.fail(f"{sorted(plant)} was not found in {SEEDS_MAX} seeds")
