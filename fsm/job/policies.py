"""Scaling policies keep who they are while their job is changed (spec job-model §5.12)."""

from __future__ import annotations

from typing import Any

from yurt.fsm.structs.base import replace
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.policies import ScalingPolicy


def keep_policy(policy: ScalingPolicy, old: ScalingPolicy) -> ScalingPolicy:
    """The policy with the ID and the indexes of the one it follows."""
    kept: ScalingPolicy = replace(policy, id=old.id, create_index=old.create_index, modify_index=old.modify_index)
    return kept


def keep_policies(job: Job, stored: Job) -> Job:
    """The job with the policies of the stored one where groups of the same name have one on both sides."""
    groups = []
    for group in job.task_groups or ():
        old = stored.group(group.name)
        if group.scaling is not None and old is not None and old.scaling is not None:
            group = replace(group, scaling=keep_policy(group.scaling, old.scaling))
        groups.append(group)
    kept: dict[str, Any] = {"task_groups": tuple(groups) or None}
    followed: Job = replace(job, **kept)
    return followed
