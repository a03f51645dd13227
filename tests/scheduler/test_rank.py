"""Scores, spreads, preemption, and what allocations say of them, case by case."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest

from tests.scheduler.picture import HOUR, NOW, Picture, alloc, ended, group, job, names, newer, node, task, updates
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.constraint import Affinity, Constraint, Spread, SpreadTarget
from yurt.fsm.structs.evaluation import ScoreMeta
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.network import Network, Port
from yurt.fsm.structs.node import NodePool
from yurt.fsm.structs.operator import PreemptionConfig, SchedulerConfiguration
from yurt.fsm.structs.policies import EphemeralDisk, MigrateStrategy
from yurt.fsm.structs.resources import Resources
from yurt.scheduler.outcome import Outcome
from yurt.scheduler.preempt import enough, preemption_score
from yurt.scheduler.rank.fit import BINPACK, SPREAD, fit_score, fit_scores
from yurt.scheduler.rank.shortlist import Shortlist
from yurt.scheduler.rank.spread import SpreadScore


def scores(out: Outcome, number: int = 0) -> dict[str, dict[str, float]]:
    """The scores of the nodes that one allocation tells of, by the nodes' names."""
    metrics = out.placed[number].allocation.metrics
    assert metrics is not None
    return {one.node_id: {**(one.scores or {}), "": one.norm_score} for one in metrics.score_meta_data or ()}


def test_score_binpack_seen() -> None:
    """An empty node of 5,192 MHz and 24,105 MB: 0.0275; with its own kind there the mean of two."""
    of = job(group(count=3))
    out = Picture(of, node(0, cpu=5192, memory=24105)).evaluate(of)
    first, second, third = (scores(out, number)["node-00000"] for number in range(3))
    assert first["binpack"] == pytest.approx(0.027485842328672225, rel=1e-12) == first[""]
    assert set(first) == {"binpack", "job-anti-affinity", "node-reschedule-penalty", "node-affinity", ""}
    assert (second["job-anti-affinity"], third["job-anti-affinity"]) == (pytest.approx(-2 / 3), -1.0)
    assert second[""] == pytest.approx((second["binpack"] - 2 / 3) / 2)


def test_score_full() -> None:
    total, after = np.array([[4000.0, 8192.0, 1.0]]), np.array([[4000.0, 8192.0, 0.0]])
    assert fit_scores(total, after, BINPACK)[0] == 1.0


def test_score_spread_algorithm() -> None:
    total, after = np.array([[4000.0, 8192.0, 1.0]]), np.array([[2000.0, 4096.0, 0.0]])
    assert fit_scores(total, after, SPREAD)[0] == pytest.approx((2 * math.sqrt(10) - 2) / 18)
    assert fit_scores(total, after, SPREAD)[0] == pytest.approx(0.2402, abs=1e-4)


@pytest.mark.parametrize("algorithm", [BINPACK, SPREAD])
def test_one_row_scores_like_all(algorithm: str) -> None:
    generator = np.random.default_rng(7)
    total = generator.integers(1, 9000, (50, 3)).astype(float)
    after = total * generator.random((50, 3))
    expected = fit_scores(total, after, algorithm)
    assert [fit_score(a, b, algorithm) for a, b in zip(total.tolist(), after.tolist(), strict=True)] == pytest.approx(
        expected
    )


def test_score_affinity() -> None:
    of = job(
        group(affinities=(
            Affinity(ltarget="${meta.a}", operand="=", rtarget="1", weight=100),
            Affinity(ltarget="${meta.b}", operand="=", rtarget="1", weight=-50),
        )),
        affinities=(Affinity(ltarget="${meta.c}", operand="=", rtarget="1", weight=50),),
    )  # fmt: skip
    out = Picture(of, node(0, meta={"a": "1", "b": "1"})).evaluate(of)
    assert scores(out)["node-00000"]["node-affinity"] == 0.25


