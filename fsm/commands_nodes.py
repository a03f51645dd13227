"""The log's vocabulary of nodes, of what they report, and of deployments.

Handlers that make evaluations take their IDs from `seed`, a fresh UUID of the proposer: how many there will be is known
only when the command is applied.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from yurt.fsm.commands_base import Command
from yurt.fsm.structs.allocation import AllocDeploymentStatus, DesiredTransition, TaskState
from yurt.fsm.structs.base import Record
from yurt.fsm.structs.evaluation import Evaluation
from yurt.fsm.structs.node import DrainStrategy, Node


class _Command(Command, frozen=True, kw_only=True, tag=True):
    """A command of the second version of the vocabulary."""

    since: ClassVar[int] = 2


class RegisterNode(_Command, frozen=True, kw_only=True):
    """Store a node that registers, again or for the first time (spec scheduling §18)."""

    node: Node
    seed: str = ""


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A node's new status; `event` is the text of the event that tells of it, empty for none."""

    node_id: str
    status: str
    event: str = ""


class UpdateNodeStatuses(_Command, frozen=True, kw_only=True):
    """Set the status of nodes; each job that this concerns is evaluated once."""

    statuses: tuple[NodeStatus, ...]
    seed: str = ""


class SetNodeEligibility(_Command, frozen=True, kw_only=True):
    """Let a node take new allocations or not."""

    node_id: str
    eligibility: str
    seed: str = ""


class DrainNode(_Command, frozen=True, kw_only=True):
    """Begin or change a drain, or with `strategy` None take it back."""

    node_id: str
    strategy: DrainStrategy | None = None
    mark_eligible: bool = False
    meta: dict[str, str] | None = None
    accessor_id: str = ""
    seed: str = ""


class CompleteDrains(_Command, frozen=True, kw_only=True):
    """End drains that have nothing left to do; `forced` are those whose deadline was reached."""

    node_ids: tuple[str, ...]
    forced: tuple[str, ...] = ()


class EvaluateNode(_Command, frozen=True, kw_only=True):
    """Evaluate every job that a node concerns."""

    node_id: str
    seed: str = ""


class PurgeNode(_Command, frozen=True, kw_only=True):
    """Delete a node; its allocations are lost by the evaluations that follow."""

    node_id: str
    seed: str = ""


class AllocUpdate(Record, frozen=True):
    """A node's report on one of its allocations (spec node-agent §4)."""

    id: str = ""
    node_id: str = ""
    client_status: str = ""
    client_description: str = ""
    task_states: dict[str, TaskState] | None = None
    deployment_status: AllocDeploymentStatus | None = None
    network_status: dict[str, Any] | None = None


class UpdateAllocations(_Command, frozen=True, kw_only=True):
    """Store what nodes report of their allocations."""

    updates: tuple[AllocUpdate, ...]
    seed: str = ""


class TransitionAllocations(_Command, frozen=True, kw_only=True):
    """Mark allocations with what should happen to them, and evaluate their jobs."""

    transitions: dict[str, DesiredTransition]
    evaluations: tuple[Evaluation, ...] = ()


class PromoteDeployment(_Command, frozen=True, kw_only=True):
    """Promote the canaries of all groups or of those named (spec scheduling §8.6)."""

    deployment_id: str
    all: bool = False
    groups: tuple[str, ...] = ()
    eval_id: str = ""


class PauseDeployment(_Command, frozen=True, kw_only=True):
    """Pause a deployment, or let it go on."""

    deployment_id: str
    pause: bool
    eval_id: str = ""


class FailDeployment(_Command, frozen=True, kw_only=True):
    """End a deployment as failed; `revert`: its job goes back to the newest stable version, if there is one.

    `revert` None: if one of its groups asks for it.
    """

    deployment_id: str
    description: str
    revert: bool | None = None
    eval_id: str = ""
    versions_kept: int = 6


class SetAllocationHealth(_Command, frozen=True, kw_only=True):
    """Set the health of allocations of a deployment by hand; an unhealthy one fails it."""

    deployment_id: str
    healthy: tuple[str, ...] = ()
    unhealthy: tuple[str, ...] = ()
    eval_id: str = ""
    versions_kept: int = 6


class NodeWritten(msgspec.Struct, frozen=True, kw_only=True):
    """A node was written, and these evaluations made. `index` is 0 if nothing had to be written."""

    index: int = 0
    node_modify_index: int = 0
    eval_ids: tuple[str, ...] = ()


class DeploymentWritten(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment was written; `reverted_version` is the job version that came back."""

    index: int = 0
    eval_id: str = ""
    reverted_version: int | None = None


NODE_COMMANDS: tuple[type[Command], ...] = (
    RegisterNode,
    UpdateNodeStatuses,
    SetNodeEligibility,
    DrainNode,
    CompleteDrains,
    EvaluateNode,
    PurgeNode,
    UpdateAllocations,
    TransitionAllocations,
    PromoteDeployment,
    PauseDeployment,
    FailDeployment,
    SetAllocationHealth,
)
AnyNodeCommand = (
    RegisterNode
    | UpdateNodeStatuses
    | SetNodeEligibility
    | DrainNode
    | CompleteDrains
    | EvaluateNode
    | PurgeNode
    | UpdateAllocations
    | TransitionAllocations
    | PromoteDeployment
    | PauseDeployment
    | FailDeployment
    | SetAllocationHealth
)
