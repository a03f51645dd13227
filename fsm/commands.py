"""The log's vocabulary: one struct a command, and what applying it answers.

Whatever is not deterministic (times, IDs, chance) is in the command. A command carries the tag it is decoded by and the
version of the vocabulary that knows it first; a server that meets a newer one stops before it applies it. `by` is who
asked for it, where that is recorded; it is left out as long as a server does not know it (version 5).
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from yurt.fsm.commands_acl import ACL_COMMANDS, AnyAclCommand
from yurt.fsm.commands_base import Command as Command
from yurt.fsm.commands_base import Done as Done
from yurt.fsm.commands_nodes import NODE_COMMANDS, AnyNodeCommand
from yurt.fsm.commands_services import SERVICE_COMMANDS, AnyServiceCommand
from yurt.fsm.commands_variables import VARIABLE_COMMANDS, AnyVariableCommand
from yurt.fsm.errors import YurtError
from yurt.fsm.structs.author import Author
from yurt.fsm.structs.deployment import Deployment
from yurt.fsm.structs.evaluation import Evaluation
from yurt.fsm.structs.job import Job, JobSubmission, JobSummary
from yurt.fsm.structs.namespace import Namespace
from yurt.fsm.structs.node import NodePool
from yurt.fsm.structs.operator import AutopilotConfiguration, SchedulerConfiguration
from yurt.fsm.structs.plan import AllocationChange, AllocationEviction, AllocationStop, Placement

COMMAND_VERSION = 6
LATE_SINCE = AUTHORS_SINCE = 5  # `evaluates_late` of plans, and authors
KEEPS_TAGGED_SINCE = COUNTED_SINCE = 6  # `keeps_tagged` of collections, `summaries` that were counted


class UnknownCommand(YurtError):
    """The log holds a command that this version does not know: the server must be upgraded before it goes on."""


class AuthoredCommand(Command, frozen=True, kw_only=True):
    """A command that says who asked for it, if that is recorded."""

    by: Author | None = None

    def needs(self) -> int:
        """Authors came with version 5."""
        return self.since if self.by is None else max(self.since, AUTHORS_SINCE)


class RegisterJob(AuthoredCommand, frozen=True, kw_only=True):
    """Store an admitted job as a new job or version, with its evaluation (spec jobs-api §3.2).

    `eval_id` is used unless the job is a parent; `scaling_policy_ids` has a fresh UUID a group, used for new policies.
    """

    job: Job
    submission: JobSubmission | None = None
    enforce_index: bool = False
    job_modify_index: int = 0
    preserve_counts: bool = False
    preserve_resources: bool = False
    eval_id: str = ""
    eval_priority: int = 0
    scaling_policy_ids: tuple[str, ...] = ()
    versions_kept: int = 6


class DeregisterJob(AuthoredCommand, frozen=True, kw_only=True):
    """Stop or purge a job (spec jobs-api §3.5)."""

    namespace: str
    job_id: str
    purge: bool = False
    no_shutdown_delay: bool = False
    eval_id: str = ""
    eval_priority: int = 0
    versions_kept: int = 6


class DeregisterFamily(DeregisterJob, frozen=True, kw_only=True, tag=True):
    """The same with all that was dispatched or launched from the job. Their evaluations' IDs follow from `eval_id`."""

    since: ClassVar[int] = 5


class RevertJob(AuthoredCommand, frozen=True, kw_only=True):
    """Make the content of an older version, given by number or tag, the newest version (spec jobs-api §3.11)."""

    namespace: str
    job_id: str
    version: int = 0
    tag: str = ""
    enforce_prior_version: int | None = None
    eval_id: str = ""
    versions_kept: int = 6


class SetJobStability(Command, frozen=True, kw_only=True):
    """Mark a version stable or not (spec jobs-api §3.12, deviation 6)."""

    namespace: str
    job_id: str
    version: int
    stable: bool


