"""No read holds the loop: every query of the route table and every search, over a state of thousands of rows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from yurt.fsm.machine import Machine
from yurt.fsm.store.reader import Reader
from yurt.fsm.store.schema import (
    ACL_POLICIES,
    ACL_ROLES,
    ACL_TOKENS,
    ALLOCATIONS,
    DEPLOYMENTS,
    EVALUATIONS,
    JOBS,
    NAMESPACES,
    NODE_POOLS,
    NODES,
    SERVICE_REGISTRATIONS,
    VARIABLES,
    Table,
)
from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.evaluation import Evaluation
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.policies import ScalingPolicy
from yurt.server.config.agent import AgentConfig
from yurt.server.http.asgi.context import Context
from yurt.server.http.query.reads import Reads
from yurt.server.http.routes import search
from yurt.server.http.routing.route import Route
from yurt.server.http.routing.table import ROUTES
from yurt.server.platform.turns import STEPS_AT_ONCE, Turns
from yurt.server.server import Server
from yurt.server.telemetry.metrics import Metrics

ROWS = 3000
ROWS_A_ROUND_MAX = 512  # of the whole pass, and of 256 rows of a chunk that are looked at and encoded
ID = "00000000-0000-4000-8000-000000000000"


def uuid(number: int) -> str:
    return f"{number:08d}{ID[8:]}"


def fill(machine: Machine) -> None:
    """Thousands of rows in each table that is listed, most of them of one job, node, service and evaluation."""
    policy = ScalingPolicy(id=ID, type="horizontal")
    groups = (TaskGroup(name="g", scaling=policy),)
    own = {"namespace": "default", "job_id": "j", "node_id": ID, "eval_id": ID, "deployment_id": ID}
    rows: list[tuple[Table[Any, Any], Any]] = [
        (EVALUATIONS, Evaluation(id=ID, namespace="default", job_id="j")),
        (DEPLOYMENTS, replace(DEPLOYMENTS.record(), id=ID, namespace="default", job_id="j")),
        (NODES, replace(NODES.record(), id=ID, node_pool="default")),
        (NODE_POOLS, replace(NODE_POOLS.record(), name="default")),
        (JOBS, Job(id="j", namespace="default", node_pool="default", parent_id="p", modify_index=1)),
    ]
    for number in range(1, ROWS):
        name, scaling = f"n{number:05d}", replace(policy, id=uuid(number))
        group = replace(groups[0], scaling=scaling)
        rows += [
            (JOBS, Job(id=name, namespace="default", node_pool="default", modify_index=number, task_groups=(group,))),
            (EVALUATIONS, Evaluation(id=uuid(number), namespace="default", job_id="j", create_index=number)),
            (ALLOCATIONS, Allocation(id=uuid(number), name=name, create_index=number, client_status="running", **own)),
            (DEPLOYMENTS, replace(DEPLOYMENTS.record(), id=uuid(number), namespace="default", job_id="j")),
            (NODES, replace(NODES.record(), id=uuid(number), name=name, node_pool="default")),
            (NODE_POOLS, replace(NODE_POOLS.record(), name=name)),
            (NAMESPACES, replace(NAMESPACES.record(), name=name)),
            (VARIABLES, replace(VARIABLES.record(), namespace="default", path=name)),
            (ACL_POLICIES, replace(ACL_POLICIES.record(), name=name)),
            (ACL_ROLES, replace(ACL_ROLES.record(), id=uuid(number), name=name)),
            (ACL_TOKENS, replace(ACL_TOKENS.record(), accessor_id=uuid(number), secret_id=name)),
            (
                SERVICE_REGISTRATIONS,
                replace(
                    SERVICE_REGISTRATIONS.record(), id=name, namespace="default", job_id="j", service_name="s",
                    alloc_id=uuid(number), node_id=ID,
                ),
            ),
        ]  # fmt: skip
    transaction = machine.store.begin(machine.index + 1)
    for table, row in rows:
        transaction.put(table, row)
    machine.store.commit(transaction)


class Looked:
    """How many rows are read, in all and in the round of the loop with the most."""

    def __init__(self) -> None:
        self.total = self.most = self._now = 0

    def row(self, rows: int = 1) -> None:
        self.total += rows
        self._now += rows
        self.most = max(self.most, self._now)

    async def rounds(self) -> None:
        """Each time that everything else has had its turn is a new round."""
        while True:
            self._now = 0
            await asyncio.sleep(0)


@pytest.fixture(scope="module")
def server() -> Server:
    machine = Machine()
    fill(machine)
    engine: Any = SimpleNamespace(own=SimpleNamespace(id="a"), configuration=[], is_ready=True, applied_index=1)
    server = Server(AgentConfig(), machine, engine, SimpleNamespace(hellos={}), Metrics())  # type: ignore[arg-type]
    server.authority.enabled = True  # requests have every right all the same: nobody authorizes them
    milliseconds = count()
    server.turns = Turns(lambda: next(milliseconds) / 1000)
    return server


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> Looked:
    found = Looked()
    rows_in, each, find = Reader._rows_in, Reader.each, Reader.find

    def counted_rows(self: Reader, *given: Any) -> Iterator[Any]:
        for row in rows_in(self, *given):
            found.row()
            yield row

    def counted_each(self: Reader, *given: Any) -> Iterator[Any]:
        for row in each(self, *given):
            found.row()
            yield row

    def counted_find(self: Reader, *given: Any) -> list[Any]:
        rows = find(self, *given)
        found.row(len(rows))
        return rows

    monkeypatch.setattr(Reader, "_rows_in", counted_rows)
    monkeypatch.setattr(Reader, "each", counted_each)
    monkeypatch.setattr(Reader, "find", counted_find)
    return found


def ask(server: Server, looked: Looked, context: Context, route: Route | None, handler: Any = None) -> bytes:
    async def main() -> bytes:
        rounds = asyncio.ensure_future(looked.rounds())
        try:
            reads = Reads(waiters_max=9, jitter=lambda: 0.0)
            form = route.body if route and context.body else None
            answer = await (reads.answer(context, route.get, form) if route and route.get else handler(context))
            return await answer.whole(server.turns, "")
        finally:
            rounds.cancel()

    return asyncio.run(main())


# Reads of one thing, or of as much as one thing has by its nature.
SINGLE = {
    "/v1/job/:id", "/v1/job/:id/summary", "/v1/job/:id/versions", "/v1/job/:id/submission", "/v1/job/:id/deployment",
    "/v1/evaluation/:id", "/v1/allocation/:id", "/v1/allocation/:id/services", "/v1/deployment/:id", "/v1/node/:id",
    "/v1/node/pool/:name", "/v1/namespace/:name", "/v1/acl/policy/:name", "/v1/acl/token/:accessor",
    "/v1/acl/token/self", "/v1/acl/role/:id", "/v1/acl/role/name/:name", "/v1/acl/policy/self", "/v1/var/:path",
    "/v1/operator/state", "/v1/operator/scheduler/configuration", "/v1/operator/keyring/keys",
    "/v1/acl/auth-methods", "/v1/acl/binding-rules", "/v1/agent-rpc/Node.GetClientAllocs",
}  # fmt: skip
LISTS = [route for route in ROUTES if route.get is not None and route.path not in SINGLE]
ARGUMENT = {"job": "j", "service": "s", "pool": "default", "scaling": "nothing"}


@pytest.mark.parametrize("route", LISTS, ids=lambda route: route.path)
@pytest.mark.parametrize("query", ["", "filter=ID+%3D%3D+%22nothing%22"], ids=["all", "filtered"])
def test_no_query_looks_at_more_rows_in_a_round_than_a_slice_has(
    server: Server, looked: Looked, route: Route, query: str
) -> None:
    if "filter" in query and route.path in NO_ID:
        query = query.replace("ID", NO_ID[route.path])
    context = Context(server, "GET", route.path, query.encode(), {}, b"")
    kind = next((kind for kind in ("pool", "scaling", "job", "service") if f"/{kind}" in route.path), "")
    context.arguments = (ARGUMENT.get(kind, ID),) if ":" in route.path else ()
    try:
        ask(server, looked, context, route)
    except Exception as error:  # noqa: BLE001 (an endpoint without such a field says so at the first row)
        pytest.fail(f"{route.path}: {error!r}")
    assert looked.total >= ROWS - 1, "the list was not read at all"
    assert looked.most <= ROWS_A_ROUND_MAX


NO_ID = {
    "/v1/namespaces": "Name", "/v1/node/pools": "Name", "/v1/acl/policies": "Name", "/v1/vars": "VariableMetadata.Path",
    "/v1/acl/tokens": "AccessorID",
}  # fmt: skip


@pytest.mark.parametrize("handler", [search.search, search.fuzzy], ids=["prefix", "fuzzy"])
@pytest.mark.parametrize("what", ["all", "jobs", "allocs", "vars", "scaling_policy"])
def test_no_search_looks_at_more_rows_in_a_round_than_a_slice_has(
    server: Server, looked: Looked, handler: Any, what: str
) -> None:
    body = orjson.dumps({"Prefix": "zz" if what in ("vars", "scaling_policy") else "", "Text": "n0", "Context": what})
    context = Context(server, "POST", "/v1/search", b"namespace=*", {}, body)
    assert ask(server, looked, context, None, handler)
    assert looked.most <= ROWS_A_ROUND_MAX


def test_a_page_ends_where_it_is_full(server: Server, looked: Looked) -> None:
    for path in ("/v1/jobs", "/v1/jobs/statuses", "/v1/evaluations", "/v1/allocations", "/v1/nodes"):
        route = next(route for route in ROUTES if route.path == path)
        looked.total = 0
        ask(server, looked, Context(server, "GET", path, b"per_page=25", {}, b""), route)
        assert looked.total <= 2 * STEPS_AT_ONCE, path


@pytest.mark.parametrize("is_named", [False, True], ids=["all", "named"])
def test_a_job_with_much_below_it_is_shown_in_slices(server: Server, looked: Looked, is_named: bool) -> None:
    """Its allocations and deployments are thousands, and so are the children of its parent."""
    names = [{"ID": name, "Namespace": "default"} for name in ("j", "nobody")]
    body = orjson.dumps({"Jobs": names, "IncludeChildren": True}) if is_named else b""
    query = b"" if is_named else b"include_children=true"
    context = Context(server, "POST" if is_named else "GET", "/v1/jobs/statuses", query, {}, body)
    route = next(route for route in ROUTES if route.path == "/v1/jobs/statuses")
    shown = next(row for row in orjson.loads(ask(server, looked, context, route)) if row["ID"] == "j")
    assert len(shown["Allocs"]) == ROWS - 1 and shown["LatestDeployment"]["ID"] == ID
    assert looked.most <= ROWS_A_ROUND_MAX


def test_many_named_jobs_are_looked_up_in_slices(
    server: Server, looked: Looked, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = Reader.get

    def counted_get(self: Reader, *given: Any) -> Any:
        looked.row()
        return get(self, *given)

    monkeypatch.setattr(Reader, "get", counted_get)
    body = orjson.dumps({"Jobs": [{"ID": f"n{number:05d}"} for number in range(1, ROWS)]})
    context = Context(server, "POST", "/v1/jobs/statuses", b"", {}, body)
    route = next(route for route in ROUTES if route.path == "/v1/jobs/statuses")
    assert len(orjson.loads(ask(server, looked, context, route))) == ROWS - 1
    assert looked.most <= ROWS_A_ROUND_MAX


def test_equal_queries_share_one_pass(server: Server, looked: Looked) -> None:
    route = next(route for route in ROUTES if route.path == "/v1/jobs")

    async def main() -> set[bytes]:
        reads = Reads(waiters_max=9, jitter=lambda: 0.0)
        assert route.get is not None
        contexts = [Context(server, "GET", "/v1/jobs", b"", {}, b"") for _ in range(20)]
        answers = await asyncio.gather(*(reads.answer(context, route.get) for context in contexts))
        assert len({id(answer.rows) for answer in answers}) == 1
        return {await answer.whole(server.turns, "") for answer in answers}

    assert len(asyncio.run(main())) == 1
    assert looked.total <= 2 * ROWS, "one pass, and the first steps of the request that began it"