def test_score_mean() -> None:
    """Half full of its own kind: (fit − 0.5) / 2, without affinities nothing else counts."""
    of = job(group(count=4))
    out = Picture(of, alloc(of, 0), node(0)).evaluate(of)
    found = scores(out)["node-00000"]
    assert found["job-anti-affinity"] == -0.5 and found[""] == pytest.approx((found["binpack"] - 0.5) / 2)


DCS = (SpreadTarget(value="dc1", percent=80), SpreadTarget(value="dc2", percent=20))


def spread_job(count: int, *targets: SpreadTarget, **fields: Any) -> Job:
    spread = Spread(attribute="${node.datacenter}", weight=100, spread_target=targets or None)
    return job(group(count=count, spreads=(spread,), **fields), datacenters=("*",))


def test_score_spread_targets() -> None:
    of = spread_job(10, *DCS)
    rows = [node(n, datacenter=f"dc{n % 2 + 1}") for n in range(4)]
    out = Picture(of, *rows).evaluate(of)
    assert Counter("dc1" if int(one.allocation.node_id[-1]) % 2 == 0 else "dc2" for one in out.placed) == {
        "dc1": 8,
        "dc2": 2,
    }


def test_score_spread_full() -> None:
    of = spread_job(10, *DCS)
    rows = [node(n, datacenter=f"dc{n % 2 + 1}") for n in range(4)]
    picture = Picture(*rows, *(alloc(of, n, "node-00000") for n in range(8)))
    picture.put(of)
    out = picture.evaluate(of)
    found = scores(out)
    assert all(one["allocation-spread"] < 0 for name, one in found.items() if name in ("node-00000", "node-00002"))
    assert all(one.allocation.node_id in ("node-00001", "node-00003") for one in out.placed)


def test_score_spread_unlisted() -> None:
    of = spread_job(3, SpreadTarget(value="dc1", percent=70), SpreadTarget(value="dc2", percent=30))
    found = scores(Picture(of, node(0, datacenter="dc1"), node(1, datacenter="dc3")).evaluate(of))
    assert found["node-00001"]["allocation-spread"] == -1.0, "70 % and 30 % of three leave nothing"


def even(*values: str | None, used: dict[str, int]) -> list[float]:
    rows = [node(n, meta={"rack": value} if value else {}) for n, value in enumerate(values)]
    score = SpreadScore(Spread(attribute="${meta.rack}", weight=50), 10, 50, rows)
    for value, number in used.items():
        score.count(value, number)
    return score.boosts().tolist()


def test_score_even() -> None:
    assert even("r1", "r2", None, used={"r1": 1}) == [-1.0, 1.0, -1.0]
    assert even("r1", "r2", used={}) == [0.0, 0.0]


def test_score_even_balanced() -> None:
    assert even("r1", "r2", "r3", used={"r1": 1, "r2": 1}) == [-1.0, -1.0, 1.0]
    assert even("r1", "r2", used={"r1": 3, "r2": 1}) == [-2.0, 2.0]


def test_spread_evenly_over_racks() -> None:
    of = job(group(count=30), spreads=(Spread(attribute="${meta.rack}", weight=50),))
    rows = [node(n, meta={"rack": f"r{n % 5}"}) for n in range(20)]
    out = Picture(of, *rows).evaluate(of)
    racks = Counter(int(one.allocation.node_id[-5:]) % 5 for one in out.placed)
    assert set(racks.values()) == {6}


@pytest.mark.parametrize("kind", ["batch", "service"], ids=["limit-batch", "limit-spread"])
def test_every_feasible_node_is_scored(kind: str) -> None:
    """No sample is taken: each node counts as evaluated."""
    of = job(
        group(), type=kind, spreads=(Spread(attribute="${node.datacenter}", weight=50),) if kind == "service" else None
    )
    metrics = Picture(of, nodes=100).evaluate(of).placed[0].allocation.metrics
    assert metrics is not None and metrics.nodes_evaluated == 100 and len(metrics.score_meta_data or ()) == 5
    best = [one.norm_score for one in metrics.score_meta_data or ()]
    assert best == sorted(best, reverse=True)