class TagJobVersion(Command, frozen=True, kw_only=True):
    """Name a version; the newest one if `version` is None (spec jobs-api §3.20)."""

    namespace: str
    job_id: str
    tag: str
    description: str = ""
    version: int | None = None
    versions_kept: int = 6


class UntagJobVersion(Command, frozen=True, kw_only=True):
    """Take a version's name away."""

    namespace: str
    job_id: str
    tag: str
    versions_kept: int = 6


class ScaleJob(AuthoredCommand, frozen=True, kw_only=True):
    """Set a group's count, or only note an event (spec jobs-api §3.16, deviation 13)."""

    namespace: str
    job_id: str
    group: str
    count: int | None = None
    message: str = ""
    error: bool = False
    meta: dict[str, Any] | None = None
    job_modify_index: int = 0
    eval_id: str = ""
    count_max: int = 0
    versions_kept: int = 6


class DispatchJob(AuthoredCommand, frozen=True, kw_only=True):
    """Make a child of a parameterized job (spec jobs-api §3.10)."""

    namespace: str
    job_id: str
    child_id: str
    payload: bytes = b""
    meta: dict[str, str] | None = None
    priority: int = 0
    idempotency_token: str = ""
    eval_id: str = ""


class LaunchPeriodicJob(Command, frozen=True, kw_only=True):
    """Make a child of a periodic job for a launch time in Unix seconds (spec jobs-api §3.15).

    `by_clock`: nobody asked for it; refused if that launch has its child, or if it would overlap and must not.
    """

    namespace: str
    job_id: str
    launch_seconds: int
    by_clock: bool = False
    eval_id: str = ""
    versions_kept: int = 6


class EvaluateJob(Command, frozen=True, kw_only=True):
    """Make an evaluation of a job (spec jobs-api §3.13)."""

    namespace: str
    job_id: str
    eval_id: str
    force_reschedule: bool = False


class UpdateEvaluations(Command, frozen=True, kw_only=True):
    """Store evaluations that the leader's duties made or changed (spec scheduling §2.4)."""

    evaluations: tuple[Evaluation, ...]


