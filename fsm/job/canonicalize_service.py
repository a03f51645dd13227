"""The service part of canonicalization (spec job-model §3.2, §5.5)."""

from __future__ import annotations

from typing import Any


def canonicalize_services(
    services: list[dict[str, Any]] | None, job: dict[str, Any], *, group_name: str, task_name: str
) -> None:
    """Fill in the services of a group (`task_name` empty) or of a task."""
    for service in services or ():
        _service(service, job, group_name, task_name)


def _service(service: dict[str, Any], job: dict[str, Any], group_name: str, task_name: str) -> None:
    job_name = job.get("Name", "")
    base = f"{job_name}-{group_name}-{task_name or 'group'}"
    default = f"{job_name}-{group_name}-{task_name}" if task_name else f"{job_name}-{group_name}"
    name = service.get("Name") or default
    words = {"${JOB}": job_name, "${TASKGROUP}": group_name, "${TASK}": task_name or "group", "${BASE}": base}
    for word, text in words.items():
        name = name.replace(word, text)
    service["Name"] = name
    if task_name:
        service["TaskName"] = task_name
    service["Provider"] = provider = service.get("Provider") or "consul"
    service["Namespace"] = job["Namespace"] if provider == "nomad" else "default"
    service["AddressMode"] = service.get("AddressMode") or "auto"
    service["OnUpdate"] = service.get("OnUpdate") or "require_healthy"
    service["Cluster"] = service.get("Cluster") or "default"
    restart = service.pop("CheckRestart", None)
    for check in service.get("Checks", ()):
        check["Name"] = check.get("Name") or f'service: "{name}" check'
        check["OnUpdate"] = check.get("OnUpdate") or service["OnUpdate"]
        check["FailuresBeforeWarning"] = max(0, check.get("FailuresBeforeWarning", 0))
        _check_restart(check, restart)


def _check_restart(check: dict[str, Any], of_service: dict[str, Any] | None) -> None:
    """The service's restart rules hold for each of its checks, where the check says nothing."""
    if of_service is None:
        return
    own = check.get("CheckRestart", {})
    merged = {**of_service, **own}
    if not own.get("Limit"):
        merged["Limit"] = of_service.get("Limit", 0)
    merged["IgnoreWarnings"] = bool(own.get("IgnoreWarnings") or of_service.get("IgnoreWarnings"))
    check["CheckRestart"] = merged
