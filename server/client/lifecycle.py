"""Which tasks of a group may run when: prestart, main, poststart, poststop (spec node-agent §8). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from yurt.fsm.structs.task import Task

PENDING, RUNNING, DEAD = "pending", "running", "dead"
INIT, PRESTART, MAIN, POSTSTART, WAIT, POSTSTOP = "init", "prestart", "main", "poststart", "wait_alloc", "poststop"
_PRESTART, _PRESTART_SIDECAR, _MAIN = "prestart", "prestart-sidecar", "main"
_POSTSTART, _POSTSTART_SIDECAR, _POSTSTOP = "poststart", "poststart-sidecar", "poststop"

_OPEN: dict[str, frozenset[str]] = {
    INIT: frozenset(),
    PRESTART: frozenset({_PRESTART, _PRESTART_SIDECAR}),
    MAIN: frozenset({_PRESTART_SIDECAR, _MAIN}),
    POSTSTART: frozenset({_PRESTART_SIDECAR, _MAIN, _POSTSTART, _POSTSTART_SIDECAR}),
    WAIT: frozenset({_PRESTART_SIDECAR, _MAIN, _POSTSTART_SIDECAR}),
    POSTSTOP: frozenset({_POSTSTOP}),
}


class Seen(Protocol):
    """The part of a task's state that the lifecycle looks at."""

    @property
    def state(self) -> str:
        """Pending, running or dead."""

    @property
    def failed(self) -> bool:
        """Whether it failed."""


def kind_of(task: Task) -> str:
    """The stage of a task."""
    cycle = task.lifecycle
    if cycle is None or not cycle.hook:
        return _MAIN
    return f"{cycle.hook}-sidecar" if cycle.sidecar and cycle.hook != _POSTSTOP else cycle.hook


def is_sidecar(task: Task) -> bool:
    """Whether it runs beside the main tasks as long as they do."""
    return kind_of(task).endswith("-sidecar")


def is_poststop(task: Task) -> bool:
    """Whether it runs after all others."""
    return kind_of(task) == _POSTSTOP


def is_main(task: Task) -> bool:
    """Whether it is no hook."""
    return kind_of(task) == _MAIN


class Lifecycle:
    """The stage of one allocation."""

    def __init__(self, tasks: tuple[Task, ...]) -> None:
        self._kinds = {task.name: kind_of(task) for task in tasks}
        self.stage = INIT

    def advance(self, states: Mapping[str, Seen]) -> frozenset[str]:
        """Move on as far as the tasks' states allow; the names of the tasks that may run."""
        while (following := self._following(states)) is not None:
            self.stage = following
        return frozenset(name for name, kind in self._kinds.items() if kind in _OPEN[self.stage])

    def _following(self, states: Mapping[str, Seen]) -> str | None:
        if self.stage == POSTSTOP:
            return None
        if all(states[name].state == DEAD for name, kind in self._kinds.items() if kind != _POSTSTOP):
            return POSTSTOP
        if self.stage == INIT:
            return PRESTART
        if self.stage == PRESTART:
            once = all(one.state == DEAD and not one.failed for one in self._of(_PRESTART, states))
            return MAIN if once and all(one.state == RUNNING for one in self._of(_PRESTART_SIDECAR, states)) else None
        if self.stage == MAIN:
            return POSTSTART if not any(one.state == PENDING for one in self._of(_MAIN, states)) else None
        if self.stage == POSTSTART:
            return WAIT if all(one.state == DEAD for one in self._of(_POSTSTART, states)) else None
        return None

    def _of(self, kind: str, states: Mapping[str, Seen]) -> list[Seen]:
        return [states[name] for name, own in self._kinds.items() if own == kind]


def client_status(states: Mapping[str, Seen]) -> tuple[str, str]:
    """The allocation's client status and its description, which follow from its tasks (spec node-agent §4)."""
    seen = list(states.values())
    if any(one.state == DEAD and one.failed for one in seen):
        return "failed", "Failed tasks"
    if any(one.state == RUNNING for one in seen):
        return "running", "Tasks are running"
    if any(one.state == PENDING for one in seen):
        return "pending", "No tasks have started"
    return "complete", "All tasks have completed"