class ApplyPlan(Command, frozen=True, kw_only=True):
    """Store what a plan decided (spec scheduling §6), in this order: the deployment, changes of deployments, what ends,
    what makes room, what changes, what is new, evaluations."""

    eval_id: str
    deployment: Deployment | None = None
    deployment_updates: tuple[DeploymentUpdate, ...] = ()
    stopped: tuple[AllocationStop, ...] = ()
    evicted: tuple[AllocationEviction, ...] = ()
    changed: tuple[AllocationChange, ...] = ()
    placed: tuple[Placement, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    evaluates_late: bool = False  # jobs with placements on nodes that went down meanwhile are evaluated

    def needs(self) -> int:
        """`evaluates_late` came with version 5."""
        return LATE_SINCE if self.evaluates_late else self.since


class DeploymentUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment's new status."""

    deployment_id: str
    status: str
    description: str


class CollectGarbage(Command, frozen=True, kw_only=True):
    """Delete what nobody needs any more (spec scheduling §20); jobs as (namespace, ID)."""

    evaluation_ids: tuple[str, ...] = ()
    deployment_ids: tuple[str, ...] = ()
    jobs: tuple[tuple[str, str], ...] = ()
    allocation_ids: tuple[str, ...] = ()
    node_ids: tuple[str, ...] = ()
    keeps_tagged: bool = False  # jobs with a version that has a name by now

    def needs(self) -> int:
        """`keeps_tagged` came with version 6."""
        return KEEPS_TAGGED_SINCE if self.keeps_tagged else self.since


class UpsertNamespace(Command, frozen=True, kw_only=True):
    """Store a namespace."""

    namespace: Namespace


class DeleteNamespace(Command, frozen=True, kw_only=True):
    """Delete a namespace without live jobs."""

    name: str
    region: str = "global"


class UpsertNodePool(Command, frozen=True, kw_only=True):
    """Store a node pool."""

    pool: NodePool


class DeleteNodePool(Command, frozen=True, kw_only=True):
    """Delete a node pool that no live job names."""

    name: str
    region: str = "global"


class SetAutopilotConfiguration(Command, frozen=True, kw_only=True):
    """How the leader looks after the servers; with `cas` only if the stored one has that modify index."""

    configuration: AutopilotConfiguration
    cas: int | None = None


class SetSchedulerConfiguration(Command, frozen=True, kw_only=True):
    """Store the scheduler configuration, if its ModifyIndex is `cas` or `cas` is None."""

    configuration: SchedulerConfiguration
    cas: int | None = None


class ReconcileSummaries(Command, frozen=True, kw_only=True):
    """Store summaries that were counted anew, each unless it has changed since; without any, count all of them."""

    summaries: tuple[JobSummary, ...] | None = None  # `modify_index` is that of the row that was counted anew

    def needs(self) -> int:
        """`summaries` came with version 6."""
        return self.since if self.summaries is None else COUNTED_SINCE


class JobWritten(msgspec.Struct, frozen=True, kw_only=True):
    """Registered, reverted, stopped, scaled, evaluated."""

    job_modify_index: int
    eval_id: str = ""
    eval_create_index: int = 0
    index: int = 0


class ChildMade(msgspec.Struct, frozen=True, kw_only=True):
    """A child was dispatched or launched, or was there already (`eval_id` empty)."""

    child_id: str
    job_create_index: int
    eval_id: str = ""
    eval_create_index: int = 0
    index: int = 0


class VersionTagged(msgspec.Struct, frozen=True, kw_only=True):
    """A version was named."""

    name: str
    description: str
    tagged_time: int
    index: int = 0


COMMANDS: tuple[type[Command], ...] = (
    RegisterJob,
    DeregisterJob,
    DeregisterFamily,
    RevertJob,
    SetJobStability,
    TagJobVersion,
    UntagJobVersion,
    ScaleJob,
    DispatchJob,
    LaunchPeriodicJob,
    EvaluateJob,
    UpdateEvaluations,
    ApplyPlan,
    CollectGarbage,
    UpsertNamespace,
    DeleteNamespace,
    UpsertNodePool,
    DeleteNodePool,
    SetSchedulerConfiguration,
    SetAutopilotConfiguration,
    ReconcileSummaries,
    *NODE_COMMANDS,
    *SERVICE_COMMANDS,
    *ACL_COMMANDS,
    *VARIABLE_COMMANDS,
)
AnyCommand = (
    RegisterJob
    | DeregisterJob
    | DeregisterFamily
    | RevertJob
    | SetJobStability
    | TagJobVersion
    | UntagJobVersion
    | ScaleJob
    | DispatchJob
    | LaunchPeriodicJob
    | EvaluateJob
    | UpdateEvaluations
    | ApplyPlan
    | CollectGarbage
    | UpsertNamespace
    | DeleteNamespace
    | UpsertNodePool
    | DeleteNodePool
    | SetSchedulerConfiguration
    | SetAutopilotConfiguration
    | ReconcileSummaries
    | AnyNodeCommand
    | AnyServiceCommand
    | AnyAclCommand
    | AnyVariableCommand
)
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[AnyCommand] = msgspec.msgpack.Decoder(AnyCommand)


def encode(command: Command) -> bytes:
    """The bytes that the log keeps: the vocabulary's version that knows the command, then the command."""
    return bytes((command.needs(),)) + _encoder.encode(command)


def decode(payload: bytes) -> AnyCommand:
    """The command of the log's bytes; raises `UnknownCommand`."""
    try:
        if payload[:1] > bytes((COMMAND_VERSION,)):
            raise UnknownCommand(f"the log holds commands of version {payload[0]}; this server knows {COMMAND_VERSION}")
        return _decoder.decode(memoryview(payload)[1:])
    except msgspec.MsgspecError as error:
        raise UnknownCommand(f"a command in the log is not of this version ({COMMAND_VERSION}): {error}") from error
