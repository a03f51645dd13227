"""A task group (spec job-model §5.1)."""

from __future__ import annotations

from yurt.fsm.structs.base import Record
from yurt.fsm.structs.constraint import Affinity, Constraint, Spread
from yurt.fsm.structs.network import Network
from yurt.fsm.structs.policies import (
    ConsulBlock,
    Disconnect,
    EphemeralDisk,
    MigrateStrategy,
    ReschedulePolicy,
    RestartPolicy,
    ScalingPolicy,
    UpdateStrategy,
)
from yurt.fsm.structs.service import Service
from yurt.fsm.structs.task import Task
from yurt.fsm.structs.volume import VolumeRequest


class TaskGroup(Record, frozen=True):
    """Tasks that run together on one node, `count` times."""

    name: str = ""
    count: int = 1
    constraints: tuple[Constraint, ...] | None = None
    affinities: tuple[Affinity, ...] | None = None
    spreads: tuple[Spread, ...] | None = None
    networks: tuple[Network, ...] | None = None
    services: tuple[Service, ...] | None = None
    tasks: tuple[Task, ...] | None = None
    update: UpdateStrategy | None = None
    migrate: MigrateStrategy | None = None
    reschedule_policy: ReschedulePolicy | None = None
    restart_policy: RestartPolicy | None = None
    ephemeral_disk: EphemeralDisk | None = None
    disconnect: Disconnect | None = None
    scaling: ScalingPolicy | None = None
    consul: ConsulBlock | None = None
    volumes: dict[str, VolumeRequest] | None = None
    meta: dict[str, str] | None = None
    shutdown_delay: int | None = None
    max_run_duration: int | None = None
    max_client_disconnect: int | None = None
    stop_after_client_disconnect: int | None = None
    prevent_reschedule_on_lost: bool = False
