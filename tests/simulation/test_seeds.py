"""Clusters of 1 to 7 servers keep every promise under faults drawn from a seed, and go on when the faults end."""

from __future__ import annotations

import pytest

from tests.simulation.hash_seeds import outputs_by_hash_seed
from yurt.server.testing.simulation.faults import KINDS
from yurt.server.testing.simulation.operators import WORK
from yurt.server.testing.simulation.scenario import run


@pytest.mark.parametrize("seed", range(16))
def test_a_seed(seed: int) -> None:
    assert run(seed).cluster.clients.acknowledged


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_fault_alone(kind: str) -> None:
    assert run(7, size=3, faults=(kind,)).counts[kind]


@pytest.mark.parametrize("kind", WORK)
def test_a_kind_of_work_alone(kind: str) -> None:
    assert run(8, size=3, work=(kind,)).counts[kind]


def test_the_same_seed_is_the_same_life_whatever_the_hash_seed() -> None:
    program = (
        "from yurt.server.testing.simulation.scenario import run; print(*run(13).cluster.world.trace, sep=chr(10))"
    )
    assert len(outputs_by_hash_seed(program)) == 1


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_many_seeds() -> None:
    for seed in range(100, 300):
        run(seed)
