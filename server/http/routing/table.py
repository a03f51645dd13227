"""The one route table: what every endpoint is, and how a path finds it (spec jobs-api §1).

Fixed paths are looked up; a job's endpoints are found by the end of the path, because job IDs may hold slashes; the
rest by the beginning. Dispatch, the generated tests and the documentation read this table.
"""

from __future__ import annotations

from typing import Any

from yurt.fsm.errors import Refusal
from yurt.fsm.structs.allocation import AllocationStub
from yurt.fsm.structs.deployment import Deployment
from yurt.fsm.structs.evaluation import Evaluation
from yurt.fsm.structs.namespace import Namespace
from yurt.fsm.structs.node import Node, NodePool
from yurt.fsm.structs.operator import SchedulerConfiguration
from yurt.fsm.structs.registration import ServiceRegistration
from yurt.fsm.structs.variable import RootKey, VariableMetadata
from yurt.server.client.checks import CheckResult
from yurt.server.http.asgi.answers import CountAnswer
from yurt.server.http.routes import (
    allocations,
    client,
    cluster,
    deployments,
    enterprise,
    events,
    jobs_read,
    keyring,
    monitor,
    namespaces,
    nodes,
    pools,
    raft,
    schedulers,
    scheduling,
    search,
    services,
    snapshot,
    variables,
)
from yurt.server.http.routing.route import BODY_BYTES_MAX, NO_CONTENT, NOTHING, REFUSED, TEXT, Plain, Route, refusing
from yurt.server.http.routing.table_acl import ACL_FIXED, ACL_PREFIXES
from yurt.server.http.routing.table_client import CLIENT_ENDINGS, CLIENT_FIXED, CLIENT_PREFIXES
from yurt.server.http.routing.table_jobs import JOB, JOB_SUFFIXES, JOBS_FIXED, SCALING_PREFIX, TAG
from yurt.server.http.routing.table_nodes import NODES_FIXED

