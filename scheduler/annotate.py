"""A dry run: what registering a job would do (spec scheduling §16). Nothing changes."""

from __future__ import annotations

from dataclasses import dataclass

from yurt.fsm.job.diff.job import diff_jobs
from yurt.fsm.job.equal import same_specification
from yurt.fsm.job.policies import keep_policies
from yurt.fsm.store.reader import Reader
from yurt.fsm.store.schema import JOBS
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.diff import ADDED, DELETED, NONE, DiffType, FieldDiff, JobDiff, TaskDiff, TaskGroupDiff
from yurt.fsm.structs.evaluation import PENDING, AllocMetric, DesiredUpdates, Evaluation, PlanAnnotations
from yurt.fsm.structs.job import Job
from yurt.scheduler.evaluate import evaluate_job

_UPDATES = (  # what is counted, and its name in a diff
    ("ignore", "ignore"),
    ("place", "create"),
    ("migrate", "migrate"),
    ("stop", "destroy"),
    ("canary", "canary"),
    ("in_place_update", "in-place update"),
    ("destructive_update", "create/destroy update"),
)
_WHOLE: dict[DiffType, str] = {ADDED: "forces create", DELETED: "forces destroy"}
_IN_PLACE = frozenset({"Service", "Constraint", "Affinity", "Spread"})


@dataclass(frozen=True, slots=True)
class Planned:
    """The result of a dry run, as the plan endpoint shows it."""

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
        job = keep_policies(job, stored)
        if same_specification(stored, job):
            job = stored
        else:
            changed = {"version": stored.version + 1, "create_index": stored.create_index}
            job = replace(job, job_modify_index=reader.index + 1, **changed)
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


def diff_plan(stored: Job | None, job: Job, annotations: PlanAnnotations) -> JobDiff:
    """Return the diff of registering the job, annotated with its effect on allocations (spec job-model §7)."""
    diff = diff_jobs(stored, job if stored is None else keep_policies(job, stored))
    desired = annotations.desired_tg_updates or {}
    groups = tuple(_annotate_group(group, desired.get(group.name)) for group in diff.task_groups or ())
    annotated: JobDiff = replace(diff, task_groups=groups or None)
    return annotated


def _annotate_group(group: TaskGroupDiff, desired: DesiredUpdates | None) -> TaskGroupDiff:
    updates = None if desired is None else {text: n for attr, text in _UPDATES if (n := getattr(desired, attr))}
    fields = tuple(_annotate_count(one) if one.name == "Count" else one for one in group.fields or ())
    tasks = tuple(_annotate_task(task, group.type) for task in group.tasks or ())
    annotated: TaskGroupDiff = replace(group, updates=updates, fields=fields or None, tasks=tasks or None)
    return annotated


def _annotate_count(count: FieldDiff) -> FieldDiff:
    old, new = int(count.old or 0), int(count.new or 0)
    if old == new:
        return count
    annotated: FieldDiff = replace(count, annotations=("forces create" if new > old else "forces destroy",))
    return annotated


def _annotate_task(task: TaskDiff, group: DiffType) -> TaskDiff:
    if task.type == NONE:
        return task
    if task.type == group and group in _WHOLE:
        text = _WHOLE[group]
    else:
        text = "forces create/destroy update" if _replaces(task) else "forces in-place update"
    annotated: TaskDiff = replace(task, annotations=(text,))
    return annotated


def _replaces(task: TaskDiff) -> bool:
    """Whether a changed task cannot go on as it is. What a diff lists decides, so it may say more than happens."""
    if any(one.name != "KillTimeout" for one in task.fields or ()):
        return True
    return any(
        any(one.name == "Disabled" for one in block.fields or ())
        if block.name == "LogConfig"
        else block.name not in _IN_PLACE
        for block in task.objects or ()
    )
