"""The scheduler's figures, without log or network: `python -m tests.bench.scheduler`.

Nodes have 6,000 MHz and 6,000 MB in racks, half of the racks are wanted (the shape of the reference's own benchmark).
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

from tests.scheduler.picture import Picture, group, job, node, task
from yurt.fsm.structs.constraint import Constraint, Spread
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.resources import Resources
from yurt.scheduler.cluster import Cluster
from yurt.scheduler.evaluate import evaluate

RUNS = 5


def cluster(nodes: int, racks: int, *, size: int = 6000) -> Picture:
    """Nodes in two datacenters and so many racks."""
    rows = [
        node(number, cpu=size, memory=size, datacenter=f"dc{number % 2 + 1}", meta={"rack": f"r{number % racks}"})
        for number in range(nodes)
    ]
    return Picture(*rows)


def wanted(count: int, racks: int, *, spread: bool, small: bool = False) -> Job:
    """A service job on half of the racks."""
    half = ",".join(f"r{number}" for number in range(0, racks, 2))
    constraint = Constraint(ltarget=half, operand="set_contains_any", rtarget="${meta.rack}")
    resources = Resources(cpu=5, memory_mb=5) if small else Resources(cpu=100, memory_mb=100)
    return job(
        group(count=count, tasks=(task(resources=resources),)),
        constraints=() if small else (constraint,),
        spreads=(Spread(attribute="${meta.rack}", weight=50),) if spread else None,
    )


def measured(work: Callable[[], Any]) -> float:
    """Milliseconds of the best of a few runs."""
    best = float("inf")
    for _ in range(RUNS):
        gc.collect()
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best * 1000


def evaluation(nodes: int, racks: int, count: int, *, spread: bool = False, small: bool = False) -> tuple[float, int]:
    """Milliseconds of one evaluation on columns that are there, and how many allocations it places."""
    picture = cluster(nodes, racks, size=100_000 if small else 6000)
    of = wanted(count, racks, spread=spread, small=small)
    picture.put(of)
    view = picture.view
    columns = Cluster.of(view)
    work = picture.evaluation(of)
    placed = len(evaluate(view, work, now_ns=picture.now_ns, cluster=columns).placed)
    return measured(lambda: evaluate(view, work, now_ns=picture.now_ns, cluster=columns)), placed


def mixed(jobs: int, count: int, nodes: int) -> tuple[float, int]:
    """Seconds for many jobs one after another, each on what the ones before it left, and how many are placed."""
    picture = Picture(
        *(
            node(n, cpu=16_000, memory=32_768, datacenter=f"dc{n % 3}", meta={"rack": f"r{n % 40}"})
            for n in range(nodes)
        )
    )
    works = []
    for number in range(jobs):
        resources = Resources(cpu=(50, 100, 250)[number % 3], memory_mb=(64, 128, 512)[number % 3])
        of = job(
            group(count=count, tasks=(task(resources=resources),)),
            id=f"job{number}",
            name=f"job{number}",
            type="service" if number % 4 else "batch",
            spreads=(Spread(attribute="${meta.rack}", weight=50),) if number % 10 == 0 else None,
        )
        picture.put(of)
        works.append(picture.evaluation(of, id=f"eval-{number}"))
    view = picture.view
    columns = Cluster.of(view)
    started, placed = time.perf_counter(), 0
    for work in works:
        outcome = evaluate(view, work, now_ns=picture.now_ns, cluster=columns)
        columns.reserve([one.allocation for one in outcome.placed])
        placed += len(outcome.placed)
    return time.perf_counter() - started, placed


def everywhere(nodes: int) -> tuple[float, int]:
    """Milliseconds of a system job on every node."""
    picture = cluster(nodes, 25)
    of = job(group(reschedule_policy=None), type="system")
    picture.put(of)
    view = picture.view
    columns = Cluster.of(view)
    work = picture.evaluation(of)
    placed = len(evaluate(view, work, now_ns=picture.now_ns, cluster=columns).placed)
    return measured(lambda: evaluate(view, work, now_ns=picture.now_ns, cluster=columns)), placed


def main() -> None:
    """Print the table."""
    gc.disable()
    print("| evaluation | ms | allocations a second | target |\n|---|---|---|---|")
    rows: list[tuple[str, dict[str, Any], str]] = [
        ("300 allocations, 5,000 nodes", {"nodes": 5000, "racks": 25, "count": 300}, "60 ms"),
        ("300, 500 nodes, spread", {"nodes": 500, "racks": 25, "count": 300, "spread": True}, "150 ms"),
        ("300, 5,000 nodes, spread", {"nodes": 5000, "racks": 75, "count": 300, "spread": True}, ""),
        ("1,200, 10,000 nodes", {"nodes": 10000, "racks": 75, "count": 1200}, ""),
        ("1,000, 1,000 nodes", {"nodes": 1000, "racks": 1, "count": 1000, "small": True}, ""),
        ("10,000, 1,000 nodes", {"nodes": 1000, "racks": 1, "count": 10_000, "small": True}, "2 s"),
        ("100,000, 1,000 nodes", {"nodes": 1000, "racks": 1, "count": 100_000, "small": True}, "near-linear"),
    ]
    for name, shape, target in rows:
        took, placed = evaluation(**shape)
        assert placed == shape["count"], (name, placed)
        print(f"| {name} | {took:.1f} | {placed / took * 1000:,.0f} | {target} |", flush=True)
    took, placed = everywhere(5000)
    print(f"| a system job, 5,000 nodes | {took:.1f} | {placed / took * 1000:,.0f} | |", flush=True)
    seconds, placed = mixed(200, 500, 5000)
    print(f"| 100,000 of 200 jobs, 5,000 nodes | {seconds * 1000:,.0f} | {placed / seconds:,.0f} | 30 s |", flush=True)
    assert placed == 100_000, placed
    picture = cluster(5000, 25)
    print(f"| columns of 5,000 nodes from a view | {measured(lambda: Cluster.of(picture.view)):.1f} | | |")


if __name__ == "__main__":
    main()
