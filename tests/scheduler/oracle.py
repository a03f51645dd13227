"""An oracle of placement, written from spec scheduling §12 alone: plain Python, every node, every score, every time.

`python -m tests.scheduler.oracle SEED` prints the cluster of a seed as the JSON that is kept in `clusters/`.
"""

from __future__ import annotations

import json
import math
import random
import sys
from typing import Any

Spec = dict[str, Any]


def make_cluster(seed: int) -> Spec:
    """Nodes of several sizes in racks and datacenters, partly used, and jobs that want to be placed one after another."""
    chance = random.Random(seed)
    nodes = [
        {
            "cpu": chance.choice((4000, 8000, 16000)),
            "memory": chance.choice((8192, 16384, 32768)),
            "datacenter": chance.choice(("dc1", "dc2", "dc3")),
            "rack": f"r{chance.randrange(8)}",
            "class": chance.choice(("red", "blue", "")),
            "used": chance.choice((0, 0, 500, 2000, 3500)),
        }
        for _ in range(100)
    ]
    jobs = [
        {
            "count": chance.randrange(1, 25),
            "cpu": chance.choice((100, 250, 500, 1200, 2500)),
            "memory": chance.choice((128, 512, 2048, 6000)),
            "spread": chance.choice((None, None, "rack", "datacenter")),
            "affinity": chance.choice((None, None, None, "blue", "red")),
            "only": chance.choice((None, None, "dc1", "dc2")),
        }
        for _ in range(25)
    ]
    return {"nodes": nodes, "jobs": jobs}


class Oracle:
    """Usage a node, allocations of the job in work a node."""

    def __init__(self, cluster: Spec) -> None:
        self.nodes = cluster["nodes"]
        self.used = [[one["used"], one["used"]] for one in self.nodes]

    def place(self, wanted: Spec) -> list[tuple[int, float]]:
        """The node of each allocation of a job with its final score; shorter than wanted if there is no room."""
        own = [0] * len(self.nodes)
        found = []
        for _ in range(wanted["count"]):
            scores = [(self.score(number, wanted, own), -number) for number in range(len(self.nodes))]
            best, number = max(scores, key=lambda pair: (pair[0], pair[1]))
            if best == -math.inf:
                break
            number = -number
            own[number] += 1
            self.used[number][0] += wanted["cpu"]
            self.used[number][1] += wanted["memory"]
            found.append((number, best))
        return found

    def score(self, number: int, wanted: Spec, own: list[int]) -> float:
        """The mean of the scores that count, minus infinity where it cannot run."""
        one = self.nodes[number]
        cpu, memory = self.used[number][0] + wanted["cpu"], self.used[number][1] + wanted["memory"]
        if cpu > one["cpu"] or memory > one["memory"] or wanted["only"] not in (None, one["datacenter"]):
            return -math.inf
        fit = 20 - (10 ** (1 - cpu / one["cpu"]) + 10 ** (1 - memory / one["memory"]))
        scores = [max(0.0, min(18.0, fit)) / 18]
        if own[number]:
            scores.append(-(own[number] + 1) / wanted["count"])
        if wanted["affinity"]:
            scores.append(1.0 if one["class"] == wanted["affinity"] else 0.0)
        if wanted["spread"]:
            boost = self.even(wanted["spread"], one[wanted["spread"]], own)
            if boost:
                scores.append(boost)
        return sum(scores) / len(scores)

    def even(self, attribute: str, value: str, own: list[int]) -> float:
        """The boost of a value when allocations are to be spread evenly."""
        counts: dict[str, int] = {}
        for number, times in enumerate(own):
            if times:
                counts[self.nodes[number][attribute]] = counts.get(self.nodes[number][attribute], 0) + times
        if not counts:
            return 0.0
        low, high, here = min(counts.values()), max(counts.values()), counts.get(value, 0)
        if here != low:
            return (low - here) / low
        return -1.0 if low == high else (high - low) / low


if __name__ == "__main__":
    print(json.dumps(make_cluster(int(sys.argv[1])), separators=(",", ":")))
