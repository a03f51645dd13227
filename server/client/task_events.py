"""The events of a task, in the words that users read (spec node-agent §5)."""

from __future__ import annotations

from yurt.fsm.lang.duration import format_duration
from yurt.fsm.structs.allocation import TaskEvent
from yurt.server.client.drivers.base import ExitResult

EVENTS_KEPT = 10


def received() -> TaskEvent:
    """The allocation came."""
    return TaskEvent(type="Received", display_message="Task received by client", details={})


def setup() -> TaskEvent:
    """The task's turn has come."""
    return _with_message("Task Setup", "Building Task Directory")


def started() -> TaskEvent:
    """It runs."""
    return TaskEvent(type="Started", display_message="Task started by client", details={})


def terminated(result: ExitResult) -> TaskEvent:
    """It ended."""
    shown = f"Exit Code: {result.exit_code}"
    details = {"exit_code": str(result.exit_code), "signal": str(result.signal)}
    details["oom_killed"] = str(result.oom_killed).lower()
    if result.signal:
        shown += f", Signal: {result.signal}"
    if result.error:
        shown += f', Exit Message: "{result.error}"'
        details["exit_message"] = result.error
    return TaskEvent(
        type="Terminated",
        message=result.error,
        display_message=shown,
        details=details,
        exit_code=result.exit_code,
        signal=result.signal,
    )


def restarting(reason: str, delay_ns: int) -> TaskEvent:
    """It will be started again after a while."""
    shown = f"Task restarting in {format_duration(delay_ns)}"
    if reason and reason != WITHIN_POLICY:
        shown = f"{reason} - {shown}"
    return TaskEvent(
        type="Restarting",
        display_message=shown,
        details={"restart_reason": reason, "start_delay": str(delay_ns)},
        restart_reason=reason,
        start_delay=delay_ns,
    )


WITHIN_POLICY = "Restart within policy"


def not_restarting(reason: str) -> TaskEvent:
    """It will not be started again, and that makes it failed."""
    return TaskEvent(
        type="Not Restarting",
        display_message=reason,
        details={"restart_reason": reason, "fails_task": "true"},
        restart_reason=reason,
        fails_task=True,
    )


def killing(timeout_ns: int, reason: str = "") -> TaskEvent:
    """It is asked to end."""
    if reason:
        return TaskEvent(type="Killing", display_message=reason, details={"kill_reason": reason}, kill_reason=reason)
    shown = format_duration(timeout_ns)
    return TaskEvent(
        type="Killing",
        display_message=f"Sent interrupt. Waiting {shown} before force killing",
        details={"kill_timeout": shown},
        kill_timeout=timeout_ns,
    )


def killed() -> TaskEvent:
    """It ended because it was asked to."""
    return TaskEvent(type="Killed", display_message="Task successfully killed", details={})


def shutdown_delay(delay_ns: int, *, skipped: bool) -> TaskEvent:
    """Its services are gone, its clients may go."""
    shown = format_duration(delay_ns)
    verb, kind = ("Skipping", "Skipping shutdown delay") if skipped else ("Waiting for", "Waiting for shutdown delay")
    return TaskEvent(
        type=kind, display_message=f"{verb} shutdown_delay of {shown} before killing the task.", details={}
    )


def driver_failure(error: str) -> TaskEvent:
    """It could not be started."""
    return TaskEvent(type="Driver Failure", display_message=error, details={"driver_error": error}, driver_error=error)


def failed_validation(error: str) -> TaskEvent:
    """Its configuration is wrong."""
    return TaskEvent(
        type="Failed Validation", display_message=error, details={"validation_error": error}, validation_error=error
    )


def setup_failure(error: str) -> TaskEvent:
    """The allocation could not be prepared; that makes the task failed."""
    return TaskEvent(
        type="Setup Failure", display_message=error, details={"setup_error": error, "fails_task": "true"},
        setup_error=error, fails_task=True,
    )  # fmt: skip


def sibling_failed(name: str) -> TaskEvent:
    """Another task of the group failed."""
    return TaskEvent(
        type="Sibling Task Failed",
        display_message=f'Task\'s sibling "{name}" failed',
        details={"failed_sibling": name},
        failed_sibling=name,
    )


def leader_dead() -> TaskEvent:
    """The task that the others follow has ended."""
    return TaskEvent(type="Leader Task Dead", display_message="Leader Task in Group dead", details={})


def main_tasks_dead() -> TaskEvent:
    """Only sidecars were left."""
    return TaskEvent(type="Main Tasks Dead", display_message="Main tasks in the group died", details={})


def downloading_artifacts() -> TaskEvent:
    """Its files are fetched."""
    return TaskEvent(type="Downloading Artifacts", display_message="Client is downloading artifacts", details={})


def failed_artifact(error: str) -> TaskEvent:
    """One of its files could not be fetched."""
    return TaskEvent(
        type="Failed Artifact Download", display_message=error, details={"download_error": error}, download_error=error
    )


def template_failed(error: str) -> TaskEvent:
    """One of its templates says something that cannot be rendered; that makes the task failed."""
    reason = f"Template failed: {error}"
    return TaskEvent(
        type="Killing", display_message=reason, details={"kill_reason": reason, "fails_task": "true"},
        kill_reason=reason, fails_task=True,
    )  # fmt: skip


def hook_failed(hook: str, error: str) -> TaskEvent:
    """A step before the start failed."""
    return _with_message("Task hook failed", f"{hook}: {error}")


def restart_signaled(reason: str) -> TaskEvent:
    """Somebody wants it to start anew."""
    return TaskEvent(
        type="Restart Signaled", display_message=reason, details={"restart_reason": reason}, restart_reason=reason
    )


def signaling(name: str, reason: str = "") -> TaskEvent:
    """It is sent a signal."""
    shown = f"Task being sent signal {name}" if name else "Task being sent a signal"
    return TaskEvent(
        type="Signaling",
        display_message=reason or shown,
        details={"signal": name, "task_signal_reason": reason},
        task_signal=name,
        task_signal_reason=reason,
    )


def failed_restoring() -> TaskEvent:
    """After a restart of the agent its process was not found any more."""
    return TaskEvent(
        type="Failed Restoring Task",
        display_message="failed to restore task; will not run until server is contacted",
        details={},
    )


def unhealthy(reason: str) -> TaskEvent:
    """Why the deployment takes the allocation for unhealthy."""
    return _with_message("Alloc Unhealthy", reason)


def _with_message(kind: str, text: str) -> TaskEvent:
    return TaskEvent(type=kind, message=text, display_message=text, details={"message": text})
