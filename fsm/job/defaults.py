"""The defaults of a submitted job's fields (spec job-model §5), under wire names."""

from __future__ import annotations

from typing import Any

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE

UPDATE: dict[str, Any] = {
    "Stagger": 30 * SECOND,
    "MaxParallel": 1,
    "HealthCheck": "checks",
    "MinHealthyTime": 10 * SECOND,
    "HealthyDeadline": 5 * MINUTE,
    "ProgressDeadline": 10 * MINUTE,
    "AutoRevert": False,
    "AutoPromote": False,
    "Canary": 0,
}
MIGRATE: dict[str, Any] = {
    "MaxParallel": 1,
    "HealthCheck": "checks",
    "MinHealthyTime": 10 * SECOND,
    "HealthyDeadline": 5 * MINUTE,
}
_RESTART_SERVICE: dict[str, Any] = {"Attempts": 2, "Interval": 30 * MINUTE, "Delay": 15 * SECOND, "Mode": "fail"}
_RESTART_BATCH: dict[str, Any] = {"Attempts": 3, "Interval": 24 * HOUR, "Delay": 15 * SECOND, "Mode": "fail"}
_RESCHEDULE_SERVICE: dict[str, Any] = {
    "Attempts": 0,
    "Interval": 0,
    "Delay": 30 * SECOND,
    "DelayFunction": "exponential",
    "MaxDelay": HOUR,
    "Unlimited": True,
}
_RESCHEDULE_BATCH: dict[str, Any] = {
    "Attempts": 1,
    "Interval": 24 * HOUR,
    "Delay": 5 * SECOND,
    "DelayFunction": "constant",
    "MaxDelay": 0,
    "Unlimited": False,
}


def restart(job_type: str) -> dict[str, Any]:
    """The restart policy of a type."""
    return _RESTART_SERVICE if job_type in ("service", "system") else _RESTART_BATCH


def reschedule(job_type: str) -> dict[str, Any] | None:
    """The reschedule policy of a type; None for system and sysbatch."""
    if job_type in ("system", "sysbatch"):
        return None
    return _RESCHEDULE_BATCH if job_type == "batch" else _RESCHEDULE_SERVICE
