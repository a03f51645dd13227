"""Lives with the scheduler, the leader's duties and nodes: what must hold, and that the harness sees when it does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.simulation.hash_seeds import outputs_by_hash_seed
from yurt.scheduler.duties import broker
from yurt.server.leader import blocked_evals, deployment_watcher, heartbeats, leader
from yurt.server.testing.simulation.duties import DutyLife, run

HUNTED_MAX = 100
FINDS_MOST = 71  # finds what is lost when an evaluation comes back
# A clock that jumps, a deployment that waits for too many, a canary with a name in use, room that came between leaders,
# an early follow-up, a rollout that ends while one of its allocations failed, a node that goes down under a plan,
# a node that is heard just before it is marked as down,
# second holders of a name.
FOUND = (631, 1193, 1607, 1828, 2145, 2322, 2385, 2477, 3110, 3404, 3598, 4494, 5344, 9742, 11633, 13370, 15457, 15608)


@pytest.mark.parametrize("seed", [*range(24), *FOUND])
def test_a_seed(seed: int) -> None:
    assert run(seed).cluster.commits > 20


@pytest.mark.parametrize(("seed", "kind"), [(20, "stalled node"), (38, "stalled server")])
def test_a_machine_stands_still_for_half_a_minute_or_more(seed: int, kind: str) -> None:
    assert run(seed).counts[kind] == 1


# Each takes away what keeps one of the promises.
PLANTS: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "room that comes wakes nobody": (blocked_evals.Waiting, "_freed", lambda _self, _node, _index: None),
    "silent nodes are never missed": (heartbeats.HeartbeatTimers, "_look", lambda _self: None),
    "nobody watches deployments": (deployment_watcher.Rollouts, "_look", lambda _self: None),
    "what was nacked is lost": (broker.Broker, "nack", lambda self, eval_id, _now: self._unacked.pop(eval_id, None)),
    "evaluations of the state are not taken in": (leader.Leader, "_enable", lambda self: setattr(self, "_broker", broker.Broker())),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_bug_is_found(plant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, instead = PLANTS[plant]
    monkeypatch.setattr(owner, name, instead)
    for seed in (FINDS_MOST, *range(HUNTED_MAX)):
        try:
            DutyLife(seed).live()
        except AssertionError:
            return
    pytest.fail(f"{plant}: not found in {HUNTED_MAX} seeds")


def test_the_same_seed_is_the_same_life_whatever_the_hash_seed() -> None:
    program = (
        "from yurt.server.testing.simulation.duties import run; life = run(5); print(*life.cluster.world.trace, sep=chr(10)); "
        "print(life.cluster.commits, [len(one.machine.contents()) for one in life.cluster.running])"
    )
    assert len(outputs_by_hash_seed(program)) == 1


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_many_seeds() -> None:
    for seed in range(1000, 1100):
        run(seed)
