"""Placement is at least as good as that of an oracle that looks at every node every time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.scheduler.oracle import Oracle
from tests.scheduler.picture import Picture, alloc, group, job, node, task
from yurt.fsm.structs.constraint import Affinity, Spread
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.policies import EphemeralDisk
from yurt.fsm.structs.resources import Resources

CLUSTERS = sorted((Path(__file__).parent / "clusters").glob("*.json"))


def as_job(number: int, wanted: dict[str, Any]) -> Job:
    affinity = Affinity(ltarget="${node.class}", operand="=", rtarget=wanted["affinity"], weight=100)
    attribute = {"rack": "${meta.rack}", "datacenter": "${node.datacenter}", None: ""}[wanted["spread"]]
    one = group(
        count=wanted["count"],
        tasks=(task(resources=Resources(cpu=wanted["cpu"], memory_mb=wanted["memory"])),),
        ephemeral_disk=EphemeralDisk(size_mb=1),
        affinities=(affinity,) if wanted["affinity"] else None,
        spreads=(Spread(attribute=attribute, weight=100),) if attribute else None,
    )
    return job(one, id=f"job{number}", name=f"job{number}", datacenters=(wanted["only"] or "*",))


def cluster_picture(cluster: dict[str, Any]) -> Picture:
    nodes = [
        node(
            number,
            cpu=one["cpu"],
            memory=one["memory"],
            datacenter=one["datacenter"],
            node_class=one["class"],
            meta={"rack": one["rack"]},
        )
        for number, one in enumerate(cluster["nodes"])
    ]
    others = []
    for number, one in enumerate(cluster["nodes"]):
        if one["used"]:
            resources = Resources(cpu=one["used"], memory_mb=one["used"])
            other = job(group(tasks=(task(resources=resources),)), id=f"other{number}")
            others.append(alloc(other, 0, f"node-{number:05d}", id=f"other{number}"))
    return Picture(*nodes, *others)


@pytest.mark.parametrize("path", CLUSTERS, ids=lambda path: path.stem)
def test_as_good_as_the_oracle(path: Path) -> None:
    """As many are placed, and each at its time has the best score there is; so has the mean of a whole cluster."""
    cluster = json.loads(path.read_text())
    picture = cluster_picture(cluster)
    mine: list[float] = []
    best: list[float] = []
    oracle = Oracle(cluster)
    for number, wanted in enumerate(cluster["jobs"]):
        of = as_job(number, wanted)
        picture.put(of)
        out = picture.evaluate(of)
        own = [0] * len(cluster["nodes"])
        for placement in out.placed:  # on this very state, allocation for allocation
            at = int(placement.allocation.node_id[-5:])
            scores = [oracle.score(other, wanted, own) for other in range(len(own))]
            assert scores[at] == pytest.approx(max(scores), abs=1e-8)
            mine.append(scores[at])
            own[at] += 1
            oracle.used[at][0] += wanted["cpu"]
            oracle.used[at][1] += wanted["memory"]
        assert len(out.placed) == wanted["count"] or max(oracle.score(n, wanted, own) for n in range(len(own))) < -1e9
        picture.apply(out)
    alone = Oracle(cluster)
    for wanted in cluster["jobs"]:
        best += [score for _, score in alone.place(wanted)]
    assert len(mine) >= len(best)
    assert sum(mine) / len(mine) >= sum(best) / len(best) - 0.01, "what equals decide differs, the quality does not"
