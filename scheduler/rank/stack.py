"""One group over its feasible nodes: every node scored at once, a placement changes one score (spec scheduling §12).

Places are positions among the feasible rows, in the evaluation's own order, so that equals differ between evaluations.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from yurt.fsm.structs.allocation import AllocatedResources, Allocation
from yurt.fsm.structs.evaluation import AllocMetric
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.node import Node
from yurt.scheduler.allocate import Request, allocate
from yurt.scheduler.cluster import Bools, Floats, Ints
from yurt.scheduler.feasible.classes import Feasibility
from yurt.scheduler.feasible.distinct import hosts_scopes, property_limits
from yurt.scheduler.feasible.nodes import volume_refusal
from yurt.scheduler.feasible.operands import resolve
from yurt.scheduler.metrics import Metrics
from yurt.scheduler.rank.affinity import affinity_scores, device_scores
from yurt.scheduler.rank.fit import BINPACK, fit_score, fit_scores
from yurt.scheduler.rank.shortlist import Shortlist, best_of
from yurt.scheduler.rank.spread import SpreadScore
from yurt.scheduler.sizes import DIMENSIONS, Size, cpu_per_core, size_of, size_wanted
from yurt.scheduler.working import Working

_NEAR = 1e-9  # scores that differ less are equal
_NEVER = -np.inf


@dataclass(frozen=True, slots=True)
class Ranking:
    """How nodes are compared: the algorithm, whether more than the fit counts, whether memory may be oversubscribed."""

    algorithm: str = BINPACK
    fit_only: bool = False
    oversubscription: bool = False
    seed: int = 0


@dataclass(slots=True)
class Choice:
    """Where an allocation goes, what it gets there and who has to go."""

    row: int
    resources: AllocatedResources
    size: Size
    metric: AllocMetric
    evicts: list[Allocation] = field(default_factory=list)


class Stack:
    """The feasible nodes of a group with their scores."""

    def __init__(
        self, working: Working, feasibility: Feasibility, job: Job, group: TaskGroup, ranking: Ranking
    ) -> None:
        self.working, self.job, self.group, self._ranking = working, job, group, ranking
        self.request = Request(group, ranking.oversubscription)
        self.verdicts = feasibility.verdicts(group)
        self.rows = self.verdicts.rows
        self.metrics = Metrics(working.cluster, feasibility, self.verdicts, job, group)
        self._places: Ints = np.full(len(working.cluster), -1, np.int64)
        self._places[self.rows] = np.arange(len(self.rows))
        self._total: Floats = working.cluster.total[self.rows]
        self._plain = allocate(self.request, None, None, 0) if self.request.plain else None
        self._sizes = self._asked()
        self._excluded: dict[int, str] = {}
        self._luck = ranking.seed
        self._volumes: Bools | None = None  # which places have the volumes of the allocation looked at last
        self._per_alloc = any(one.per_alloc and one.type == "host" for one in (group.volumes or {}).values())
        self._score_all()

    # --- scores

    def _asked(self) -> list[Size]:
        """Return the group's sizes by place; one size for all unless cores count."""
        if not self.request.has_cores:
            return [size_wanted(self.group, 0)]
        return [size_wanted(self.group, cpu_per_core(self.node(place))) for place in range(len(self.rows))]

    def node(self, place: int) -> Node:
        """The node of a place."""
        return self.working.node(int(self.rows[place]))

    def size_at(self, place: int) -> Size:
        """Return the group's size at a place."""
        return self._sizes[place if len(self._sizes) > 1 else 0]

    def _score_all(self) -> None:
        working, group, job = self.working, self.group, self.job
        self._seen = len(working.touched)
        asked = np.array(self._sizes, np.float64).reshape(-1, self._total.shape[1])
        after = working.used[self.rows] + asked
        over = after > self._total
        self.exhausted: Ints = np.where(over.any(axis=1), over.argmax(axis=1) + 1, 0)
        self.binpack: Floats = fit_scores(self._total, after, self._ranking.algorithm)
        size = len(self.rows)
        self.parts: dict[str, Floats] = {"binpack": self.binpack}
        self._sums, self._terms = self.binpack.copy(), np.ones(size)
        self.spreads: list[SpreadScore] = []
        self._job_hosts, self._group_hosts = hosts_scopes(job, group)
        self._limits = []
        self._job_counts: Ints = working.job_counts.copy()
        self._group_counts: Ints = working.group_counts(group.name).copy()
        nodes = [self.node(place) for place in range(size)] if self._looks_at_nodes() else []
        if not self._ranking.fit_only:
            self._add_scores(nodes)
        if nodes:
            self._limits = property_limits(job, group, nodes)
            self._count_existing()
        self.hosts_taken: Bools = self._taken()
        self._final: Floats = self._finals()
        self._shortlist = Shortlist()

    def _looks_at_nodes(self) -> bool:
        conditions = (self.job.affinities, self.group.affinities, self.job.spreads, self.group.spreads)
        distinct = [*(self.job.constraints or ()), *(self.group.constraints or ())]
        tasks = self.group.tasks or ()
        return (
            any(conditions)
            or any(one.operand == "distinct_property" for one in distinct)
            or any(task.affinities or (task.resources and task.resources.devices) for task in tasks)
        )

    def _add_scores(self, nodes: list[Node]) -> None:
        collisions = self._group_counts[self.rows]
        self.parts["job-anti-affinity"] = np.where(collisions > 0, -(collisions + 1) / max(1, self.group.count), 0.0)
        self._sums += self.parts["job-anti-affinity"]
        self._terms += collisions > 0
        self.parts["node-reschedule-penalty"] = self.parts["node-affinity"] = np.zeros(len(self.rows))
        for name, scores in (
            ("node-affinity", affinity_scores(self.job, self.group, nodes)),
            ("devices", device_scores(self.group, nodes)),
        ):
            if scores is not None:
                self.parts[name] = scores
                self._sums += scores
                self._terms += 1
        spreads = [*(self.job.spreads or ()), *(self.group.spreads or ())]
        weights = sum(one.weight for one in spreads)
        self.spreads = [SpreadScore(one, self.group.count, weights, nodes) for one in spreads]

    def _count_existing(self) -> None:
        for row in np.flatnonzero(self._job_counts):
            self._count_values(int(row), int(self._job_counts[row]), int(self._group_counts[row]))

    def _count_values(self, row: int, of_job: int, of_group: int) -> None:
        node = self.working.cluster.nodes[row]
        if node is None:
            return
        for limit in self._limits:
            limit.count(resolve(limit.attribute, node), of_job if limit.whole_job else of_group)
        for spread in self.spreads:
            spread.count(resolve(spread.attribute, node), of_group)

    def _taken(self) -> Bools:
        taken: Bools = np.zeros(len(self.rows), np.bool_)
        if self._job_hosts:
            taken |= self._job_counts[self.rows] > 0
        if self._group_hosts:
            taken |= self._group_counts[self.rows] > 0
        return taken

    def _finals(self) -> Floats:
        final: Floats = self._sums / self._terms
        final[(self.exhausted > 0) | self.hosts_taken] = _NEVER
        for place in self._excluded:
            final[place] = _NEVER
        return final

    # --- following the plan

    def _follow(self) -> None:
        """Take in what the plan changed since the last look."""
        touched = self.working.touched
        if self._seen == len(touched):
            return
        fresh = dict.fromkeys(touched[self._seen :])
        self._seen = len(touched)
        counts = self.working.group_counts(self.group.name)
        for row in fresh:
            of_job = int(self.working.job_counts[row] - self._job_counts[row])
            of_group = int(counts[row] - self._group_counts[row])
            self._job_counts[row] += of_job
            self._group_counts[row] += of_group
            if (of_job or of_group) and (self._limits or self.spreads):
                self._count_values(row, of_job, of_group)
            place = int(self._places[row])
            if place >= 0:
                self._excluded.pop(place, None)
                self._rescore(place, row)

    def _rescore(self, place: int, row: int) -> None:
        """The same as for all, for one place: plain numbers are faster than arrays of one."""
        after = [used + more for used, more in zip(self.working.used[row].tolist(), self.size_at(place), strict=True)]
        total = self._total[place].tolist()
        over = next((at + 1 for at, (has, takes) in enumerate(zip(total, after, strict=True)) if takes > has), 0)
        binpack = fit_score(total, after, self._ranking.algorithm)
        sums, terms = float(self._sums[place]) - float(self.binpack[place]) + binpack, float(self._terms[place])
        if not self._ranking.fit_only:
            anti = self.parts["job-anti-affinity"]
            before, number = float(anti[place]), int(self._group_counts[row])
            score = -(number + 1) / max(1, self.group.count) if number else 0.0
            terms += (number > 0) - (before != 0)
            sums += score - before
            anti[place] = score
        self.exhausted[place], self.binpack[place] = over, binpack
        self._sums[place], self._terms[place] = sums, terms
        taken = bool((self._job_hosts and self._job_counts[row]) or (self._group_hosts and self._group_counts[row]))
        self.hosts_taken[place] = taken
        self._final[place] = _NEVER if taken or over else sums / terms
        self._shortlist.changed(place)

    # --- choosing

    def select(self, penalties: Iterable[int] = (), index: int = 0) -> Choice | None:
        """The best place for one more allocation, None if there is none; `penalties` are rows that failed before."""
        self._follow()
        finals = self._current(penalties)
        if self._per_alloc:
            places = range(len(self.rows))
            self._volumes = np.array([not volume_refusal(self.group, self.node(place), index) for place in places])
            finals = np.where(self._volumes, finals, _NEVER)
        while len(finals):
            best = finals.max()
            if best == _NEVER:
                break
            place = int(np.argmax(finals >= best - _NEAR))
            resources = self._offer(place)
            if not isinstance(resources, str):
                metric = self.metrics.placed(self, finals, frozenset(penalties))
                return Choice(int(self.rows[place]), resources, self.size_at(place), metric)
            self._exclude(place, resources)
            finals[place] = _NEVER
        return None

    def at(self, row: int, index: int = 0) -> Choice | str:
        """A place on that row's node, or what is missing or exhausted there."""
        self._follow()
        place = int(self._places[row])
        if place < 0:
            return "infeasible"
        if self.hosts_taken[place] or not self._allowed()[place]:
            return "missing"
        if self._per_alloc and (text := volume_refusal(self.group, self.node(place), index)):
            return text
        if self.exhausted[place]:
            return DIMENSIONS[self.exhausted[place] - 1]
        resources = self._offer(place)
        if isinstance(resources, str):
            return resources
        return Choice(row, resources, self.size_at(place), self.metrics.single(self, place))

    def best(self, finals: Floats, count: int) -> list[int]:
        """The places with the highest of the scores that `select` looked at."""
        return self._shortlist.best(finals, count) if finals is self._final else best_of(finals, count)

    def place_of(self, row: int) -> int:
        """The place of a row, -1 if its node is not feasible."""
        return int(self._places[row])

    def _exclude(self, place: int, reason: str) -> None:
        self._excluded[place] = reason
        self._final[place] = _NEVER

    def _current(self, penalties: Iterable[int]) -> Floats:
        """The final scores now; the caller may change them unless nothing but the plan counts."""
        finals = self._final
        extra = self.boosts()
        places = [int(self._places[row]) for row in penalties if self._places[row] >= 0]
        if extra is not None or places:
            sums = self._sums if extra is None else self._sums + extra
            terms = self._terms if extra is None else self._terms + (extra != 0)
            if places:
                sums, terms = sums.copy(), terms.copy()
                sums[places] -= 1.0
                terms[places] += 1.0
            finals = np.where(finals == _NEVER, _NEVER, sums / terms)
        if self._limits:
            finals = np.where(self._allowed(), finals, _NEVER)
        return finals

    def boosts(self) -> Floats | None:
        """Return the boosts that all spreads together give each place; None without spreads."""
        if not self.spreads:
            return None
        extra: Floats = sum((one.boosts() for one in self.spreads[1:]), self.spreads[0].boosts())
        return extra

    def _allowed(self) -> Bools:
        allowed: Bools = np.ones(len(self.rows), np.bool_)
        for limit in self._limits:
            allowed &= limit.allowed()
        return allowed

    def _offer(self, place: int) -> AllocatedResources | str:
        if self._plain is not None:
            return self._plain
        row = int(self.rows[place])
        self._luck += 7907
        return allocate(self.request, self.node(place), self.working.holdings(row), self._luck)

    # --- preemption

    def is_barred(self, place: int) -> bool:
        """Whether more than room is missing at a place."""
        if self._volumes is not None and not self._volumes[place]:
            return True
        return bool(self.hosts_taken[place]) or not self._allowed()[place]

    def fit_without(self, place: int, victims: Iterable[Allocation]) -> float:
        """The fit of a place once others are gone."""
        after = self.working.used[self.rows[place]] + self.size_at(place)
        for one in victims:
            after = after - size_of(one.allocated_resources)
        return float(fit_scores(self._total[place][None], after[None], self._ranking.algorithm)[0])

    # --- why not

    def failure(self) -> AllocMetric:
        """Why `select` found nothing."""
        self._follow()
        return self.metrics.failed(self, self._reasons())

    def _reasons(self) -> list[tuple[int, str, bool]]:
        """(place, text, whether it is filtered rather than exhausted) of every place that cannot be used."""
        found = []
        limits = [(one, one.allowed()) for one in self._limits]
        for place in range(len(self.rows)):
            if self.hosts_taken[place]:
                found.append((place, "distinct_hosts", True))
            elif text := next((one.text_at(place) for one, allowed in limits if not allowed[place]), ""):
                found.append((place, text, True))
            elif self._volumes is not None and not self._volumes[place]:
                found.append((place, "missing compatible host volumes", True))
            elif self.exhausted[place]:
                found.append((place, DIMENSIONS[self.exhausted[place] - 1], False))
            elif place in self._excluded:
                found.append((place, self._excluded[place], False))
        return found
