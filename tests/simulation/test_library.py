"""The control: in the bare library the simulation finds the faults that are known to be there."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.simulation.library import LIVES, finds

RECORDED = {5: 11, 13: 0, 14: 0, 20: 1}
HUNTED = 40


@pytest.fixture(autouse=True)
def _without_its_log() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.slow
@pytest.mark.parametrize("fault", LIVES)
def test_the_bare_library_has_its_faults(fault: int) -> None:
    assert any(finds(fault, seed) for seed in (RECORDED[fault], *range(HUNTED)))
