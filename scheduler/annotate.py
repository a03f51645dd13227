"""A dry run: what registering a job would do (spec scheduling §16). Nothing changes."""

from __future__ import annotations

from dataclasses import dataclass

from yurt.fsm.job.equal import same_specification
from yurt.fsm.store.reader import Reader
from yurt.fsm.store.schema import JOBS
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.evaluation import PENDING, AllocMetric, Evaluation, PlanAnnotations
from yurt.fsm.structs.job import Job
from yurt.scheduler.evaluate import evaluate_job


@dataclass(frozen=True, slots=True)
class Planned:
    """What the plan endpoint shows."""

    annotations: PlanAnnotations
    failed: dict[str, AllocMetric] | None
    created: list[Evaluation]

    def timed(self, elapsed_ns: int) -> Planned:
        """The same with how long the search took, where something found no place."""
        created = [replace(one, failed_tg_allocs=_timed(one.failed_tg_allocs, elapsed_ns)) for one in self.created]
        return Planned(self.annotations, _timed(self.failed, elapsed_ns), created)


def _timed(failed: dict[str, AllocMetric] | None, elapsed_ns: int) -> dict[str, AllocMetric] | None:
    if failed is None:
        return None
    return {name: replace(metric, allocation_time=elapsed_ns) for name, metric in failed.items()}


def plan_job(reader: Reader, job: Job, *, eval_id: str, now_ns: int) -> Planned:
    """Evaluate the job as if it were registered."""
    stored = reader.get(JOBS, (job.namespace, job.id))
    if stored is not None:
        if same_specification(stored, job):
            job = stored
        else:
            job = replace(job, version=stored.version + 1, create_index=stored.create_index)
    evaluation = Evaluation(
        id=eval_id,
        namespace=job.namespace,
        priority=job.priority,
        type=job.type,
        triggered_by="job-register",
        job_id=job.id,
        status=PENDING,
        annotate_plan=True,
        create_time=now_ns,
        modify_time=now_ns,
    )
    outcome = evaluate_job(reader, job, evaluation, now_ns=now_ns)
    annotations = outcome.evaluation.plan_annotations or PlanAnnotations(desired_tg_updates={})
    times = {"snapshot_index": 0, "create_time": now_ns, "modify_time": now_ns}
    created = [replace(one, **times) for one in outcome.created]
    return Planned(annotations, outcome.evaluation.failed_tg_allocs, created)
