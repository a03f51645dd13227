"""Allocations (spec scheduling §17)."""

from __future__ import annotations

from typing import Any

import msgspec

from yurt.fsm.structs.base import Record, SparseRecord
from yurt.fsm.structs.evaluation import AllocMetric
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.network import Network
from yurt.fsm.structs.task import Lifecycle

RUN, STOP, EVICT = "run", "stop", "evict"
PENDING, RUNNING, COMPLETE, FAILED, LOST, UNKNOWN = "pending", "running", "complete", "failed", "lost", "unknown"
CLIENT_TERMINAL = frozenset({COMPLETE, FAILED, LOST})


class DesiredTransition(Record, frozen=True):
    """The next transition desired of an allocation."""

    force_reschedule: bool | None = None
    migrate: bool | None = None
    migrate_disable_placement: bool | None = None
    no_shutdown_delay: bool | None = None
    reschedule: bool | None = None


class AllocDeploymentStatus(Record, frozen=True):
    """The health of an allocation within its deployment; `timestamp` is RFC 3339."""

    healthy: bool | None = None
    timestamp: str | None = None
    canary: bool = False
    modify_index: int = 0


class RescheduleEvent(Record, frozen=True):
    """One replacement of a failed allocation."""

    delay: int = 0
    prev_alloc_id: str = ""
    prev_node_id: str = ""
    reschedule_time: int = 0


class RescheduleTracker(Record, frozen=True):
    """The replacements that led to an allocation."""

    events: tuple[RescheduleEvent, ...] | None = None
    last_reschedule: str = ""


class TaskEvent(Record, frozen=True):
    """Something that happened to a task."""

    type: str = ""
    time: int = 0
    message: str = ""
    display_message: str = ""
    details: dict[str, str] | None = None
    fails_task: bool = False
    restart_reason: str = ""
    setup_error: str = ""
    driver_error: str = ""
    exit_code: int = 0
    signal: int = 0
    kill_reason: str = ""
    kill_timeout: int = 0
    kill_error: str = ""
    start_delay: int = 0
    download_error: str = ""
    validation_error: str = ""
    disk_limit: int = 0
    failed_sibling: str = ""
    vault_error: str = ""
    task_signal_reason: str = ""
    task_signal: str = ""
    driver_message: str = ""
    generic_source: str = ""


class TaskState(Record, frozen=True):
    """The state of a task; times are RFC 3339."""

    state: str = ""
    failed: bool = False
    restarts: int = 0
    last_restart: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    paused: str = ""
    events: tuple[TaskEvent, ...] | None = None


class AllocState(Record, frozen=True):
    """A change of the client status that the server made."""

    field: int = 0
    value: str = ""
    time: str | None = None


class AllocatedCpu(Record, frozen=True):
    """CPU of a task."""

    cpu_shares: int = msgspec.field(default=0, name="CpuShares")
    reserved_cores: tuple[int, ...] | None = None


class AllocatedMemory(Record, frozen=True):
    """Memory of a task."""

    memory_mb: int = 0
    memory_max_mb: int = 0


class AllocatedDevice(Record, frozen=True):
    """Instances of a device that a task has."""

    vendor: str = ""
    type: str = ""
    name: str = ""
    device_ids: tuple[str, ...] | None = None


class AllocatedTask(Record, frozen=True):
    """Resources of a task on its node."""

    cpu: AllocatedCpu = msgspec.field(default=AllocatedCpu(), name="Cpu")
    memory: AllocatedMemory = AllocatedMemory()
    networks: tuple[Network, ...] | None = None
    devices: tuple[AllocatedDevice, ...] | None = None


class AllocatedPort(SparseRecord, frozen=True):
    """A port of the group on its node."""

    label: str = ""
    value: int = 0
    to: int = 0
    host_ip: str = ""
    ignore_collision: bool = False


class AllocatedShared(Record, frozen=True):
    """The resources that an allocation's tasks share."""

    disk_mb: int = 0
    networks: tuple[Network, ...] | None = None
    ports: tuple[AllocatedPort, ...] | None = None


class AllocatedResources(Record, frozen=True):
    """The resources of an allocation on its node."""

    tasks: dict[str, AllocatedTask] | None = None
    task_lifecycles: dict[str, Lifecycle | None] | None = None
    shared: AllocatedShared = AllocatedShared()


class Allocation(SparseRecord, frozen=True):
    """A group of a job placed on a node; zero members are left out of its JSON."""

    id: str = ""
    name: str = ""
    namespace: str = ""
    eval_id: str = ""
    node_id: str = ""
    node_name: str = ""
    job_id: str = ""
    job: Job | None = None
    task_group: str = ""
    allocated_resources: AllocatedResources | None = None
    metrics: AllocMetric | None = None
    desired_status: str = ""
    desired_description: str = ""
    desired_transition: DesiredTransition | None = None
    client_status: str = ""
    client_description: str = ""
    task_states: dict[str, TaskState] | None = None
    alloc_states: tuple[AllocState, ...] | None = None
    previous_allocation: str = ""
    next_allocation: str = ""
    deployment_id: str = ""
    deployment_status: AllocDeploymentStatus | None = None
    reschedule_tracker: RescheduleTracker | None = None
    network_status: dict[str, Any] | None = None
    followup_eval_id: str = ""
    preempted_allocations: tuple[str, ...] | None = None
    preempted_by_allocation: str = ""
    signing_key_id: str = ""
    create_index: int = 0
    modify_index: int = 0
    alloc_modify_index: int = 0
    create_time: int = 0
    modify_time: int = 0

    @property
    def is_server_terminal(self) -> bool:
        """Whether the servers want it to end."""
        return self.desired_status in (STOP, EVICT)

    @property
    def is_client_terminal(self) -> bool:
        """Whether it has ended: only then what it had is free."""
        return self.client_status in CLIENT_TERMINAL

    @property
    def is_terminal(self) -> bool:
        """Whether it has ended or is to end."""
        return self.is_server_terminal or self.client_status in CLIENT_TERMINAL

    def stub(self) -> AllocationStub:
        """The short form."""
        fields: dict[str, Any] = {name: getattr(self, name, None) for name in AllocationStub.__struct_fields__}
        fields["allocated_resources"] = msgspec.UNSET
        fields["job_type"] = self.job.type if self.job else ""
        fields["job_version"] = self.job.version if self.job else 0
        fields["desired_transition"] = self.desired_transition or DesiredTransition()
        return AllocationStub(**fields)


class AllocationStub(Record, frozen=True):
    """An allocation in a list (spec scheduling §17.3); `allocated_resources` only if they are asked for."""

    id: str = ""
    eval_id: str = ""
    name: str = ""
    namespace: str = ""
    node_id: str = ""
    node_name: str = ""
    job_id: str = ""
    job_type: str = ""
    job_version: int = 0
    task_group: str = ""
    desired_status: str = ""
    desired_description: str = ""
    client_status: str = ""
    client_description: str = ""
    desired_transition: DesiredTransition = DesiredTransition()
    task_states: dict[str, TaskState] | None = None
    deployment_status: AllocDeploymentStatus | None = None
    followup_eval_id: str = ""
    next_allocation: str = ""
    reschedule_tracker: RescheduleTracker | None = None
    preempted_allocations: tuple[str, ...] | None = None
    preempted_by_allocation: str = ""
    create_index: int = 0
    modify_index: int = 0
    create_time: int = 0
    modify_time: int = 0
    allocated_resources: AllocatedResources | msgspec.UnsetType | None = msgspec.UNSET
