"""The one route table: what every endpoint is, and how a path finds it (spec jobs-api §1).

Fixed paths are looked up; a job's endpoints are found by the end of the path, because job IDs may hold slashes; the
rest by the beginning. Dispatch, the generated tests and the documentation read this table.
"""

from __future__ import annotations

from yurt.fsm.errors import Refusal
from yurt.fsm.job.requests import (
    DispatchRequest,
    EvaluateRequest,
    JobPlanRequest,
    JobsParseRequest,
    RegisterRequest,
    RevertRequest,
    ScaleRequest,
    StableRequest,
    TagRequest,
)
from yurt.fsm.structs.namespace import Namespace
from yurt.fsm.structs.node import NodePool
from yurt.fsm.structs.operator import SchedulerConfiguration
from yurt.server.http.route import JOB_BYTES_MAX, Route
from yurt.server.http.routes import (
    allocations,
    client,
    cluster,
    deployments,
    enterprise,
    events,
    jobs_change,
    jobs_parse,
    jobs_read,
    jobs_write,
    node_agent,
    nodes,
    raft,
    scheduling,
    search,
    services,
    snapshot,
)
from yurt.server.http.table_client import CLIENT_ENDINGS, CLIENT_FIXED, CLIENT_PREFIXES

_J, _C, _S = "/v1/job/:id", "list-jobs", "submit-job"
LIST = Route(
    "/v1/jobs", _C, get=jobs_read.list_jobs, put=jobs_write.register, body_bytes_max=JOB_BYTES_MAX, body=RegisterRequest
)


_E = enterprise.only_there
FIXED: tuple[Route, ...] = (
    LIST,
    Route(
        "/v1/jobs/parse", "parse-job",
        put=jobs_parse.parse, local=True, body_bytes_max=JOB_BYTES_MAX, body=JobsParseRequest,
    ),
    Route(
        "/v1/validate/job", "read-job",
        put=jobs_write.validate, local=True, body_bytes_max=JOB_BYTES_MAX, body=RegisterRequest,
    ),
    Route(
        "/v1/evaluations", "read-job",
        get=scheduling.list_evaluations, delete=scheduling.delete_evaluations, body=scheduling.DeleteRequest,
    ),
    Route("/v1/evaluations/count", "read-job", get=scheduling.count_evaluations),
    Route("/v1/allocations", "read-job", get=allocations.list_allocations),
    Route("/v1/deployments", "read-job", get=deployments.list_deployments),
    Route("/v1/nodes", "node:read", get=nodes.list_nodes),
    Route("/v1/node/pools", "list-node-pools", get=cluster.list_node_pools, put=cluster.write_node_pool, body=NodePool),
    Route("/v1/namespaces", "list-namespaces", get=cluster.list_namespaces),
    Route("/v1/namespace", "management", put=cluster.write_namespace, body=Namespace),
    Route("/v1/status/leader", "", getter=cluster.status_leader),
    Route("/v1/status/peers", "", getter=cluster.status_peers),
    Route("/v1/regions", "", getter=cluster.regions, local=True),
    Route("/v1/agent/health", "", getter=cluster.agent_health, local=True),
    Route("/v1/agent/members", "node:read", getter=cluster.agent_members, local=True),
    Route("/v1/agent/self", "agent:read", getter=cluster.agent_self, local=True),
    Route("/v1/metrics", "", getter=cluster.metrics, local=True),
    Route("/v1/agent/join", "agent:write", put=raft.join, local=True),
    Route("/v1/agent/force-leave", "agent:write", put=raft.force_leave),
    Route("/v1/operator/raft/configuration", "operator:read", getter=raft.raft_configuration),
    Route("/v1/operator/raft/peer", "operator:write", put=raft.add_peer, delete=raft.remove_peer, wrong_method=404),
    Route("/v1/operator/raft/transfer-leadership", "operator:write", put=raft.transfer_leadership),
    Route(
        "/v1/operator/autopilot/configuration", "operator:read",
        getter=raft.read_autopilot, put=raft.write_autopilot, wrong_method=404, only_put=True,
    ),
    Route(
        "/v1/operator/autopilot/health", "operator:read",
        getter=raft.autopilot_health, leader=True, wrong_method=404,
    ),
    Route(
        "/v1/operator/snapshot", "snapshot-save",
        getter=snapshot.save, put=snapshot.restore, streams_body=True,
    ),
    Route("/v1/operator/state", "operator:read", get=snapshot.state_sizes),
    Route(
        "/v1/operator/scheduler/configuration", "operator:read",
        get=cluster.read_scheduler, put=cluster.write_scheduler, body=SchedulerConfiguration,
    ),
    Route("/v1/operator/license", "operator:read", getter=enterprise.no_license, put=enterprise.only_there, local=True),
    *(Route(path, "management", getter=_E, put=_E, delete=_E, local=True) for path in enterprise.PATHS),
    Route("/v1/search", "read-job", put=search.search, body=search.SearchRequest),
    Route("/v1/search/fuzzy", "read-job", put=search.fuzzy, body=search.SearchRequest),
    Route("/v1/event/stream", "read-job", getter=events.stream, local=True),
    # What node agents ask for; a node shows its own secret.
    Route("/v1/agent-rpc/Node.Register", "node", put=node_agent.register, body=node_agent.NodeRegisterRequest),
    Route("/v1/agent-rpc/Node.UpdateStatus", "node", put=node_agent.update_status, body=node_agent.StatusRequest),
    Route("/v1/agent-rpc/Node.GetClientAllocs", "node", get=node_agent.client_allocs),
    Route("/v1/agent-rpc/Alloc.GetAllocs", "node", put=node_agent.get_allocs, body=node_agent.AllocsRequest),
    Route(
        "/v1/agent-rpc/Node.UpdateAlloc", "node",
        put=node_agent.update_alloc, body_bytes_max=JOB_BYTES_MAX, body=node_agent.UpdateRequest,
    ),
    Route(
        "/v1/agent-rpc/ServiceRegistration.Upsert", "node",
        put=node_agent.upsert_services, body=node_agent.ServicesRequest,
    ),
    Route(
        "/v1/agent-rpc/ServiceRegistration.DeleteByID", "node",
        put=node_agent.delete_services, body=node_agent.ServicesRequest,
    ),
    Route("/v1/services", "read-job", get=services.list_services),
    Route("/v1/system/gc", "management", put=cluster.collect_garbage, only_put=True),
    Route("/v1/system/reconcile/summaries", "management", put=cluster.reconcile_summaries, only_put=True),
    *CLIENT_FIXED,
)  # fmt: skip