def test_limit_skip_exhausted() -> None:
    """Bad nodes are offered as well, if there are no others."""
    of = job(group(count=2), affinities=(Affinity(ltarget="${node.class}", operand="=", rtarget="", weight=-100),))
    assert len(Picture(of, nodes=2).evaluate(of).placed) == 2


def test_penalty_of_nodes_where_it_failed() -> None:
    of = job(group())
    out = Picture(of, alloc(of, 0, "node-00000", **ended(NOW - HOUR)), nodes=2).evaluate(of, "alloc-failure")
    found = scores(out)
    assert (
        found["node-00000"]["node-reschedule-penalty"] == -1.0 and found["node-00001"]["node-reschedule-penalty"] == 0.0
    )
    assert out.placed[0].allocation.node_id == "node-00001"


def test_sticky_disk_stays_on_its_node() -> None:
    old = job(group(ephemeral_disk=EphemeralDisk(sticky=True)))
    new = newer(old, replace(old.task_groups[0], tasks=(task(env={"A": "2"}),)))  # type: ignore[index]
    for number in range(6):
        picture = Picture(old, alloc(old, 0, f"node-{number:05d}"), nodes=6)
        picture.put(new)
        assert picture.evaluate(new).placed[0].allocation.node_id == f"node-{number:05d}"


def test_node_pool_says_how_to_rank() -> None:
    of = job(group(count=2))
    plain = Picture(of, nodes=2).evaluate(of)
    pool = NodePool(name="default", scheduler_configuration={"SchedulerAlgorithm": "spread"})
    spread = Picture(of, pool, nodes=2).evaluate(of)
    assert scores(plain)["node-00000"]["binpack"] < 0.1 < 0.9 < scores(spread)["node-00000"]["binpack"]


def test_equals_are_chosen_differently_by_different_evaluations() -> None:
    of = job(group())
    picture = Picture(of, nodes=50)
    chosen = {picture.evaluate(of, id=f"e{n}").placed[0].allocation.node_id for n in range(10)}
    assert len(chosen) > 3
    again = [picture.evaluate(of, id="same") for _ in range(2)]
    assert again[0].placed == again[1].placed, "the same evaluation of the same state decides the same"


def test_shortlist_is_the_best_of_all() -> None:
    generator = np.random.default_rng(3)
    values = generator.random(500)
    shortlist = Shortlist()
    for step in range(400):
        found = shortlist.best(values, 5)
        assert [values[place] for place in found] == sorted(values, reverse=True)[:5], step
        place = found[0] if step % 3 else int(generator.integers(500))
        values[place] = generator.random() * (1.2 if step % 7 == 0 else 0.9)
        shortlist.changed(place)


# --- preemption


def size(cpu: int, memory: int = 64) -> tuple[Any, ...]:
    return (task(resources=Resources(cpu=cpu, memory_mb=memory)),)


PREEMPTING = SchedulerConfiguration(preemption_config=PreemptionConfig(service_scheduler_enabled=True))


def crowded(*victims: tuple[int, int], of: Job, **fields: Any) -> tuple[Picture, list[Any]]:
    """One node with a victim of each (priority, MHz)."""
    rows = []
    for number, (priority, cpu) in enumerate(victims):
        low = job(group(tasks=size(cpu), **fields), id=f"low{number}", name=f"low{number}", priority=priority)
        rows.append(alloc(low, 0, "node-00000", id=f"victim{number}"))
    return Picture(of, PREEMPTING, node(0), *rows), rows


def test_preempt_delta() -> None:
    of = job(group(tasks=size(3000)), priority=50)
    for priority, evicted in ((41, 0), (40, 1)):
        picture, _ = crowded((priority, 3500), of=of)
        out = picture.evaluate(of)
        assert len(out.evicted) == evicted == len(out.placed)


def test_preempt_superset_dropped() -> None:
    of = job(group(tasks=size(2000)), priority=90)
    picture, _ = crowded((20, 900), (20, 2900), of=of)
    out = picture.evaluate(of)
    assert [one.id for one in out.evicted] == ["victim1"]


