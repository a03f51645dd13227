"""The part of the route table that node agents ask for; a node shows its own secret (spec client-rpc §4)."""

from __future__ import annotations

from yurt.server.http.asgi.answers import IndexAnswer
from yurt.server.http.routes import node_agent
from yurt.server.http.routes.nodes import NodeAnswer
from yurt.server.http.routing.route import JOB_BYTES_MAX, Route

_P = "/v1/agent-rpc"

NODES_FIXED: tuple[Route, ...] = (
    Route(
        f"{_P}/Node.Register", "secret",
        put=node_agent.register, body=node_agent.NodeRegisterRequest, put_answer=NodeAnswer,
    ),
    Route(
        f"{_P}/Node.UpdateStatus", "secret",
        put=node_agent.update_status, body=node_agent.StatusRequest, put_answer=NodeAnswer,
    ),
    Route(
        f"{_P}/Node.GetClientAllocs", "secret",
        get=node_agent.client_allocs, answer=node_agent.ClientAllocsAnswer,
    ),
    Route(
        f"{_P}/Alloc.GetAllocs", "secret",
        put=node_agent.get_allocs, body=node_agent.AllocsRequest, put_answer=node_agent.AllocsAnswer,
    ),
    Route(
        f"{_P}/Node.UpdateAlloc", "secret",
        put=node_agent.update_alloc, body=node_agent.UpdateRequest, body_bytes_max=JOB_BYTES_MAX,
        put_answer=IndexAnswer,
    ),
    Route(
        f"{_P}/ServiceRegistration.Upsert", "secret",
        put=node_agent.upsert_services, body=node_agent.ServicesRequest, put_answer=IndexAnswer,
    ),
    Route(
        f"{_P}/ServiceRegistration.DeleteByID", "secret",
        put=node_agent.delete_services, body=node_agent.ServicesRequest, put_answer=IndexAnswer,
    ),
    Route(
        f"{_P}/Alloc.SignIdentities", "secret",
        put=node_agent.sign_identities, body=node_agent.SignRequest, put_answer=node_agent.SignAnswer,
    ),
    Route(
        f"{_P}/ACL.Authorize", "secret",
        put=node_agent.authorize, body=node_agent.AuthorizeRequest, put_answer=node_agent.AuthorizeAnswer,
    ),
)  # fmt: skip
