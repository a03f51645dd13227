"""The log's vocabulary of registered services."""

from __future__ import annotations

from typing import ClassVar

from yurt.fsm.commands_base import Command
from yurt.fsm.structs.registration import ServiceRegistration


class _Command(Command, frozen=True, kw_only=True, tag=True):
    """A command of the third version of the vocabulary."""

    since: ClassVar[int] = 3


class UpsertServices(_Command, frozen=True, kw_only=True):
    """Store registrations that a node sends; those of allocations that have ended are left out."""

    services: tuple[ServiceRegistration, ...]


class DeleteServices(_Command, frozen=True, kw_only=True):
    """Delete registrations. `namespace` and `name`: only of that service, and it is refused if there is none."""

    ids: tuple[str, ...]
    namespace: str = ""
    name: str = ""


SERVICE_COMMANDS: tuple[type[Command], ...] = (UpsertServices, DeleteServices)
AnyServiceCommand = UpsertServices | DeleteServices
