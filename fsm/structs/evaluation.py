"""Evaluations and what they say of placements (spec scheduling §2.1, §15)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from yurt.fsm.structs.base import Record, SparseRecord
from yurt.fsm.structs.resources import Resources

if TYPE_CHECKING:
    from yurt.fsm.structs.job import Job

PENDING, COMPLETE, FAILED, BLOCKED, CANCELED = "pending", "complete", "failed", "blocked", "canceled"
TERMINAL = frozenset({COMPLETE, FAILED, CANCELED})


class DesiredUpdates(Record, frozen=True):
    """How many allocations of a group a plan places, stops, changes."""

    canary: int = 0
    destructive_update: int = 0
    disconnect: int = 0
    ignore: int = 0
    in_place_update: int = 0
    migrate: int = 0
    place: int = 0
    preemptions: int = 0
    reconnect: int = 0
    reschedule_later: int = 0
    reschedule_now: int = 0
    stop: int = 0


class PlanAnnotations(Record, frozen=True):
    """A plan's desired updates by group, and the allocations that it would preempt."""

    desired_tg_updates: dict[str, DesiredUpdates] | None = None
    preempted_allocs: tuple[Any, ...] | None = None


class ScoreMeta(Record, frozen=True):
    """How good one node was: the mean of its scores, and each of them."""

    node_id: str = ""
    norm_score: float = 0.0
    scores: dict[str, float] | None = None


class AllocMetric(Record, frozen=True):
    """Why a group found a place or none (spec scheduling §15)."""

    nodes_evaluated: int = 0
    nodes_filtered: int = 0
    nodes_in_pool: int = 0
    node_pool: str = ""
    nodes_available: dict[str, int] | None = None
    class_filtered: dict[str, int] | None = None
    constraint_filtered: dict[str, int] | None = None
    nodes_exhausted: int = 0
    class_exhausted: dict[str, int] | None = None
    dimension_exhausted: dict[str, int] | None = None
    quota_exhausted: tuple[str, ...] | None = None
    resources_exhausted: dict[str, Resources] | None = None
    scores: dict[str, float] | None = None
    score_meta_data: tuple[ScoreMeta, ...] | None = None
    allocation_time: int = 0
    coalesced_failures: int = 0


class EvaluationStub(Record, frozen=True):
    """An evaluation in the list of related ones."""

    id: str = ""
    namespace: str = ""
    priority: int = 0
    type: str = ""
    triggered_by: str = ""
    job_id: str = ""
    node_id: str = ""
    deployment_id: str = ""
    status: str = ""
    status_description: str = ""
    wait_until: str | None = None
    next_eval: str = ""
    previous_eval: str = ""
    blocked_eval: str = ""
    create_index: int = 0
    modify_index: int = 0
    create_time: int = 0
    modify_time: int = 0


class Evaluation(SparseRecord, frozen=True):
    """A request to look at a job again; zero members are left out of its JSON. `wait_until` is RFC 3339."""

    id: str = ""
    namespace: str = ""
    priority: int = 0
    type: str = ""
    triggered_by: str = ""
    job_id: str = ""
    job_modify_index: int = 0
    node_id: str = ""
    node_modify_index: int = 0
    deployment_id: str = ""
    status: str = ""
    status_description: str = ""
    wait: int = 0
    wait_until: str | None = None
    next_eval: str = ""
    previous_eval: str = ""
    blocked_eval: str = ""
    related_evals: tuple[EvaluationStub, ...] | None = None
    failed_tg_allocs: dict[str, AllocMetric] | None = None
    plan_annotations: PlanAnnotations | None = None
    class_eligibility: dict[str, bool] | None = None
    quota_limit_reached: str = ""
    escaped_computed_class: bool = False
    annotate_plan: bool = False
    queued_allocations: dict[str, int] | None = None
    snapshot_index: int = 0
    create_index: int = 0
    modify_index: int = 0
    create_time: int = 0
    modify_time: int = 0

    @property
    def is_terminal(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.status in TERMINAL

    def stub(self) -> EvaluationStub:
        """The short form."""
        return EvaluationStub(**{name: getattr(self, name) for name in EvaluationStub.__struct_fields__})


def pending_evaluation(job: Job, eval_id: str, triggered_by: str, **fields: Any) -> Evaluation:
    """A new evaluation of a job, with its priority unless `fields` has another; indexes and times are the entry's."""
    made = Evaluation(
        id=eval_id,
        namespace=job.namespace,
        priority=job.priority,
        type=job.type,
        triggered_by=triggered_by,
        job_id=job.id,
        job_modify_index=job.modify_index,
        status=PENDING,
    )
    return msgspec.structs.replace(made, **fields) if fields else made
