"""Lives with the product's own state machine, and the model that judges their answers."""

from __future__ import annotations

import pytest

from yurt.fsm.machine import Applied, Refused
from yurt.server.testing.simulation import jobs
from yurt.server.testing.simulation.jobs import Placed
from yurt.server.testing.simulation.scenario import Life


def test_writes_are_accepted_and_refused_as_the_model_says() -> None:
    life = Life(3, size=3, settings={"keeps_jobs": True}).live()
    answers = [one.outcome for one in life.cluster.clients.acknowledged.values() if isinstance(one, Placed)]
    assert {type(one) for one in answers} == {Applied, Refused}


def test_a_wrong_answer_is_seen() -> None:
    life = Life(3, size=3, settings={"keeps_jobs": True}).live()
    history, acknowledged = life.cluster.invariants.history, life.cluster.clients.acknowledged
    doctored = dict(acknowledged)
    payload, place = next((one, at) for one, at in doctored.items() if at.outcome.__class__ is Refused)  # type: ignore[attr-defined]
    doctored[payload] = Placed.of(place, Applied(place + 1, None))
    jobs.check(history, acknowledged)
    with pytest.raises(AssertionError, match="told"):
        jobs.check(history, doctored)
