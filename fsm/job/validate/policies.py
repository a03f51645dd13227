"""The validation of a group's policies: updates, restarts, migration, disk, disconnects (spec job-model §5.2, §5.3)."""

from __future__ import annotations

from collections.abc import Iterator

from yurt.fsm.lang.duration import format_duration
from yurt.fsm.structs.policies import Disconnect, EphemeralDisk, MigrateStrategy, RestartPolicy, UpdateStrategy

INTERVAL_MIN_NS = 5_000_000_000
DISK_MB_MIN = 10
RECONCILES = ("best_score", "longest_running", "keep_original", "keep_replacement")


def update_errors(update: UpdateStrategy) -> Iterator[str]:
    """Yield the errors of an update block, in order."""
    if update.health_check not in ("checks", "task_states", "manual"):
        yield f'Invalid health check given: "{update.health_check}"'
    if update.max_parallel < 0:
        yield f"Max parallel can not be less than zero: {update.max_parallel} < 0"
    if update.canary < 0:
        yield f"Canary count can not be less than zero: {update.canary} < 0"
    if update.canary == 0 and update.auto_promote:
        yield "Auto Promote requires a Canary count greater than zero"
    healthy, deadline, progress = update.min_healthy_time, update.healthy_deadline, update.progress_deadline
    if healthy < 0:
        yield f"Minimum healthy time may not be less than zero: {format_duration(healthy)}"
    if deadline <= 0:
        yield f"Healthy deadline must be greater than zero: {format_duration(deadline)}"
    if progress < 0:
        yield f"Progress deadline must be zero or greater: {format_duration(progress)}"
    if healthy >= deadline:
        pair = f"{format_duration(healthy)} > {format_duration(deadline)}"
        yield f"Minimum healthy time must be less than healthy deadline: {pair}"
    if progress != 0 and deadline >= progress:
        pair = f"{format_duration(deadline)} > {format_duration(progress)}"
        yield f"Healthy deadline must be less than progress deadline: {pair}"
    if update.stagger <= 0:
        yield f"Stagger must be greater than zero: {format_duration(update.stagger)}"


def restart_errors(policy: RestartPolicy) -> Iterator[str]:
    """Yield the errors of a restart policy, in order."""
    if policy.mode not in ("fail", "delay"):
        yield f'Unsupported restart mode: "{policy.mode}"'
    if policy.attempts == 0 and policy.mode != "fail":
        yield f'Restart policy "{policy.mode}" with 0 attempts is ambiguous'
    if policy.interval < INTERVAL_MIN_NS:
        yield f"Interval can not be less than 5s (got {format_duration(policy.interval)})"
    if policy.attempts * policy.delay > policy.interval:
        yield (
            f"Nomad can't restart the TaskGroup {policy.attempts} times in an interval of "
            f"{format_duration(policy.interval)} with a delay of {format_duration(policy.delay)}"
        )


def migrate_errors(migrate: MigrateStrategy) -> Iterator[str]:
    """Yield the errors of a migrate block, in order."""
    if migrate.max_parallel < 0:
        yield f"MaxParallel must be >= 0 but found {migrate.max_parallel}"
    if not migrate.health_check:
        if migrate.max_parallel > 0:
            yield "Missing HealthCheck"
    elif migrate.health_check not in ("checks", "task_states"):
        yield f'Invalid HealthCheck: "{migrate.health_check}"'
    if migrate.min_healthy_time < 0:
        yield f"MinHealthyTime is {format_duration(migrate.min_healthy_time)} and must be >= 0"
    if migrate.healthy_deadline < 0:
        yield f"HealthyDeadline is {format_duration(migrate.healthy_deadline)} and must be >= 0"
    if migrate.min_healthy_time > migrate.healthy_deadline:
        yield "MinHealthyTime must be less than HealthyDeadline"


def disk_errors(disk: EphemeralDisk) -> Iterator[str]:
    """Yield the errors of the disk that the tasks share."""
    if disk.size_mb < DISK_MB_MIN:
        yield f"minimum DiskMB value is {DISK_MB_MIN}; got {disk.size_mb}"


def disconnect_errors(disconnect: Disconnect, job_type: str) -> Iterator[str]:
    """Yield the errors of a disconnect block, in order."""
    stop_after = disconnect.stop_on_client_after
    if stop_after is not None:
        if stop_after < 0:
            yield "stop_after cannot be a negative duration"
        if job_type not in ("service", "batch"):
            yield "stop_after can only be used with service or batch job types"
    if disconnect.lost_after < 0:
        yield "lost_after cannot be a negative duration"
    if stop_after is not None and disconnect.lost_after != 0:
        yield "Disconnect cannot be configured with both lost_after and stop_after"
    if disconnect.reconcile not in RECONCILES:
        yield f"reconcile option is invalid: {disconnect.reconcile}"
