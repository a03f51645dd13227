"""A job, its submission and its summary (spec job-model §2, §6)."""

from __future__ import annotations

from yurt.fsm.structs.author import NOBODY, Authored
from yurt.fsm.structs.base import Record
from yurt.fsm.structs.constraint import Affinity, Constraint, Spread, UInt64
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.policies import UpdateStrategy

SERVICE, BATCH, SYSTEM, SYSBATCH = "service", "batch", "system", "sysbatch"
PENDING, RUNNING, DEAD = "pending", "running", "dead"


class MultiregionStrategy(Record, frozen=True):
    """How regions are deployed one after another."""

    max_parallel: int = 0
    on_failure: str = ""


class MultiregionRegion(Record, frozen=True):
    """One region of a job of several."""

    name: str = ""
    count: int = 0
    datacenters: tuple[str, ...] | None = None
    node_pool: str = ""
    meta: dict[str, str] | None = None


class Multiregion(Record, frozen=True):
    """A job of several regions: accepted empty only."""

    strategy: MultiregionStrategy | None = MultiregionStrategy()
    regions: tuple[MultiregionRegion, ...] | None = None


class Periodic(Record, frozen=True):
    """When children of the job are launched (spec job-model §5.14)."""

    enabled: bool = True
    spec: str = ""
    specs: tuple[str, ...] | None = ()
    spec_type: str = "cron"
    prohibit_overlap: bool = False
    time_zone: str = "UTC"


class ParameterizedJob(Record, frozen=True):
    """The payload and metadata that a dispatch may and must bring (spec job-model §5.15)."""

    payload: str = "optional"
    meta_required: tuple[str, ...] | None = None
    meta_optional: tuple[str, ...] | None = None


class Link(Record, frozen=True):
    """A link shown beside the job."""

    label: str = ""
    url: str = ""


class UI(Record, frozen=True):
    """The description and links that user interfaces show of the job."""

    description: str = ""
    links: tuple[Link, ...] | None = None


class VersionTag(Record, frozen=True):
    """A name for a version, which keeps it from being dropped."""

    name: str = ""
    description: str = ""
    tagged_time: int = 0


class Job(Record, frozen=True):
    """The stored job."""

    id: str = ""
    name: str = ""
    namespace: str = "default"
    region: str = "global"
    type: str = SERVICE
    priority: int = 50
    all_at_once: bool = False
    datacenters: tuple[str, ...] | None = ("*",)
    node_pool: str = "default"
    constraints: tuple[Constraint, ...] | None = None
    affinities: tuple[Affinity, ...] | None = None
    spreads: tuple[Spread, ...] | None = None
    task_groups: tuple[TaskGroup, ...] | None = None
    update: UpdateStrategy = UpdateStrategy()
    multiregion: Multiregion | None = None
    periodic: Periodic | None = None
    parameterized_job: ParameterizedJob | None = None
    meta: dict[str, str] | None = None
    ui: UI | None = None
    version_tag: VersionTag | None = None
    stop: bool = False
    payload: bytes | None = None
    vault_namespace: str = ""
    consul_namespace: str = ""
    version: UInt64 = 0
    parent_id: str = ""
    dispatched: bool = False
    dispatch_idempotency_token: str = ""
    nomad_token_id: str = ""
    status: str = ""
    status_description: str = ""
    stable: bool = False
    submit_time: int = 0
    create_index: int = 0
    modify_index: int = 0
    job_modify_index: int = 0
    submitted_by: Authored = NOBODY

    @property
    def is_periodic(self) -> bool:
        """Whether the job is a periodic parent."""
        return self.periodic is not None

    @property
    def is_parameterized(self) -> bool:
        """Whether the job is a template for dispatches, not a dispatched child."""
        return self.parameterized_job is not None and not self.dispatched

    @property
    def is_parent(self) -> bool:
        """Whether the job itself is never scheduled."""
        return self.is_periodic or self.is_parameterized

    def group(self, name: str) -> TaskGroup | None:
        """The group of that name."""
        return next((group for group in self.task_groups or () if group.name == name), None)


class JobSubmission(Record, frozen=True):
    """The source of a version (spec job-model §6.3)."""

    source: str = ""
    format: str = ""
    variable_flags: dict[str, str] | None = None
    variables: str = ""
    namespace: str = ""
    job_id: str = ""
    version: int = 0
    job_modify_index: int = 0

    @property
    def size_bytes(self) -> int:
        """The size that counts against job_max_source_size."""
        flags = sum(len(k.encode()) + len(v.encode()) for k, v in (self.variable_flags or {}).items())
        return len(self.source.encode()) + len(self.variables.encode()) + flags


class TaskGroupSummary(Record, frozen=True):
    """How many allocations of a group are in which state; complete and failed count over the job's life."""

    queued: int = 0
    complete: int = 0
    failed: int = 0
    running: int = 0
    starting: int = 0
    lost: int = 0
    unknown: int = 0


class JobChildrenSummary(Record, frozen=True):
    """How many children are in which state."""

    pending: int = 0
    running: int = 0
    dead: int = 0


class JobSummary(Record, frozen=True):
    """Counts of a job (spec job-model §6.5)."""

    job_id: str = ""
    namespace: str = ""
    summary: dict[str, TaskGroupSummary] = {}  # noqa: RUF012 (msgspec copies an empty default)
    children: JobChildrenSummary = JobChildrenSummary()
    create_index: int = 0
    modify_index: int = 0


class PeriodicLaunch(Record, frozen=True):
    """When a periodic job was launched last (nanoseconds)."""

    namespace: str = ""
    id: str = ""
    launch: int = 0
    create_index: int = 0
    modify_index: int = 0
