"""Bugs of snapshots: written, sent, installed, kept (spec raft-engine §6, §10: 15 to 18)."""

from __future__ import annotations

from typing import Any

from tests.simulation.plants.plant import Patch, Plant
from yurt.server.raft.core.engine import Engine
from yurt.server.raft.core.messages import INSTALLED
from yurt.server.raft.peer import Peer
from yurt.server.raft.storage.snapshots import SnapshotStore

PEER_CONNECTED, TAKE_SNAPSHOT = Engine.peer_connected, Engine.take_snapshot


def _looks_from_the_beginning(patch: Patch) -> None:
    """Whatever is proved, a connection begins at the first entry, which is long gone: like a refusal that comes late."""

    def peer_connected(self: Engine, server_id: str) -> None:
        PEER_CONNECTED(self, server_id)
        if progress := self.progress.get(server_id):
            progress.next = 1
            progress.inflight.clear()
            self.send_entries(progress)

    patch(Engine, "peer_connected", peer_connected)


def _install(self: Engine, snapshot: Any, loaded: Any) -> None:
    """Take a snapshot over, whatever is there."""
    self._held.clear()
    self._unsynced.clear()
    self.issue(self.log.reset(snapshot.index, snapshot.term))
    self.own_match = snapshot.index
    self.machine.swap(loaded)
    self.snapshot = snapshot
    self.commit_index = self.last_applied = snapshot.index
    self.forget_entry()
    self.end_waiting()
    self.rebuild_configurations()
    self.forget_digest()
    self.schedule_apply()


def _installs_older(patch: Patch) -> None:
    _looks_from_the_beginning(patch)
    patch(Engine, "_is_needless", lambda self, peer, message: False)
    patch(Engine, "_take_over", _install)


def _drops_a_longer_log(patch: Patch) -> None:
    _looks_from_the_beginning(patch)

    def is_needless(self: Engine, peer: Peer, message: Any) -> bool:
        if message.index <= self.commit_index:
            self._answer_snapshot(peer, message, INSTALLED)
        return bool(message.index <= self.commit_index)

    def take_over(self: Engine, snapshot: Any, loaded: Any) -> None:
        if snapshot.index > self.commit_index:
            _install(self, snapshot, loaded)

    patch(Engine, "_is_needless", is_needless)
    patch(Engine, "_take_over", take_over)


def _overlooks_a_bad_checksum(patch: Patch) -> None:
    patch(SnapshotStore, "verify", lambda self, path: self._metadata(path)[0])


def _acknowledges_a_snapshot_at_once(patch: Patch) -> None:
    def install(self: Engine, have: Any, message: Any) -> None:
        self._answer_snapshot(have.peer, message, INSTALLED)
        self.drop_incoming()

    patch(Engine, "_install", install)


def _keeps_one_snapshots_log(patch: Patch) -> None:
    def drop_log(self: Engine) -> None:
        upto = min(self._before_trailing(self.snapshot.index), self.last_applied)
        if upto >= self.log.first_index:
            self.issue(self.log.drop(upto))

    patch(Engine, "drop_log", drop_log)


def _snapshot_of_the_newest_configuration(patch: Patch) -> None:
    def take_snapshot(self: Engine) -> None:
        configurations, latest = self.configurations, self.configurations.latest
        self.configurations = type("Newest", (), {"at": lambda _self, _index: latest})()
        try:
            TAKE_SNAPSHOT(self)
        finally:
            self.configurations = configurations

    patch(Engine, "take_snapshot", take_snapshot)


PLANTS = (
    Plant("an older snapshot is installed", _installs_older, seed=3, faults=("reconnect", "crash")),
    Plant(
        "an install drops a longer log",
        _drops_a_longer_log,
        seed=12,
        work=(),
        faults=("reconnect",),
        settings={"share": 1.0, "delay": 0.05, "snapshot_entries": 3, "pause": 0.15},
    ),
    Plant("a snapshot's bad checksum is overlooked", _overlooks_a_bad_checksum, seed=3, faults=("rot", "crash")),
    Plant("a snapshot is acknowledged before it is there", _acknowledges_a_snapshot_at_once, seed=7),
    Plant(
        "the log goes back to the newest snapshot only",
        _keeps_one_snapshots_log,
        seed=8,
        faults=("rot", "crash"),
        settings={"snapshot_entries": 20},
    ),
    Plant(
        "a snapshot has the newest configuration",
        _snapshot_of_the_newest_configuration,
        seed=3,
        work=("change members",),
    ),
)
