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
    job_statuses,
    jobs_change,
    jobs_parse,
    jobs_read,
    jobs_write,
    keyring,
    monitor,
    namespaces,
    node_agent,
    nodes,
    pools,
    raft,
    scaling,
    schedulers,
    scheduling,
    search,
    services,
    snapshot,
    variables,
)
from yurt.server.http.table_acl import ACL_FIXED, ACL_PREFIXES
from yurt.server.http.table_client import CLIENT_ENDINGS, CLIENT_FIXED, CLIENT_PREFIXES

_J, _C = "/v1/job/:id", "list-jobs"
_R, _D = "its submit-job|register-job", "submit-job|deregister-job|purge-job"
LIST = Route(
    "/v1/jobs",
    _C,
    get=jobs_read.list_jobs,
    put=jobs_write.register,
    put_capability=_R,
    body_bytes_max=JOB_BYTES_MAX,
    body=RegisterRequest,
)


_E = enterprise.only_there
FIXED: tuple[Route, ...] = (
    LIST,
    Route(
        "/v1/jobs/parse", "parse-job",
        put=jobs_parse.parse, local=True, body_bytes_max=JOB_BYTES_MAX, body=JobsParseRequest,
    ),
    Route(
        "/v1/validate/job", "its read-job",
        put=jobs_write.validate, local=True, body_bytes_max=JOB_BYTES_MAX, body=RegisterRequest,
    ),
    Route(
        "/v1/evaluations", "read-job",
        get=scheduling.list_evaluations, delete=scheduling.delete_evaluations, delete_capability="management",
        body=scheduling.DeleteRequest,
    ),
    Route("/v1/jobs/statuses", "read-job", get=job_statuses.statuses, reads_by_post=True),
    Route("/v1/scaling/policies", "own", get=scaling.list_policies),
    Route("/v1/agent/schedulers", "agent:read", getter=schedulers.schedulers, local=True),
    Route(
        "/v1/agent/schedulers/config", "agent:read", put_capability="agent:write",
        getter=schedulers.read_configuration, put=schedulers.write_configuration, local=True,
    ),
    Route("/v1/vars", "own", get=variables.list_variables, options_error="failed to parse parameters"),
    Route("/v1/operator/keyring/keys", "operator:keyring-read", get=keyring.list_keys),
    Route("/v1/operator/keyring/rotate", "operator:keyring-rotate", put=keyring.rotate),
    Route("/v1/evaluations/count", "read-job", get=scheduling.count_evaluations),
    Route("/v1/allocations", "read-job", get=allocations.list_allocations),
    Route("/v1/deployments", "read-job", get=deployments.list_deployments),
    Route("/v1/nodes", "node:read", get=nodes.list_nodes),
    Route("/v1/node/pools", "own", get=pools.list_node_pools, put=pools.write_node_pool, body=NodePool),
    Route("/v1/namespaces", "own", get=namespaces.list_namespaces),
    Route("/v1/namespace", "management", put=namespaces.write_namespace, body=Namespace),
    Route("/v1/status/leader", "", getter=cluster.status_leader),
    Route("/v1/status/peers", "", getter=cluster.status_peers),
    Route("/v1/regions", "", getter=cluster.regions, local=True),
    Route("/v1/agent/monitor", "agent:read", getter=monitor.monitor, local=True),
    Route("/v1/agent/host", "agent:read", getter=monitor.host, local=True),
    Route("/v1/agent/health", "", getter=cluster.agent_health, local=True),
    Route("/v1/agent/members", "node:read", getter=cluster.agent_members, local=True),
    Route("/v1/agent/self", "agent:read", getter=cluster.agent_self, local=True),
    Route("/v1/metrics", "", getter=cluster.metrics, local=True),
    Route("/v1/agent/join", "agent:write", put=raft.join, local=True),
    Route("/v1/agent/force-leave", "agent:write", put=raft.force_leave),
    Route("/v1/operator/raft/configuration", "management", getter=raft.raft_configuration),
    Route("/v1/operator/raft/peer", "management", put=raft.add_peer, delete=raft.remove_peer, wrong_method=404),
    Route("/v1/operator/raft/transfer-leadership", "management", put=raft.transfer_leadership),
    Route(
        "/v1/operator/autopilot/configuration", "operator:read", put_capability="operator:write",
        getter=raft.read_autopilot, put=raft.write_autopilot, wrong_method=404, only_put=True,
    ),
    Route(
        "/v1/operator/autopilot/health", "operator:read",
        getter=raft.autopilot_health, leader=True, wrong_method=404,
    ),
    Route(
        "/v1/operator/snapshot", "operator:write|snapshot-save", put_capability="management",
        getter=snapshot.save, put=snapshot.restore, streams_body=True,
    ),
    Route("/v1/operator/state", "operator:read", get=snapshot.state_sizes),
    Route(
        "/v1/operator/scheduler/configuration", "operator:read", put_capability="operator:write",
        get=cluster.read_scheduler, put=cluster.write_scheduler, body=SchedulerConfiguration,
    ),
    Route("/v1/operator/license", "", getter=enterprise.no_license, put=enterprise.only_there, local=True),
    *(Route(path, "", getter=_E, put=_E, delete=_E, local=True) for path in enterprise.PATHS),
    Route("/v1/search", "own", put=search.search, body=search.SearchRequest),
    Route("/v1/search/fuzzy", "own", put=search.fuzzy, body=search.SearchRequest),
    Route("/v1/event/stream", "own", getter=events.stream, local=True),
    # What node agents ask for; a node shows its own secret.
    Route("/v1/agent-rpc/Node.Register", "secret", put=node_agent.register, body=node_agent.NodeRegisterRequest),
    Route("/v1/agent-rpc/Node.UpdateStatus", "secret", put=node_agent.update_status, body=node_agent.StatusRequest),
    Route("/v1/agent-rpc/Node.GetClientAllocs", "secret", get=node_agent.client_allocs),
    Route("/v1/agent-rpc/Alloc.GetAllocs", "secret", put=node_agent.get_allocs, body=node_agent.AllocsRequest),
    Route(
        "/v1/agent-rpc/Node.UpdateAlloc", "secret",
        put=node_agent.update_alloc, body_bytes_max=JOB_BYTES_MAX, body=node_agent.UpdateRequest,
    ),
    Route(
        "/v1/agent-rpc/ServiceRegistration.Upsert", "secret",
        put=node_agent.upsert_services, body=node_agent.ServicesRequest,
    ),
    Route(
        "/v1/agent-rpc/ServiceRegistration.DeleteByID", "secret",
        put=node_agent.delete_services, body=node_agent.ServicesRequest,
    ),
    Route("/v1/agent-rpc/Alloc.SignIdentities", "secret", put=node_agent.sign_identities, body=node_agent.SignRequest),
    Route("/v1/agent-rpc/ACL.Authorize", "secret", put=node_agent.authorize, body=node_agent.AuthorizeRequest),
    Route("/v1/services", "listed read-job", get=services.list_services),
    Route("/v1/system/gc", "management", put=cluster.collect_garbage, only_put=True),
    Route("/v1/system/reconcile/summaries", "management", put=cluster.reconcile_summaries, only_put=True),
    *CLIENT_FIXED,
    *ACL_FIXED,
)  # fmt: skip

