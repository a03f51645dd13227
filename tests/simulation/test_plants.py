"""Every planted bug is found, and without it the same lives are clean."""

from __future__ import annotations

import pytest

from tests.simulation.hunt import finds
from tests.simulation.plants import PLANTS, Plant


@pytest.mark.slow
@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_a_planted_bug_is_found(plant: Plant) -> None:
    plant.life(plant.seed).live()
    assert finds(plant, plant.seed), f"not in seed {plant.seed}: python -m tests.simulation.hunt 300 '{plant.name}'"
