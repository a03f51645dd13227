"""Bugs of leases and quorum rounds (spec raft-engine §8, §10: 22 to 24)."""

from __future__ import annotations

from collections.abc import Callable

from tests.simulation.plants.plant import CHAIRS, Patch, Plant
from yurt.server.raft.core.engine import Engine
from yurt.server.raft.core.state import Progress

RECEIVE = Engine.receive
CLOCK: list[Callable[[], float]] = [lambda: 0.0]  # of the server that handles a message


def _lease_from_the_answer(patch: Patch) -> None:
    def heard(self: Progress, created: float) -> None:
        now = CLOCK[0]()
        self.contact, self.basis = max(self.contact, now), max(self.basis, now)

    def receive(self: Engine, server_id: str, data: bytes) -> None:
        CLOCK[0] = self.runtime.now
        RECEIVE(self, server_id, data)

    patch(Progress, "heard", heard)
    patch(Engine, "receive", receive)


def _lease_survives_the_word(patch: Patch) -> None:
    patch(Engine, "lease_revoked", property(lambda self: False, lambda self, value: None))


def _votes_right_after_a_restart(patch: Patch) -> None:
    patch(Engine, "is_paused", lambda self: False)


def _rounds_take_any_answer(patch: Patch) -> None:
    def round_answered(self: Engine, server_id: str, sequence: int) -> None:
        if self._round is not None:
            self._round.answered.add(server_id)
            self._end_round()
            self._begin_round()

    patch(Engine, "round_answered", round_answered)


PLANTS = (
    Plant(
        "leases count from the answer",
        _lease_from_the_answer,
        seed=8,
        faults=CHAIRS,
        settings={"late": 0.5, "late_to": "s0", "keeps_flying": True},
    ),
    Plant(
        "a lease survives the word to take over", _lease_survives_the_word, seed=2, work=(), faults=("cut at the word",)
    ),
    Plant(
        "a restarted server votes at once",
        _votes_right_after_a_restart,
        seed=1,
        size=3,
        faults=("forgetful witness",),
        settings={"between_writes": 0.5, "pause": 2.5},
    ),
    Plant(
        "a round takes answers to older questions",
        _rounds_take_any_answer,
        seed=126,
        size=3,
        work=(),
        faults=CHAIRS,
        settings={
            "late": 0.5,
            "late_to": "s0",
            "keeps_flying": True,
            "clocks_are_wild": True,
            "between_reads": 0.01,
            "pause": 2.0,
        },
    ),
)
