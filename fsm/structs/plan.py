"""The changes that a plan makes to allocations, as differences from the stored state (spec scheduling §6).

Stored data is left out: a job travels as its version number, a changed allocation as its changed fields.
"""

from __future__ import annotations

import msgspec

from yurt.fsm.structs.allocation import Allocation, AllocState

ALLOCATIONS_PER_PLAN_MAX = 200  # a longer plan is several commands, so that none takes long to apply


class Placement(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A new allocation, without its job: that is the row of `job_version` among the job's versions.

    Indexes and times are zero: the entry's are stored. It is left out if the job is gone or stopped by then.
    """

    allocation: Allocation
    job_version: int


class AllocationChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An allocation that stays where it is; None and "" change nothing.

    `job_version` is set by an update in place: the allocation is of that version from now on, made by the plan's
    evaluation, of `deployment_id` ("": none), with DeploymentStatus null if that is another deployment than before.
    `alloc_state` is appended to AllocStates. `last_reschedule` goes into the RescheduleTracker.
    """

    id: str
    job_version: int | None = None
    deployment_id: str = ""
    client_status: str = ""
    client_description: str = ""
    alloc_state: AllocState | None = None
    followup_eval_id: str | None = None
    last_reschedule: str | None = None


class AllocationStop(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An allocation that is to end: DesiredStatus `stop`; `client_status` is "" (kept) or `lost`."""

    id: str
    description: str = ""
    client_status: str = ""
    followup_eval_id: str = ""
    last_reschedule: str | None = None


class AllocationEviction(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An allocation that makes room: DesiredStatus `evict`, `Preempted by alloc ID <preempted_by>`."""

    id: str
    preempted_by: str