def test_preempt_lowest_priority_first() -> None:
    of = job(group(tasks=size(1900)), priority=90)
    picture, _ = crowded((60, 1900), (20, 1900), of=of)
    assert [one.id for one in picture.evaluate(of).evicted] == ["victim1"]


def test_preempt_not_enough() -> None:
    of = job(group(tasks=size(5000)), priority=90)
    picture, _ = crowded((20, 1900), of=of)
    out = picture.evaluate(of)
    assert not out.evicted and out.evaluation.failed_tg_allocs


@pytest.mark.parametrize(("priority", "evicted"), [(85, []), (20, ["victim0"])])
def test_preempt_port_held_higher(priority: int, evicted: list[str]) -> None:
    networks = (Network(mode="host", reserved_ports=(Port(label="p", value=8080),)),)
    of = job(group(networks=networks), priority=90)
    holder = job(group(networks=networks), id="holder", name="holder", priority=priority)
    picture = Picture(of, holder, PREEMPTING, node(0))
    first = picture.evaluate(holder)
    held = replace(first.placed[0].allocation, id="victim0", job=holder, client_status="running")
    picture.put(held)
    assert [one.id for one in picture.evaluate(of).evicted] == evicted


def test_preempt_followup() -> None:
    of = job(group(tasks=size(3000)), priority=90)
    picture, rows = crowded((20, 3500), of=of)
    out = picture.evaluate(of)
    (placed,), (eviction,), (evaluation,) = out.placed, out.evicted, out.created
    assert placed.allocation.preempted_allocations == (rows[0].id,) and eviction.preempted_by == placed.allocation.id
    assert (evaluation.triggered_by, evaluation.job_id, evaluation.status, evaluation.previous_eval) == (
        "preemption", "low0", "pending", "",
    )  # fmt: skip
    stub = (out.evaluation.plan_annotations.preempted_allocs or ())[0]  # type: ignore[union-attr]
    assert stub.id == rows[0].id and stub.job_id == "low0"
    assert "preemption" in scores(out)["node-00000"]


def test_preempt_spares_a_group_that_lost_enough() -> None:
    def victim(number: int, of: Job, cpu: int) -> Any:
        return alloc(
            replace(of, task_groups=(group(tasks=size(cpu), migrate=MigrateStrategy(max_parallel=1)),)),
            0,
            id=f"v{number}",
        )

    one, other = job(group(), id="one", priority=20), job(group(), id="other", priority=20)
    candidates = [victim(0, one, 1000), victim(1, other, 900)]
    needed, ask = (1000.0, 0.0, 0.0), (1000, 64, 300)
    assert [found.id for found in enough(candidates, needed, ask, {}) or ()] == ["v0"]
    spent = {("default", "one", "g"): 1}
    chosen = enough([*candidates, victim(2, replace(other, id="third"), 950)], (900.0, 0.0, 0.0), ask, spent)
    assert "v0" not in [found.id for found in chosen or ()]


def test_preemption_score_prefers_few_of_low_priority() -> None:
    low, high = (alloc(job(group(), priority=priority), 0) for priority in (10, 80))
    assert preemption_score([low]) > preemption_score([high]) > 0.5
    assert preemption_score([low]) >= preemption_score([low, low])


def test_no_preemption_unless_it_is_on() -> None:
    of = job(group(tasks=size(3000)), priority=90)
    low = job(group(tasks=size(3500)), id="low", priority=20)
    out = Picture(of, node(0), alloc(low, 0, "node-00000")).evaluate(of)
    assert not out.evicted and updates(out) == {"place": 1} and names(out) == []


def test_scores_are_records() -> None:
    of = job(group(constraints=(Constraint(ltarget="${attr.kernel.name}", operand="=", rtarget="linux"),)))
    metrics = Picture(of, nodes=1).evaluate(of).placed[0].allocation.metrics
    assert metrics is not None and isinstance((metrics.score_meta_data or ())[0], ScoreMeta)
    assert (metrics.nodes_in_pool, metrics.nodes_available, metrics.node_pool) == (1, {"dc1": 1}, "default")
