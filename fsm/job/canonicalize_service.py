"""The service part of canonicalization (spec job-model §3.2, §5.5)."""

from __future__ import annotations

from typing import Any

_THRESHOLDS = ("SuccessBeforePassing", "FailuresBeforeCritical", "FailuresBeforeWarning")


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
        service["TaskName"] = service.get("TaskName") or task_name
    service["Provider"] = provider = service.get("Provider") or "consul"
    service["Namespace"] = job["Namespace"] if provider == "nomad" else "default"
    service["AddressMode"] = service.get("AddressMode") or "auto"
    service["OnUpdate"] = service.get("OnUpdate") or "require_healthy"
    service["Cluster"] = service.get("Cluster") or "default"
    restart = service.pop("CheckRestart", None)
    for check in service.get("Checks", ()):
        check["Name"] = check.get("Name") or f'service: "{name}" check'
        check["OnUpdate"] = check.get("OnUpdate") or service["OnUpdate"]
        for threshold in _THRESHOLDS:
            if check.get(threshold, 0) < 0:
                check[threshold] = 0
        _check_restart(check, restart)
    if "Weights" in service:
        service["Weights"] = {key: max(1, weight) for key, weight in service["Weights"].items()}
    if "SidecarTask" in service.get("Connect", ()):
        _sidecar_task(service["Connect"]["SidecarTask"])
    if service.get("Connect", {}).get("Gateway"):
        service["Connect"]["Gateway"].setdefault("Proxy", {})


def _sidecar_task(task: dict[str, Any]) -> None:
    """Fill in a task block's defaults in the user's sidecar task; they win over the sidecar's own."""
    for block in ("Resources", "LogConfig"):
        task.setdefault(block, {})
    task.setdefault("KillTimeout", 5_000_000_000)
    task.setdefault("ShutdownDelay", 0)


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
