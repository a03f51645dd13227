"""Bugs of membership (spec raft-engine §5, §10: 18 to 21)."""

from __future__ import annotations

from tests.simulation.plants.plant import Patch, Plant
from yurt.server.raft.core.engine import Engine
from yurt.server.testing.simulation import machines
from yurt.server.testing.simulation.cluster import Cluster
from yurt.server.testing.simulation.world import Server
from yurt.server.testing.virtual.disk import SimulatedDisk

CONFIGURATION_CHANGED, COMMIT_TO, REBUILD = (
    Engine.configuration_changed,
    Engine.commit_to,
    Engine.rebuild_configurations,
)


def _configuration_at_commit(patch: Patch) -> None:
    def configuration_changed(self: Engine) -> None:
        CONFIGURATION_CHANGED(self)
        if found := self.configurations.at(self.commit_index).servers:
            self.voters = frozenset(one[0] for one in found if len(one) == 3)

    def commit_to(self: Engine, index: int) -> None:
        COMMIT_TO(self, index)
        configuration_changed(self)

    patch(Engine, "configuration_changed", configuration_changed)
    patch(Engine, "commit_to", commit_to)


def _several_changes(patch: Patch) -> None:
    patch(Engine, "has_pending_change", lambda self: False)


def _configuration_of_the_beginning(patch: Patch) -> None:
    def rebuild_configurations(self: Engine) -> None:
        REBUILD(self)
        first = self.configurations._stack[0]
        if self.log.last_index:
            del self.configurations._stack[1:]
            if first.servers:
                self.configuration_changed()

    patch(Engine, "rebuild_configurations", rebuild_configurations)


def _learners_count(patch: Patch) -> None:
    def advance_commit(self: Engine) -> None:
        if self.is_leader_role:
            matches = [one.match for server, one in self.progress.items() if server in self.peers]
            matches.append(self.own_match)
            index = sorted(matches, reverse=True)[min(len(matches), len(self.configuration) // 2 + 1) - 1]
            if index > self.commit_index and self.log.term_at(index) == self.term:
                self.commit_to(index)
                self.replicate()

    patch(Engine, "advance_commit", advance_commit)


def _replaced_disks_keep_their_name(patch: Patch) -> None:
    def come_back(_cluster: Cluster, server: Server) -> None:
        server.disk = SimulatedDisk()
        server.start()

    patch(machines, "come_back", come_back)


PLANTS = (
    Plant(
        "a replaced disk keeps its server's name and vote",
        _replaced_disks_keep_their_name,
        seed=2,
        size=3,
        faults=("replaced disk", "split"),
        settings={"one_is_gone": False},
    ),
    Plant("a configuration counts from its commit on", _configuration_at_commit, seed=25, work=("change members",)),
    Plant("several changes at a time", _several_changes, seed=0, work=("change members",)),
    Plant(
        "a restart goes by the first configuration", _configuration_of_the_beginning, seed=1, work=("change members",)
    ),
    Plant("learners count", _learners_count, seed=9, work=("change members",)),
)
