"""Evaluations that wait for room, and what wakes them (spec scheduling §4). A state machine of the leader.

Of a job one waits at most; of a system job one a node. Time is handed in, in seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from yurt.fsm.structs.evaluation import Evaluation
from yurt.fsm.structs.job import SYSBATCH, SYSTEM

KEPT_SECONDS = 900.0
TOO_MANY_TRIES = "max-plan-attempts"
Key = tuple[str, str, str]


@dataclass
class Blocked:
    """All blocked evaluations, and which classes had room lately, so that no wake-up is lost."""

    duplicates: list[Evaluation] = field(default_factory=list)
    _waiting: dict[Key, Evaluation] = field(default_factory=dict)
    _of_job: dict[tuple[str, str], dict[Key, None]] = field(default_factory=dict)
    _freed: dict[str, tuple[int, float]] = field(default_factory=dict)
    _room_of_classes: dict[str, int] = field(default_factory=dict)  # index of room that nobody was woken for yet
    _room_on_nodes: dict[str, int] = field(default_factory=dict)

    def block(self, evaluation: Evaluation) -> Evaluation | None:
        """Let an evaluation wait; it is answered back if something it waits for came after the state it saw.

        The older one of two of a job goes to `duplicates`.
        """
        key = _key(evaluation)
        other = self._waiting.get(key)
        if other is not None and other.id != evaluation.id:
            if _seen(other) > _seen(evaluation):
                self.duplicates.append(evaluation)
                return None
            self.duplicates.append(other)
            self._remove(key)
        if self._missed(evaluation):
            self._remove(key)
            return evaluation
        self._waiting[key] = evaluation
        self._of_job.setdefault(key[:2], {})[key] = None
        return None

    def _missed(self, evaluation: Evaluation) -> bool:
        if evaluation.triggered_by == TOO_MANY_TRIES and not evaluation.class_eligibility:
            return False
        seen = evaluation.snapshot_index
        return any(index > seen and _wants(evaluation, name) for name, (index, _) in self._freed.items())

    def untrack(self, namespace: str, job_id: str) -> None:
        """The job was placed or is gone: what waits of it waits no more."""
        for key in list(self._of_job.get((namespace, job_id), ())):
            self._remove(key)

    def forget(self, evaluation: Evaluation) -> None:
        """The evaluation has ended."""
        key = _key(evaluation)
        waiting = self._waiting.get(key)
        if waiting is not None and waiting.id == evaluation.id:
            self._remove(key)

    def _remove(self, key: Key) -> None:
        """It waits no more; the work is that of its job alone, however many wait."""
        if self._waiting.pop(key, None) is not None:
            keys = self._of_job[key[:2]]
            del keys[key]
            if not keys:
                del self._of_job[key[:2]]

    def free(self, computed_class: str, node_id: str, index: int, now: float) -> None:
        """Note that a node of that class has room, or is new; `unblock` follows."""
        self._freed[computed_class] = (index, now)
        self._room_of_classes[computed_class] = self._room_on_nodes[node_id] = index

    @property
    def has_room(self) -> bool:
        """Whether room was noted that `unblock` has not looked at."""
        return bool(self._room_of_classes)

    def unblock(self) -> Iterator[Evaluation | None]:
        """The evaluations that may use the room that was noted, and None for each other that waits, one a step."""
        while self._room_of_classes:
            classes, nodes = self._room_of_classes, self._room_on_nodes
            self._room_of_classes, self._room_on_nodes = {}, {}
            is_whole = False
            try:
                for key in list(self._waiting):
                    yield self._woken(key, classes, nodes)
                is_whole = True
            finally:
                if not is_whole:  # whoever goes on looks at all that wait again
                    self._room_of_classes = {**classes, **self._room_of_classes}
                    self._room_on_nodes = {**nodes, **self._room_on_nodes}

    def _woken(self, key: Key, classes: dict[str, int], nodes: dict[str, int]) -> Evaluation | None:
        evaluation = self._waiting.get(key)
        if evaluation is None:
            return None
        seen = evaluation.snapshot_index
        if key[2]:
            may_use = nodes.get(key[2], 0) > seen
        else:
            may_use = any(index > seen and _wants(evaluation, name) for name, index in classes.items())
        if not may_use:
            return None
        self._remove(key)
        return evaluation

    def unblock_tried(self) -> list[Evaluation]:
        """Unblock the evaluations whose plans failed too often; they are retried from time to time."""
        woken = [(key, one) for key, one in self._waiting.items() if one.triggered_by == TOO_MANY_TRIES]
        for key, _ in woken:
            self._remove(key)
        return [one for _, one in woken]

    def prune(self, now: float) -> None:
        """Forget room that was there long ago."""
        self._freed = {name: one for name, one in self._freed.items() if one[1] > now - KEPT_SECONDS}

    def counts(self) -> dict[str, int]:
        """How many wait, and how many of them for no class in particular."""
        escaped = sum(one.escaped_computed_class for one in self._waiting.values())
        return {"blocked": len(self._waiting), "escaped": escaped}


def _key(evaluation: Evaluation) -> Key:
    node = evaluation.node_id if evaluation.type in (SYSTEM, SYSBATCH) else ""
    return (evaluation.namespace, evaluation.job_id, node)


def _seen(evaluation: Evaluation) -> int:
    return max(evaluation.create_index, evaluation.snapshot_index)


def _wants(evaluation: Evaluation, computed_class: str) -> bool:
    """Whether nodes of the class may do: its constraints look past classes, or allow it, or have not seen it."""
    return evaluation.escaped_computed_class or (evaluation.class_eligibility or {}).get(computed_class, True)
