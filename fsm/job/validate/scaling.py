"""The validation of a group's scaling policy (spec job-model §5.12)."""

from __future__ import annotations

from collections.abc import Iterator

from yurt.fsm.structs.policies import ScalingPolicy

HORIZONTAL = "horizontal"


def scaling_errors(policy: ScalingPolicy, count: int) -> Iterator[str]:
    """A bullet for each thing that is wrong with the policy of a group of `count`, in order."""
    for error in _errors(policy, count):
        yield f"Scaling policy invalid: {error}"


def _errors(policy: ScalingPolicy, count: int) -> Iterator[str]:
    if policy.type != HORIZONTAL:
        yield f'scaling policy type "{policy.type}" is not valid'
    if policy.max < 0:
        yield "maximum count must be specified and non-negative"
    elif policy.max < policy.min:
        yield "maximum count must not be less than minimum count"
    if policy.min < 0:
        yield "minimum count must be specified and non-negative"
    if count > policy.max:
        yield "task group count must not be greater than maximum count in scaling policy"
    if count < policy.min:
        yield "task group count must not be less than minimum count in scaling policy"
