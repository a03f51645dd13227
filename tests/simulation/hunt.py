"""`python -m tests.simulation.hunt [SEEDS [NAME...]]`: how many seeds each planted bug takes to be found."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from unittest import mock

from tests.simulation.plants import PLANTS
from tests.simulation.plants.plant import Plant
from yurt.server.raft.core import engine
from yurt.server.raft.core.engine import Engine

SEEDS_MAX = 300


@contextlib.contextmanager
def sown(plant: Plant) -> Iterator[None]:
    """The bug is there; handlers are looked up in a table, so it is put there too."""
    with contextlib.ExitStack() as stack:

        def patch(owner: object, name: str, value: object) -> None:
            stack.enter_context(mock.patch.object(owner, name, value))
            for kind, handler in list(engine._HANDLERS.items()):
                if owner is Engine and handler.__name__ == name:
                    stack.enter_context(mock.patch.dict(engine._HANDLERS, {kind: value}))

        plant.sow(patch)
        yield


def finds(plant: Plant, seed: int) -> str:
    """What the simulation says of the bug in this seed; "" if it does not see it. A plant that is broken raises."""
    with sown(plant):
        try:
            plant.life(seed).live()
        except AssertionError as error:
            return str(error).split("\n")[0]
    return ""


def hunt(number: int, seeds: int) -> str:
    """Return a line with a seed that finds a bug: the recorded one, or the first from 0 on."""
    plant = PLANTS[number]
    for seed in (plant.seed, *range(seeds)):
        if found := finds(plant, seed):
            return f"{plant.name}: seed {seed}: {found}"
    return f"{plant.name}: NOT FOUND in {seeds} seeds"


if __name__ == "__main__":
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else SEEDS_MAX
    logging.disable(logging.WARNING)
    chosen = [number for number, plant in enumerate(PLANTS) if not sys.argv[2:] or plant.name in sys.argv[2:]]
    with ProcessPoolExecutor(2) as pool:
        for line in pool.map(hunt, chosen, [seeds] * len(chosen)):
            print(line, flush=True)