JOB = Route(
    _J,
    _S,
    get=jobs_read.read_job,
    put=jobs_write.register,
    delete=jobs_write.deregister,
    body_bytes_max=JOB_BYTES_MAX,
    body=RegisterRequest,
)
# In this order: the first ending that fits is the endpoint.
JOB_SUFFIXES: tuple[tuple[str, Route], ...] = (
    ("/evaluate", Route(f"{_J}/evaluate", _S, put=jobs_write.evaluate, body=EvaluateRequest)),
    ("/allocations", Route(f"{_J}/allocations", "read-job", get=allocations.job_allocations)),
    ("/evaluations", Route(f"{_J}/evaluations", "read-job", get=jobs_read.job_evaluations)),
    ("/periodic/force", Route(f"{_J}/periodic/force", "dispatch-job", put=jobs_change.force_periodic)),
    ("/plan", Route(f"{_J}/plan", _S, put=jobs_change.plan, body_bytes_max=JOB_BYTES_MAX, body=JobPlanRequest)),
    ("/summary", Route(f"{_J}/summary", "read-job", get=jobs_read.read_summary, any_method=True)),
    ("/dispatch", Route(f"{_J}/dispatch", "dispatch-job", put=jobs_change.dispatch, body=DispatchRequest)),
    ("/dispatch/payload", Route(f"{_J}/dispatch/payload", "dispatch-job", put=jobs_change.dispatch_payload)),
    ("/versions", Route(f"{_J}/versions", "read-job", get=jobs_read.read_versions, any_method=True)),
    ("/revert", Route(f"{_J}/revert", _S, put=jobs_write.revert, body=RevertRequest)),
    ("/deployments", Route(f"{_J}/deployments", "read-job", get=jobs_read.job_deployments)),
    ("/deployment", Route(f"{_J}/deployment", "read-job", get=jobs_read.job_deployment)),
    ("/stable", Route(f"{_J}/stable", _S, put=jobs_write.stable, body=StableRequest)),
    ("/scale", Route(f"{_J}/scale", "scale-job", get=jobs_read.read_scale, put=jobs_change.scale, body=ScaleRequest)),
    ("/services", Route(f"{_J}/services", "read-job", get=jobs_read.job_services)),
    ("/submission", Route(f"{_J}/submission", "read-job", get=jobs_read.read_submission)),
    ("/actions", Route(f"{_J}/actions", "read-job", getter=jobs_read.job_actions)),
    ("/action", Route(f"{_J}/action", "alloc-exec", getter=client.no_websocket, any_method=True)),
)
TAG = Route(f"{_J}/versions/:tag/tag", _S, put=jobs_change.tag, delete=jobs_change.untag, body=TagRequest)
PREFIXES: tuple[tuple[str, Route], ...] = (
    (
        "/v1/namespace/",
        Route(
            "/v1/namespace/:name", "read-namespace",
            get=cluster.read_namespace, put=cluster.write_namespace, delete=cluster.delete_namespace, body=Namespace,
        ),
    ),
    (
        "/v1/node/pool/",
        Route(
            "/v1/node/pool/:name", "read-node-pool",
            get=cluster.read_node_pool, put=cluster.write_node_pool, delete=cluster.delete_node_pool, body=NodePool,
        ),
    ),
    *(
        (path, Route(path + ":name", "management", getter=_E, put=_E, delete=_E, local=True))
        for path in enterprise.PREFIXES
    ),
    ("/v1/evaluation/", Route("/v1/evaluation/:id", "read-job", get=scheduling.read_evaluation)),
    ("/v1/allocation/", Route("/v1/allocation/:id", "read-job", get=allocations.read_allocation)),
    (
        "/v1/deployment/allocations/",
        Route("/v1/deployment/allocations/:id", "read-job", get=allocations.deployment_allocations),
    ),
    *(
        (
            f"/v1/deployment/{verb}/",
            Route(f"/v1/deployment/{verb}/:id", _S, put=handler, body=deployments.DeploymentRequest),
        )
        for verb, handler in (
            ("promote", deployments.promote), ("pause", deployments.pause), ("fail", deployments.fail),
            ("unblock", deployments.unblock), ("allocation-health", deployments.set_health),
        )
    ),
    ("/v1/deployment/", Route("/v1/deployment/:id", "read-job", get=deployments.read_deployment)),
    ("/v1/node/", Route("/v1/node/:id", "node:read", get=nodes.read_node)),
    (
        "/v1/service/",
        Route("/v1/service/:name", "read-job", get=services.read_service, delete=services.delete_service),
    ),
    *CLIENT_PREFIXES,
    ("/v1/operator/raft/", Route("/v1/operator/raft/:other", "operator:read", wrong_method=404, local=True)),
    ("/v1/operator/keyring/", Route("/v1/operator/keyring/:other", "operator:read", local=True)),
    (
        "/v1/agent/keyring/",
        Route("/v1/agent/keyring/:other", "agent:write", getter=client.no_such_resource, local=True),
    ),
)  # fmt: skip
# Endings of paths that begin like one of the above.
ENDINGS: dict[str, tuple[tuple[str, Route], ...]] = {
    **CLIENT_ENDINGS,
    "/v1/evaluation/:id": (
        (
            "/allocations",
            Route("/v1/evaluation/:id/allocations", "read-job", get=allocations.evaluation_allocations),
        ),
    ),
    "/v1/allocation/:id": (
        ("/stop", Route("/v1/allocation/:id/stop", "alloc-lifecycle", put=allocations.stop)),
        ("/services", Route("/v1/allocation/:id/services", "read-job", get=services.allocation_services)),
        (
            "/checks",
            Route("/v1/allocation/:id/checks", "read-job", getter=client.of_allocation("checks"), local=True),
        ),
    ),
    "/v1/node/pool/:name": (
        ("/nodes", Route("/v1/node/pool/:name/nodes", "node:read", get=nodes.pool_nodes)),
        ("/jobs", Route("/v1/node/pool/:name/jobs", "list-jobs", get=jobs_read.pool_jobs)),
    ),
    "/v1/node/:id": (
        ("/allocations", Route("/v1/node/:id/allocations", "node:read", get=nodes.node_allocations)),
        (
            "/eligibility",
            Route("/v1/node/:id/eligibility", "node:write", put=nodes.set_eligibility, body=nodes.EligibilityRequest),
        ),
        ("/drain", Route("/v1/node/:id/drain", "node:write", put=nodes.drain, body=nodes.DrainRequest)),
        ("/evaluate", Route("/v1/node/:id/evaluate", "node:write", put=nodes.evaluate)),
        ("/purge", Route("/v1/node/:id/purge", "node:write", put=nodes.purge)),
    ),
}
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