JOB = Route(
    _J,
    "read-job",
    get=jobs_read.read_job,
    put=jobs_write.register,
    put_capability=_R,
    delete=jobs_write.deregister,
    delete_capability=_D,
    body_bytes_max=JOB_BYTES_MAX,
    body=RegisterRequest,
)
# In this order: the first ending that fits is the endpoint.
JOB_SUFFIXES: tuple[tuple[str, Route], ...] = (
    (
        "/evaluate",
        Route(f"{_J}/evaluate", "its submit-job|evaluate-job", put=jobs_write.evaluate, body=EvaluateRequest),
    ),
    ("/allocations", Route(f"{_J}/allocations", "read-job", get=allocations.job_allocations)),
    ("/evaluations", Route(f"{_J}/evaluations", "read-job", get=jobs_read.job_evaluations)),
    (
        "/periodic/force",
        Route(f"{_J}/periodic/force", "dispatch-job|submit-job|force-periodic-job", put=jobs_change.force_periodic),
    ),
    (
        "/plan",
        Route(
            f"{_J}/plan",
            "its submit-job|plan-job",
            put=jobs_change.plan,
            body_bytes_max=JOB_BYTES_MAX,
            body=JobPlanRequest,
        ),
    ),
    ("/summary", Route(f"{_J}/summary", "read-job", get=jobs_read.read_summary, any_method=True)),
    ("/dispatch", Route(f"{_J}/dispatch", "its dispatch-job", put=jobs_change.dispatch, body=DispatchRequest)),
    ("/dispatch/payload", Route(f"{_J}/dispatch/payload", "its dispatch-job", put=jobs_change.dispatch_payload)),
    ("/versions", Route(f"{_J}/versions", "read-job", get=jobs_read.read_versions, any_method=True)),
    ("/revert", Route(f"{_J}/revert", "its submit-job|revert-job", put=jobs_write.revert, body=RevertRequest)),
    ("/deployments", Route(f"{_J}/deployments", "read-job", get=jobs_read.job_deployments)),
    ("/deployment", Route(f"{_J}/deployment", "read-job", get=jobs_read.job_deployment)),
    ("/stable", Route(f"{_J}/stable", "its submit-job|stable-job", put=jobs_write.stable, body=StableRequest)),
    (
        "/scale",
        Route(
            f"{_J}/scale",
            "read-job|read-job-scaling",
            put_capability="scale-job|submit-job",
            get=jobs_read.read_scale,
            put=jobs_change.scale,
            body=ScaleRequest,
        ),
    ),
    ("/services", Route(f"{_J}/services", "read-job", get=jobs_read.job_services)),
    ("/submission", Route(f"{_J}/submission", "read-job", get=jobs_read.read_submission)),
    ("/actions", Route(f"{_J}/actions", "read-job", getter=jobs_read.job_actions)),
    ("/action", Route(f"{_J}/action", "its alloc-exec", getter=client.no_websocket, any_method=True)),
)
TAG = Route(
    f"{_J}/versions/:tag/tag",
    "submit-job|tag-job-version",
    put=jobs_change.tag,
    delete=jobs_change.untag,
    body=TagRequest,
)
PREFIXES: tuple[tuple[str, Route], ...] = (
    (
        "/v1/namespace/",
        Route(
            "/v1/namespace/:name", "own", put_capability="management", delete_capability="management",
            get=namespaces.read_namespace, put=namespaces.write_namespace, delete=namespaces.delete_namespace,
            body=Namespace,
        ),
    ),
    (
        "/v1/node/pool/",
        Route(
            "/v1/node/pool/:name", "pool:read", put_capability="own", delete_capability="pool:delete",
            get=pools.read_node_pool, put=pools.write_node_pool, delete=pools.delete_node_pool, body=NodePool,
        ),
    ),
    *(
        (path, Route(path + ":name", "", getter=_E, put=_E, delete=_E, local=True))
        for path in enterprise.PREFIXES
    ),
    ("/v1/scaling/policy/", Route("/v1/scaling/policy/:id", "own", get=scaling.read_policy)),
    ("/v1/evaluation/", Route("/v1/evaluation/:id", "its read-job", get=scheduling.read_evaluation)),
    ("/v1/allocation/", Route("/v1/allocation/:id", "its read-job", get=allocations.read_allocation)),
    (
        "/v1/deployment/allocations/",
        Route("/v1/deployment/allocations/:id", "its read-job", get=allocations.deployment_allocations),
    ),
    *(
        (
            f"/v1/deployment/{verb}/",
            Route(
                f"/v1/deployment/{verb}/:id", f"its submit-job|{right}",
                put=handler, body=deployments.DeploymentRequest,
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
    ("/v1/deployment/", Route("/v1/deployment/:id", "its read-job", get=deployments.read_deployment)),
    ("/v1/node/", Route("/v1/node/:id", "node:read", get=nodes.read_node)),
    (
        "/v1/service/",
        Route(
            "/v1/service/:name", "service read-job", get=services.read_service, delete=services.delete_service,
            delete_capability="submit-job|delete-service-registration",
        ),
    ),
    *CLIENT_PREFIXES,
    *ACL_PREFIXES,
    ("/v1/operator/raft/", Route("/v1/operator/raft/:other", "operator:read", wrong_method=404, local=True)),
    (
        "/v1/var/",
        Route(
            "/v1/var/:path", "own", wrong_method=400, options_error="failed to parse parameters",
            get=variables.read_variable, put=variables.write_variable, delete=variables.delete_variable,
            body=variables.VariableRequest,
        ),
    ),
    (
        "/v1/operator/keyring/key/",
        Route("/v1/operator/keyring/key/:id", "operator:keyring-delete", delete=keyring.delete_key),
    ),
    ("/v1/operator/keyring/", Route("/v1/operator/keyring/:other", "operator:keyring-read", local=True)),
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
            Route("/v1/evaluation/:id/allocations", "its read-job", get=allocations.evaluation_allocations),
        ),
    ),
    "/v1/allocation/:id": (
        ("/stop", Route("/v1/allocation/:id/stop", "its alloc-lifecycle", put=allocations.stop)),
        ("/services", Route("/v1/allocation/:id/services", "its read-job", get=services.allocation_services)),
        (
            "/checks",
            Route("/v1/allocation/:id/checks", "its read-job", getter=client.of_allocation("checks"), local=True),
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