_E = enterprise.only_there
FIXED: tuple[Route, ...] = (
    *JOBS_FIXED,
    Route(
        "/v1/evaluations", "read-job", delete_capability="management",
        get=scheduling.list_evaluations, answer=list[Evaluation],
        delete=scheduling.delete_evaluations, body=scheduling.DeleteRequest, delete_answer=CountAnswer,
    ),
    Route(
        "/v1/agent/schedulers", "agent:read", local=True,
        getter=schedulers.schedulers, answer=schedulers.SchedulersAnswer,
    ),
    Route(
        "/v1/agent/schedulers/config", "agent:read", put_capability="agent:write", local=True,
        getter=schedulers.read_configuration, answer=schedulers.SchedulersConfiguration,
        put=schedulers.write_configuration, put_answer=schedulers.SchedulersConfiguration,
    ),
    Route(
        "/v1/vars", "own", options_error="failed to parse parameters",
        get=variables.list_variables, answer=list[VariableMetadata],
    ),
    Route("/v1/operator/keyring/keys", "operator:keyring-read", get=keyring.list_keys, answer=list[RootKey]),
    Route(
        "/v1/operator/keyring/rewrap", "operator:keyring-rotate",
        put=keyring.rewrap, put_answer=keyring.RewrapAnswer,
    ),
    Route(
        "/v1/operator/keyring/servers", "operator:keyring-read",
        getter=keyring.list_servers, answer=list[keyring.KeyServer],
    ),
    Route(
        "/v1/operator/keyring/rotate", "operator:keyring-rotate",
        put=keyring.rotate, put_answer=keyring.RotateAnswer,
    ),
    Route(
        "/v1/evaluations/count", "read-job",
        get=scheduling.count_evaluations, answer=scheduling.EvaluationCount,
    ),
    Route("/v1/allocations", "read-job", get=allocations.list_allocations, answer=list[AllocationStub]),
    Route("/v1/deployments", "read-job", get=deployments.list_deployments, answer=list[Deployment]),
    Route("/v1/nodes", "node:read", get=nodes.list_nodes, answer=list[nodes.NodeStub]),
    Route(
        "/v1/node/pools", "own",
        get=pools.list_node_pools, answer=list[NodePool],
        put=pools.write_node_pool, body=NodePool, put_answer=NOTHING,
    ),
    Route("/v1/namespaces", "own", get=namespaces.list_namespaces, answer=list[Namespace]),
    Route("/v1/namespace", "management", put=namespaces.write_namespace, body=Namespace, put_answer=NOTHING),
    Route("/v1/status/leader", "", getter=cluster.status_leader, answer=str),
    Route("/v1/status/peers", "", getter=cluster.status_peers, answer=list[str]),
    Route("/v1/regions", "", getter=cluster.regions, local=True, answer=list[str]),
    Route("/v1/agent/monitor", "agent:read", getter=monitor.monitor, local=True, answer=(Any, TEXT)),
    Route("/v1/agent/host", "agent:read", getter=monitor.host, local=True, answer=monitor.Machine),
    Route("/v1/agent/health", "", getter=cluster.agent_health, local=True, answer=dict[str, cluster.Health]),
    Route("/v1/agent/members", "node:read", getter=cluster.agent_members, local=True, answer=cluster.MembersAnswer),
    Route("/v1/agent/self", "agent:read", getter=cluster.agent_self, local=True, answer=dict[str, Any]),
    Route("/v1/metrics", "", getter=cluster.metrics, local=True, answer=(dict[str, Any], TEXT)),
    Route("/v1/agent/join", "agent:write", put=raft.join, local=True, put_answer=raft.JoinAnswer),
    Route("/v1/agent/force-leave", "agent:write", put=raft.force_leave, put_answer=NOTHING),
    Route("/v1/operator/raft/configuration", "management", getter=raft.raft_configuration, answer=raft.RaftAnswer),
    Route(
        "/v1/operator/raft/peer", "management", wrong_method=404,
        put=raft.add_peer, put_answer=NOTHING, delete=raft.remove_peer, delete_answer=NOTHING,
    ),
    Route(
        "/v1/operator/raft/transfer-leadership", "management",
        put=raft.transfer_leadership, put_answer=raft.TransferAnswer,
    ),
    Route(
        "/v1/operator/autopilot/configuration", "operator:read", put_capability="operator:write",
        wrong_method=404, only_put=True,
        getter=raft.read_autopilot, answer=raft.AutopilotAnswer, put=raft.write_autopilot, put_answer=bool,
    ),
    Route(
        "/v1/operator/autopilot/health", "operator:read", leader=True, wrong_method=404,
        getter=raft.autopilot_health, answer=raft.HealthAnswer,
    ),
    Route(
        "/v1/operator/snapshot", "operator:write|snapshot-save", put_capability="management", streams_body=True,
        getter=snapshot.save, answer=Plain("application/x-gzip"), put=snapshot.restore, put_answer=NOTHING,
    ),
    Route("/v1/operator/state", "operator:read", get=snapshot.state_sizes, answer=list[snapshot.TableSize]),
    Route(
        "/v1/operator/scheduler/configuration", "operator:read", put_capability="operator:write",
        get=cluster.read_scheduler, answer=cluster.SchedulerAnswer,
        put=cluster.write_scheduler, body=SchedulerConfiguration, put_answer=cluster.SchedulerWriteAnswer,
    ),
    Route(
        "/v1/operator/license", "", local=True,
        getter=enterprise.no_license, answer=NO_CONTENT, put=enterprise.only_there, put_answer=REFUSED,
    ),
    *(refusing(path, "", _E, local=True) for path in enterprise.PATHS),
    Route("/v1/search", "own", put=search.search, body=search.SearchRequest, put_answer=search.SearchAnswer),
    Route("/v1/search/fuzzy", "own", put=search.fuzzy, body=search.SearchRequest, put_answer=search.FuzzyAnswer),
    Route("/v1/event/stream", "own", getter=events.stream, local=True),
    *NODES_FIXED,
    Route("/v1/services", "listed read-job", get=services.list_services, answer=list[services.NamespaceServices]),
    Route("/v1/system/gc", "management", put=cluster.collect_garbage, only_put=True, put_answer=NOTHING),
    Route(
        "/v1/system/reconcile/summaries", "management",
        put=cluster.reconcile_summaries, only_put=True, put_answer=NOTHING,
    ),
    *CLIENT_FIXED,
    *ACL_FIXED,
)  # fmt: skip
PREFIXES: tuple[tuple[str, Route], ...] = (
    (
        "/v1/namespace/",
        Route(
            "/v1/namespace/:name", "own", put_capability="management", delete_capability="management",
            get=namespaces.read_namespace, answer=Namespace,
            put=namespaces.write_namespace, body=Namespace, put_answer=NOTHING,
            delete=namespaces.delete_namespace, delete_answer=NOTHING,
        ),
    ),
    (
        "/v1/node/pool/",
        Route(
            "/v1/node/pool/:name", "pool:read", put_capability="own", delete_capability="pool:delete",
            get=pools.read_node_pool, answer=NodePool,
            put=pools.write_node_pool, body=NodePool, put_answer=NOTHING,
            delete=pools.delete_node_pool, delete_answer=NOTHING,
        ),
    ),
    *((path, refusing(path + ":name", "", _E, local=True)) for path in enterprise.PREFIXES),
    ("/v1/scaling/policy/", SCALING_PREFIX),
    (
        "/v1/evaluation/",
        Route("/v1/evaluation/:id", "its read-job", get=scheduling.read_evaluation, answer=Evaluation),
    ),
    (
        "/v1/allocation/",
        Route(
            "/v1/allocation/:id", "its read-job",
            get=allocations.read_allocation, answer=allocations.AllocationShown,
        ),
    ),
    (
        "/v1/deployment/allocations/",
        Route(
            "/v1/deployment/allocations/:id", "its read-job",
            get=allocations.deployment_allocations, answer=list[AllocationStub],
        ),
    ),
    *(
        (
            f"/v1/deployment/{verb}/",
            Route(
                f"/v1/deployment/{verb}/:id", f"its submit-job|{right}",
                put=handler, body=deployments.DeploymentRequest, put_answer=deployments.DeploymentAnswer,
            ),
        )
        for verb, right, handler in (
            ("promote", "promote-deployment", deployments.promote),
            ("pause", "pause-deployment", deployments.pause),
            ("fail", "fail-deployment", deployments.fail),
            ("unblock", "unblock-deployment", deployments.unblock),
            ("allocation-health", "set-alloc-health-deployment", deployments.set_health),
        )
    ),
    (
        "/v1/deployment/",
        Route("/v1/deployment/:id", "its read-job", get=deployments.read_deployment, answer=Deployment),
    ),
    ("/v1/node/", Route("/v1/node/:id", "node:read", get=nodes.read_node, answer=Node)),
    (
        "/v1/service/",
        Route(
            "/v1/service/:name", "service read-job", delete_capability="submit-job|delete-service-registration",
            get=services.read_service, answer=list[ServiceRegistration],
            delete=services.delete_service, delete_answer=NOTHING,
        ),
    ),
    *CLIENT_PREFIXES,
    *ACL_PREFIXES,
    ("/v1/operator/raft/", Route("/v1/operator/raft/:other", "operator:read", wrong_method=404, local=True)),
    (
        "/v1/var/",
        Route(
            "/v1/var/:path", "own", wrong_method=400, options_error="failed to parse parameters",
            get=variables.read_variable, answer=variables.VariableShown,
            put=variables.write_variable, body=variables.VariableRequest, put_answer=variables.VariableShown,
            delete=variables.delete_variable, delete_answer=NO_CONTENT,
        ),
    ),
    (
        "/v1/operator/keyring/key/",
        Route(
            "/v1/operator/keyring/key/:id", "operator:keyring-delete",
            delete=keyring.delete_key, delete_answer=NOTHING,
        ),
    ),
    ("/v1/operator/keyring/", Route("/v1/operator/keyring/:other", "operator:keyring-read", local=True)),
    (
        "/v1/agent/keyring/",
        Route(
            "/v1/agent/keyring/:other", "agent:write", local=True,
            getter=client.no_such_resource, answer=REFUSED,
        ),
    ),
)  # fmt: skip
# Endings of paths that begin like one of the above.
ENDINGS: dict[str, tuple[tuple[str, Route], ...]] = {
    **CLIENT_ENDINGS,
    "/v1/evaluation/:id": (
        (
            "/allocations",
            Route(
                "/v1/evaluation/:id/allocations", "its read-job",
                get=allocations.evaluation_allocations, answer=list[AllocationStub],
            ),
        ),
    ),
    "/v1/allocation/:id": (
        (
            "/stop",
            Route(
                "/v1/allocation/:id/stop", "its alloc-lifecycle",
                put=allocations.stop, put_answer=allocations.StopAnswer,
            ),
        ),
        (
            "/services",
            Route(
                "/v1/allocation/:id/services", "its read-job",
                get=services.allocation_services, answer=list[ServiceRegistration],
            ),
        ),
        (
            "/checks",
            Route(
                "/v1/allocation/:id/checks", "its read-job", local=True,
                getter=client.of_allocation("checks"), answer=dict[str, CheckResult],
            ),
        ),
    ),
    "/v1/node/pool/:name": (
        (
            "/nodes",
            Route("/v1/node/pool/:name/nodes", "node:read", get=nodes.pool_nodes, answer=list[nodes.NodeStub]),
        ),
        (
            "/jobs",
            Route("/v1/node/pool/:name/jobs", "list-jobs", get=jobs_read.pool_jobs, answer=list[jobs_read.JobStub]),
        ),
    ),
    "/v1/node/:id": (
        (
            "/allocations",
            Route(
                "/v1/node/:id/allocations", "node:read",
                get=nodes.node_allocations, answer=list[allocations.AllocationShown],
            ),
        ),
        (
            "/eligibility",
            Route(
                "/v1/node/:id/eligibility", "node:write",
                put=nodes.set_eligibility, body=nodes.EligibilityRequest, put_answer=nodes.NodeWriteAnswer,
            ),
        ),
        (
            "/drain",
            Route(
                "/v1/node/:id/drain", "node:write",
                put=nodes.drain, body=nodes.DrainRequest, put_answer=nodes.NodeWriteAnswer,
            ),
        ),
        (
            "/evaluate",
            Route("/v1/node/:id/evaluate", "node:write", put=nodes.evaluate, put_answer=nodes.NodeAnswer),
        ),
        ("/purge", Route("/v1/node/:id/purge", "node:write", put=nodes.purge, put_answer=nodes.NodeAnswer)),
    ),
}  # fmt: skip
ROUTES: tuple[Route, ...] = (
    *FIXED,
    JOB,
    *(route for _, route in JOB_SUFFIXES),
    TAG,
    *(route for _, route in PREFIXES),
    *(route for endings in ENDINGS.values() for _, route in endings),
)
_BY_PATH = {route.path: route for route in FIXED}


