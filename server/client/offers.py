"""The services of one allocation while they are offered: registered, and checked (spec node-agent §13)."""

from __future__ import annotations

import time
from collections.abc import Callable

from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.service import Service
from yurt.server.client.checks import Checks, Watched, watched
from yurt.server.client.environment import Environment
from yurt.server.client.registrar import Registrar
from yurt.server.client.services import of_group, registrations
from yurt.server.platform.supervision import Supervise, unsupervised

GROUP = ""


class Offers:
    """Starts and ends the offers of the group (owner `""`) and of its tasks (by name)."""

    def __init__(
        self,
        group: TaskGroup,
        registrar: Registrar | None,
        environments: Callable[[str], Environment],
        *,
        changed: Callable[[], None],
        restart: Callable[[str, str], None],
        now_ns: Callable[[], int] = time.time_ns,
        supervise: Supervise = unsupervised,
    ) -> None:
        self._group, self._registrar, self._environments = group, registrar, environments
        self._checks = Checks(changed, restart, now_ns, supervise)
        self._offered: dict[str, list[str]] = {}  # owner → IDs of registrations

    def start(self, owner: str, allocation: Allocation, datacenter: str) -> None:
        """Offer what the group or a task has to offer; again after a change of the allocation."""
        services = self._services(owner)
        env = self._environments(owner)
        env = env if owner else of_group(env)
        made = registrations(allocation, services, owner or f"group-{self._group.name}", env, datacenter)
        gone = [one for one in self._offered.get(owner, ()) if one not in made]
        self._offered[owner] = list(made)
        if self._registrar is not None and (gone or made):
            self._registrar.remove(gone)
            self._registrar.put(made)
        self._checks.start(owner, watched(allocation, services, owner, env))

    def _services(self, owner: str) -> tuple[Service, ...]:
        if not owner:
            return self._group.services or ()
        task = next((one for one in self._group.tasks or () if one.name == owner), None)
        return (task.services or ()) if task is not None else ()

    def renew(self, allocation: Allocation, datacenter: str) -> None:
        """The allocation has changed: so may what its group and tasks offer."""
        job = allocation.job
        self._group = (job.group(allocation.task_group) if job is not None else None) or self._group
        for owner in list(self._offered):
            self.start(owner, allocation, datacenter)

    def stop(self, owner: str) -> None:
        """Offer it no more."""
        ids = self._offered.pop(owner, None)
        if ids is None:
            return
        self._checks.stop(owner)
        if self._registrar is not None:
            self._registrar.remove(ids)

    def stop_all(self) -> None:
        """Offer nothing any more."""
        for owner in list(self._offered):
            self.stop(owner)

    def abandon(self) -> None:
        """The agent ends: nothing is checked any more, what is registered stays."""
        self._checks.stop_all()

    def close(self) -> None:
        """Let go of the allocation: it is removed."""
        self._checks.stop_all()
        self._checks, self._environments = Checks(_nothing, _unheard), _no_environment

    def is_offered(self, owner: str) -> bool:
        """Whether it is offered."""
        return owner in self._offered

    def checks(self) -> list[Watched]:
        """The checks that run, with their newest results."""
        return self._checks.all()


def _nothing() -> None:
    """Nobody is told of changes any more."""


def _unheard(_task: str, _reason: str) -> None:
    """No task is restarted any more."""


def _no_environment(_task: str) -> Environment:
    return Environment({}, {})
