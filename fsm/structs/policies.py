"""Policies of a group: updates, restarts, rescheduling, disk, disconnects, scaling (spec job-model §5.2, §5.3)."""

from __future__ import annotations

from typing import Any

from yurt.fsm.structs.base import Record


class UpdateStrategy(Record, frozen=True):
    """How changes are rolled out."""

    stagger: int = 0
    max_parallel: int = 0
    health_check: str = ""
    min_healthy_time: int = 0
    healthy_deadline: int = 0
    progress_deadline: int = 0
    auto_revert: bool = False
    auto_promote: bool = False
    canary: int = 0


class RestartPolicy(Record, frozen=True):
    """How a failed task is started again on its node."""

    attempts: int = 0
    interval: int = 0
    delay: int = 0
    mode: str = ""
    render_templates: bool = False


class ReschedulePolicy(Record, frozen=True):
    """How a failed allocation is replaced on another node."""

    attempts: int = 0
    interval: int = 0
    delay: int = 0
    delay_function: str = ""
    max_delay: int = 0
    unlimited: bool = False


class MigrateStrategy(Record, frozen=True):
    """How allocations leave a draining node."""

    max_parallel: int = 0
    health_check: str = ""
    min_healthy_time: int = 0
    healthy_deadline: int = 0


class EphemeralDisk(Record, frozen=True):
    """The disk that an allocation's tasks share."""

    size_mb: int = 300
    sticky: bool = False
    migrate: bool = False


class Disconnect(Record, frozen=True):
    """The policy for allocations whose node cannot be reached."""

    lost_after: int = 0
    replace: bool = True
    reconcile: str = "best_score"
    stop_on_client_after: int | None = None


class ScalingTarget(Record, frozen=True):
    """The target of a scaling policy (on the wire a plain map of three texts)."""

    namespace: str = ""
    job: str = ""
    group: str = ""


class ScalingPolicy(Record, frozen=True):
    """Bounds of a group's count, and a policy for an autoscaler."""

    id: str = ""
    type: str = "horizontal"
    target: ScalingTarget | None = None
    policy: dict[str, Any] | None = None
    min: int = 0
    max: int = -1
    enabled: bool = True
    create_index: int = 0
    modify_index: int = 0


class ConsulBlock(Record, frozen=True):
    """Consul namespace, cluster and partition."""

    namespace: str = ""
    cluster: str = "default"
    partition: str = ""
