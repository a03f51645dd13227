"""Two jobs compared: what plans and lists of versions show (spec job-model §7)."""

from __future__ import annotations

from operator import attrgetter

from yurt.fsm.job.diff.constraints import CONSTRAINTS
from yurt.fsm.job.diff.fields import by_name, listed
from yurt.fsm.job.diff.group import diff_groups, of_one_name
from yurt.fsm.job.diff.pairs import by, by_place
from yurt.fsm.job.diff.shape import Many, One, Set, Shape
from yurt.fsm.structs.diff import ADDED, DELETED, EDITED, NONE, DiffType, JobDiff
from yurt.fsm.structs.job import (
    UI,
    Job,
    Link,
    Multiregion,
    MultiregionRegion,
    MultiregionStrategy,
    ParameterizedJob,
    Periodic,
)

_REGION = Shape(MultiregionRegion, parts=(Set("datacenters", "Datacenters"),))
JOB = Shape(
    Job,
    parts=(
        Set("datacenters", "Datacenters", quiet=True),
        *CONSTRAINTS,
        One("periodic", "Periodic", Shape(Periodic, parts=(Set("specs", "Specs", quiet=True),))),
        One(
            "parameterized_job",
            "ParameterizedJob",
            Shape(ParameterizedJob, parts=(Set("meta_optional", "MetaOptional"), Set("meta_required", "MetaRequired"))),
        ),
        One(
            "multiregion",
            "Multiregion",
            Shape(
                Multiregion,
                parts=(
                    One("strategy", "Strategy", Shape(MultiregionStrategy)),
                    Many("regions", "Region", _REGION, by(attrgetter("name"))),
                ),
            ),
        ),
        One("ui", "UI", Shape(UI, parts=(Many("links", "Link", Shape(Link), by_place),))),
    ),
    without=frozenset(
        {
            "id", "status", "status_description", "version", "stable", "create_index", "modify_index",
            "job_modify_index", "submit_time", "submitted_by", "nomad_token_id", "spreads", "version_tag", "payload",
            "update", "task_groups",
        }
    ),
    contextual=False,
)  # fmt: skip


def diff_jobs(old: Job | None, new: Job | None) -> JobDiff:
    """Return the diff from `old` to `new`; None is no job, and at most one of them is None."""
    fields, objects = JOB.fields(old, new), JOB.objects(old, new)
    pairs = of_one_name((old and old.task_groups) or (), (new and new.task_groups) or ())
    groups = sorted((diff_groups(a, b) for a, b in pairs), key=by_name)
    changed = fields or objects or any(group.type != NONE for group in groups)
    kind: DiffType = ADDED if old is None else DELETED if new is None else EDITED if changed else NONE
    return JobDiff(
        id=(new or old or Job()).id,
        type=kind,
        fields=listed(fields),
        objects=listed(objects),
        task_groups=listed(groups),
    )
