"""Clusters of 1 to 5 servers under crashes, cuts, loss and slow disks keep every promise."""

from __future__ import annotations

import pytest

from tests.simulation.scenario import run


@pytest.mark.parametrize("seed", range(14))
def test_a_seed(seed: int) -> None:
    assert run(seed).acknowledged


def test_the_same_seed_is_the_same_life() -> None:
    assert run(3).world.trace == run(3).world.trace


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_many_seeds() -> None:
    for seed in range(100, 300):
        run(seed)
