"""Lives of whole clusters, by seeds; and that they would find something."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.simulation.hash_seeds import outputs_by_hash_seed
from yurt.fsm.errors import YurtError
from yurt.server.http.routing import dispatch
from yurt.server.http.routing.dispatch import Dispatcher
from yurt.server.raft.errors import NotSent, OutcomeUnknown
from yurt.server.server import Server
from yurt.server.testing.simulation.product import FAULTS, ProductLife
from yurt.server.testing.virtual.disk import SimulatedFile

HUNTED = 40


@pytest.mark.parametrize("seed", [1, 2, 3, 59, 61])
def test_a_life(seed: int) -> None:
    life = ProductLife(seed).live()
    assert life.counts["answered 200"] > 40 and len(life.history) > 50


@pytest.mark.parametrize(("seed", "kind"), [(30, "stalled node"), (118, "stalled server")])
def test_a_machine_stands_still_for_minutes(seed: int, kind: str) -> None:
    assert ProductLife(seed).live().counts[kind] == 1


def test_every_fault_happens_somewhere() -> None:
    assert {name for seed in range(20) for name in ProductLife(seed).faults} == set(FAULTS)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_many_seeds() -> None:
    for seed in range(1000, 1050):
        ProductLife(seed).live()


def _read_at_once(patch: pytest.MonkeyPatch) -> None:
    """Every server answers from its own state, whatever it has heard."""
    patch.setattr(Dispatcher, "_read", Dispatcher._run)


def _check_nothing(patch: pytest.MonkeyPatch) -> None:
    """Check-and-set is set."""
    proposed = Server._proposed

    async def instead(self: Server, command: Any) -> Any:
        if getattr(command, "enforce_index", False):
            command = msgspec.structs.replace(command, enforce_index=False)
        return await proposed(self, command)

    patch.setattr(Server, "_proposed", instead)


def _ask_again(patch: pytest.MonkeyPatch) -> None:
    """A write whose outcome is unknown is handed over once more."""
    forward = dispatch.forward

    async def instead(context: Any, server_id: str) -> Any:
        try:
            return await forward(context, server_id)
        except OutcomeUnknown as error:
            raise NotSent(str(error)) from error

    patch.setattr(dispatch, "forward", instead)


def _sync_nothing(patch: pytest.MonkeyPatch) -> None:
    """Disks say that it is written."""
    patch.setattr(SimulatedFile, "sync", lambda _self: None)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("plant", [_read_at_once, _check_nothing, _ask_again, _sync_nothing])
def test_a_planted_bug_is_found(plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    for seed in range(HUNTED):
        try:
            ProductLife(seed).live()
        except (AssertionError, YurtError) as found:  # a promise, or a file that cannot be read any more
            print(str(found)[:500])
            return
    pytest.fail(f"not found in {HUNTED} seeds")


def test_the_same_seed_is_the_same_life_whatever_the_hash_seed() -> None:
    program = (
        "from yurt.server.testing.simulation.product import ProductLife; life = ProductLife(61).live(); "
        "print(*life.history, life.cluster.clock.now(), sep=chr(10))"
    )
    assert len(outputs_by_hash_seed(program)) == 1
