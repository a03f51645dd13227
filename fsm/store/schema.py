"""The tables of the state, as data: their names, keys and secondary indexes.

A table's name is also the name of the index that answers `X-Nomad-Index` for its lists (spec cluster §0.4).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from yurt.fsm.structs.acl import (
    AclBootstrap,
    AclPolicy,
    AclRole,
    AclToken,
    OneTimeToken,
    secret_digest,
)
from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.deployment import Deployment
from yurt.fsm.structs.evaluation import Evaluation
from yurt.fsm.structs.job import SYSTEM, Job, JobSubmission, JobSummary, PeriodicLaunch
from yurt.fsm.structs.namespace import Namespace
from yurt.fsm.structs.node import Node, NodePool
from yurt.fsm.structs.operator import AutopilotConfiguration, SchedulerConfiguration
from yurt.fsm.structs.registration import ServiceRegistration
from yurt.fsm.structs.scaling import JobScalingEvents
from yurt.fsm.structs.variable import RootKey, Variable, WrappedKey

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")


@dataclass(frozen=True, eq=False)
class Table(Generic[K, R]):
    """One table: how to find a row's key and the values of its secondary indexes (None: not in that index).

    `floor` is the table's index in a new state (spec cluster §0.4: 1 where something built in is listed).
    `listed` tables keep their keys in order, ready for pages; the others sort when they are scanned as a whole.
    A `late` table is left out of snapshots as long as it is empty: versions before it can read them.
    `orders` are further orders that are kept ready: the place of a row, a tuple that ends with the row's key.
    """

    name: str
    record: type[R]
    key: Callable[[R], K]
    indexes: Mapping[str, Callable[[R], Any]] = field(default_factory=dict)
    floor: int = 0
    listed: bool = True
    late: bool = False
    orders: Mapping[str, Callable[[R], Any]] = field(default_factory=dict)


JobKey = tuple[str, str]
VersionKey = tuple[str, str, int]

JOBS: Table[JobKey, Job] = Table(
    "jobs", Job, lambda j: (j.namespace, j.id),
    {
        "parent": lambda j: (j.namespace, j.parent_id) if j.parent_id else None,
        "token": lambda j: (
            (j.namespace, j.parent_id, j.dispatch_idempotency_token) if j.dispatch_idempotency_token else None
        ),
        "system": lambda j: True if j.type == SYSTEM and not j.stop else None,
    },
    orders={"modified": lambda j: (j.modify_index, (j.namespace, j.id))},
)  # fmt: skip
JOB_VERSIONS: Table[VersionKey, Job] = Table(
    "job_version", Job, lambda j: (j.namespace, j.id, j.version),
    {"job": lambda j: (j.namespace, j.id)}, listed=False,
)  # fmt: skip
JOB_SUBMISSIONS: Table[VersionKey, JobSubmission] = Table(
    "job_submission", JobSubmission, lambda s: (s.namespace, s.job_id, s.version),
    {"job": lambda s: (s.namespace, s.job_id)}, listed=False,
)  # fmt: skip
JOB_SUMMARIES: Table[JobKey, JobSummary] = Table(
    "job_summary", JobSummary, lambda s: (s.namespace, s.job_id), listed=False
)
SCALING_EVENTS: Table[JobKey, JobScalingEvents] = Table(
    "scaling_event", JobScalingEvents, lambda s: (s.namespace, s.job_id), listed=False
)
PERIODIC_LAUNCHES: Table[JobKey, PeriodicLaunch] = Table(
    "periodic_launch", PeriodicLaunch, lambda p: (p.namespace, p.id)
)
EVALUATIONS: Table[str, Evaluation] = Table(
    "evals", Evaluation, lambda e: e.id,
    {
        "job": lambda e: (e.namespace, e.job_id),
        "live": lambda e: None if e.is_terminal else (e.namespace, e.job_id),
        "status": lambda e: None if e.is_terminal else e.status,
    },
    orders={"created": lambda e: (e.create_index, e.id)},
)  # fmt: skip
ALLOCATIONS: Table[str, Allocation] = Table(
    "allocs", Allocation, lambda a: a.id,
    {
        "job": lambda a: (a.namespace, a.job_id),
        "live": lambda a: None if a.is_terminal else (a.namespace, a.job_id),
        "eval": lambda a: a.eval_id or None,
        "node": lambda a: a.node_id or None,
        "deployment": lambda a: a.deployment_id or None,
    },
    orders={"created": lambda a: (a.create_index, a.id)},
)  # fmt: skip
DEPLOYMENTS: Table[str, Deployment] = Table(
    "deployment", Deployment, lambda d: d.id,
    {
        "job": lambda d: (d.namespace, d.job_id),
        "active": lambda d: (d.namespace, d.job_id) if d.is_active else None,
    },
    orders={"created": lambda d: (d.create_index, d.id)},
)  # fmt: skip
NODES: Table[str, Node] = Table(
    "nodes", Node, lambda n: n.id,
    {
        "pool": lambda n: n.node_pool,
        "draining": lambda n: True if n.drain_strategy is not None else None,
        "secret": lambda n: secret_digest(n.secret_id),
    },
)  # fmt: skip
NODE_POOLS: Table[str, NodePool] = Table("node_pools", NodePool, lambda p: p.name, floor=1)
NAMESPACES: Table[str, Namespace] = Table("namespaces", Namespace, lambda n: n.name, floor=1)
AUTOPILOT_CONFIG: Table[str, AutopilotConfiguration] = Table("autopilot_config", AutopilotConfiguration, lambda _: "")
SCHEDULER_CONFIG: Table[str, SchedulerConfiguration] = Table("scheduler_config", SchedulerConfiguration, lambda _: "")
SERVICE_REGISTRATIONS: Table[str, ServiceRegistration] = Table(
    "service_registrations", ServiceRegistration, lambda s: s.id,
    {
        "job": lambda s: (s.namespace, s.job_id),
        "service": lambda s: (s.namespace, s.service_name),
        "alloc": lambda s: s.alloc_id or None,
        "node": lambda s: s.node_id or None,
    },
    floor=1,
)  # fmt: skip
ACL_POLICIES: Table[str, AclPolicy] = Table("acl_policy", AclPolicy, lambda p: p.name, floor=1)
ACL_ROLES: Table[str, AclRole] = Table("acl_roles", AclRole, lambda r: r.id, {"name": lambda r: r.name}, floor=1)
ACL_TOKENS: Table[str, AclToken] = Table(
    "acl_token", AclToken, lambda t: t.accessor_id,
    {"secret": lambda t: secret_digest(t.secret_id), "expires": lambda t: True if t.expiration_time_ns else None},
    floor=1,
)  # fmt: skip
ONE_TIME_TOKENS: Table[str, OneTimeToken] = Table(
    "one_time_token", OneTimeToken, lambda t: t.one_time_secret_id, {"accessor": lambda t: t.accessor_id}, listed=False
)
ROOT_KEYS: Table[str, RootKey] = Table("root_keys", RootKey, lambda k: k.key_id)
WRAPPED_KEYS: Table[str, WrappedKey] = Table(
    "wrapped_keys", WrappedKey, lambda k: k.key_id, {"kek": lambda k: k.kek_id}, listed=False, late=True
)
VARIABLES: Table[tuple[str, str], Variable] = Table(
    "variables", Variable, lambda v: (v.namespace, v.path),
    {"key": lambda v: v.key_id, "locked": lambda v: True if v.lock is not None else None},
    floor=1,
)  # fmt: skip
ACL_BOOTSTRAP: Table[str, AclBootstrap] = Table("acl_bootstrap", AclBootstrap, lambda _: "")

# The order is that of snapshots: versions stand before the jobs that refer to them.
TABLES: tuple[Table[Any, Any], ...] = (
    NAMESPACES,
    NODE_POOLS,
    SCHEDULER_CONFIG,
    AUTOPILOT_CONFIG,
    JOB_VERSIONS,
    JOBS,
    JOB_SUBMISSIONS,
    JOB_SUMMARIES,
    SCALING_EVENTS,
    PERIODIC_LAUNCHES,
    EVALUATIONS,
    ALLOCATIONS,
    DEPLOYMENTS,
    NODES,
    SERVICE_REGISTRATIONS,
    ACL_POLICIES,
    ACL_ROLES,
    ACL_TOKENS,
    ONE_TIME_TOKENS,
    ACL_BOOTSTRAP,
    ROOT_KEYS,
    WRAPPED_KEYS,
    VARIABLES,
)
BY_NAME = {table.name: table for table in TABLES}
