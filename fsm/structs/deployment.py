"""Deployments (spec scheduling §8.1)."""

from __future__ import annotations

from yurt.fsm.structs.base import Record

RUNNING, PAUSED, SUCCESSFUL, CANCELLED, FAILED = "running", "paused", "successful", "cancelled", "failed"
ENDED = frozenset({SUCCESSFUL, CANCELLED, FAILED})


class DeploymentState(Record, frozen=True):
    """How far one group is; `require_progress_by` is RFC 3339."""

    auto_promote: bool = False
    auto_revert: bool = False
    desired_canaries: int = 0
    desired_total: int = 0
    healthy_allocs: int = 0
    placed_allocs: int = 0
    placed_canaries: tuple[str, ...] | None = None
    progress_deadline: int = 0
    promoted: bool = False
    require_progress_by: str | None = None
    unhealthy_allocs: int = 0


class Deployment(Record, frozen=True):
    """A version of a job being rolled out."""

    id: str = ""
    namespace: str = ""
    job_id: str = ""
    job_version: int = 0
    job_modify_index: int = 0
    job_spec_modify_index: int = 0
    job_create_index: int = 0
    is_multiregion: bool = False
    task_groups: dict[str, DeploymentState] | None = None
    status: str = RUNNING
    status_description: str = ""
    eval_priority: int = 0
    create_index: int = 0
    modify_index: int = 0
    create_time: int = 0
    modify_time: int = 0

    @property
    def is_active(self) -> bool:
        """Whether it goes on."""
        return self.status not in ENDED