def find(path: str) -> tuple[Route, tuple[str, ...]] | None:
    """The route of a percent-decoded path and what the path names; None if nothing is served there.

    Raises Refusal(404) for a tag's path of another shape.
    """
    route = _BY_PATH.get(path)
    if route is not None:
        return route, ()
    if path.startswith("/v1/job/"):
        return _find_job(path[8:])
    for prefix, route in PREFIXES:
        if path.startswith(prefix):
            rest = path[len(prefix) :]
            for ending, longer in ENDINGS.get(route.path, ()):
                if rest.endswith(ending):
                    return longer, (rest.removesuffix(ending),)
            if "/" in rest and route.path == "/v1/allocation/:id":
                raise Refusal(404, "resource not found")
            return route, (rest,)
    return None


def body_limit(method: str, path: str) -> int:
    """Bytes that a request's body may have; 0 for none, and where the handler takes it as it comes."""
    if method == "GET":
        return 0
    try:
        found = find(path)
    except Refusal:
        found = None
    if found is None:
        return BODY_BYTES_MAX
    return 0 if found[0].streams_body else found[0].body_bytes_max


def _find_job(rest: str) -> tuple[Route, tuple[str, ...]]:
    for suffix, route in JOB_SUFFIXES:
        if rest.endswith(suffix):
            return route, (rest.removesuffix(suffix),)
    if rest.endswith("/tag"):
        parts = rest.split("/")
        if len(parts) != 4:
            raise Refusal(404, "invalid job tag endpoint")
        return TAG, (parts[0], parts[2])
    return JOB, (rest,)
