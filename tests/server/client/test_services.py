"""Services and their checks (spec node-agent §13)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.server.client.test_runners import allocation, asynchronous, task
from yurt.fsm.errors import YurtError
from yurt.fsm.structs.allocation import (
    AllocatedPort,
    AllocatedResources,
    AllocatedShared,
    Allocation,
    AllocDeploymentStatus,
)
from yurt.fsm.structs.base import replace, to_builtins
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.registration import ServiceRegistration
from yurt.fsm.structs.service import Check, CheckRestart, Service
from yurt.server.client import registrar
from yurt.server.client.checks import Checks, Watched, watched
from yurt.server.client.environment import Environment
from yurt.server.client.offers import GROUP, Offers
from yurt.server.client.registrar import Registrar
from yurt.server.client.services import registrations

ENV = Environment({"NOMAD_JOB_ID": "j", "NOMAD_TASK_NAME": "t"}, {})


def row(port: int = 25000, **fields: Any) -> Allocation:
    shared = AllocatedShared(ports=(AllocatedPort(label="http", value=port, to=80, host_ip="127.0.0.1"),))
    return replace(allocation(task()), allocated_resources=AllocatedResources(shared=shared), **fields)


@pytest.mark.parametrize(
    ("fields", "address", "port", "end"),
    [
        ({"port_label": "http"}, "127.0.0.1", 25000, "web-http"), ({"port_label": "9999"}, "", 9999, "web-9999"),
        ({"port_label": "9999", "address": "192.0.2.7"}, "192.0.2.7", 9999, "web-9999"),
        ({"port_label": "http", "address": "192.0.2.7"}, "192.0.2.7", 25000, "web-http"), ({}, "", 0, "web-"),
    ],
)  # fmt: skip
def test_addresses(fields: dict[str, str], address: str, port: int, end: str) -> None:
    made = registrations(row(), (Service(name="web", provider="nomad", **fields),), "t", ENV, "dc1")  # type: ignore[arg-type]
    ((identifier, one),) = made.items()
    assert (one.address, one.port, identifier) == (address, port, f"_nomad-task-a-t-{end}")
    assert (one.datacenter, one.job_id, one.alloc_id, one.node_id) == ("dc1", "j", "a", "n")


def test_names_are_interpolated_and_other_providers_are_not_ours() -> None:
    services = (
        Service(name="${NOMAD_JOB_ID}-x", provider="nomad", tags=("${NOMAD_TASK_NAME}",)),
        Service(name="c", provider="consul"),
    )
    (one,) = registrations(row(), services, "t", ENV, "dc1").values()
    assert (one.service_name, one.tags) == ("j-x", ("t",))


@pytest.mark.parametrize(("canary", "tags"), [(True, ("new",)), (False, ("old",))])
def test_tags_of_canaries(canary: bool, tags: tuple[str, ...]) -> None:
    service = Service(name="w", provider="nomad", tags=("old",), canary_tags=("new",))
    given = row(deployment_status=AllocDeploymentStatus(canary=canary))
    (one,) = registrations(given, (service,), "t", ENV, "dc1").values()
    assert one.tags == tags


class Servers:
    """Remember what is registered; refuse so many times first."""

    def __init__(self, refusals: int = 0) -> None:
        self.refusals, self.known, self.asked = refusals, set[str](), 0

    def _ask(self) -> None:
        self.asked += 1
        if self.refusals:
            self.refusals -= 1
            raise YurtError("no leader")

    async def upsert_services(self, services: list[ServiceRegistration]) -> None:
        self._ask()
        self.known |= {one.id for one in services}

    async def delete_services(self, ids: list[str]) -> None:
        self._ask()
        self.known -= set(ids)


@asynchronous
async def test_the_newest_wish_wins_over_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registrar, "RETRY_SECONDS", (0.01,))
    servers = Servers(refusals=3)
    one = Registrar(servers)
    work = asyncio.ensure_future(one.run())
    one.put({"x": ServiceRegistration(id="x"), "y": ServiceRegistration(id="y")})
    await asyncio.sleep(0.015)
    one.remove(["x"])
    async with asyncio.timeout(5):
        while servers.known != {"y"}:
            await asyncio.sleep(0.005)
    await asyncio.sleep(0.03)
    asked = servers.asked
    await asyncio.sleep(0.05)
    assert servers.asked == asked and servers.known == {"y"}
    work.cancel()


class Answering:
    """A server of raw answers."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer

    async def __aenter__(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aexit__(self, *_error: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"HTTP/1.1 %b\r\nContent-Length: 4\r\n\r\nbody" % self.answer)
        writer.close()


async def result(check: Check, port: int, seconds: float = 5) -> Watched:
    service = Service(name="w", provider="nomad", port_label="http", checks=(check,))
    (one,) = watched(row(port), (service,), "t", ENV)
    assert (one.status, one.output) == ("pending", "nomad: waiting to run")
    changed = asyncio.Event()
    checks = Checks(changed.set, lambda _task, _reason: None)
    checks.start("t", [one])
    async with asyncio.timeout(seconds):
        await changed.wait()
    checks.stop_all()
    return one


@pytest.mark.parametrize(
    ("kind", "answer", "status", "output"),
    [
        ("http", b"200 OK", "success", "nomad: http ok"), ("http", b"204 No", "success", "body"),
        ("http", b"503 Busy", "failure", "body"), ("tcp", b"", "success", "nomad: tcp ok"),
    ],
)  # fmt: skip
@asynchronous
async def test_checks(kind: str, answer: bytes, status: str, output: str) -> None:
    async with Answering(answer) as port:
        one = await result(Check(type=kind, path="/x", interval=10**9, timeout=10**9), port)
    assert (one.status, one.output) == (status, output)
    told = to_builtins(one.told("j.g[0]"))
    assert (told["Mode"], told["Group"], told["Task"], told["Service"]) == ("healthiness", "j.g[0]", "t", "w")
    assert told["Check"] == 'service: "w" check' and ("StatusCode" in told) == (kind == "http")


@pytest.mark.parametrize("kind", ["http", "tcp"])
@asynchronous
async def test_nobody_listens(kind: str) -> None:
    async with Answering(b"") as port:
        pass
    one = await result(Check(type=kind, interval=10**9, timeout=10**9), port)
    assert one.status == "failure" and one.output.startswith("nomad: ")


@asynchronous
async def test_a_check_that_fails_often_enough_asks_for_a_restart() -> None:
    asked: list[tuple[str, str]] = []
    check = Check(type="tcp", name="alive", interval=10**8, timeout=10**8, check_restart=CheckRestart(limit=2, grace=0))
    service = Service(name="w", provider="nomad", port_label="1", checks=(check,))
    checks = Checks(lambda: None, lambda name, reason: asked.append((name, reason)))
    checks.start("t", watched(row(), (service,), "t", ENV))
    async with asyncio.timeout(5):
        while not asked:
            await asyncio.sleep(0.01)
    checks.stop_all()
    assert asked[0] == ("t", 'healthcheck: check "alive" unhealthy')


class Registered:
    """Remembers wishes in place of the registrar."""

    def __init__(self) -> None:
        self.there: dict[str, ServiceRegistration] = {}

    def put(self, services: dict[str, ServiceRegistration]) -> None:
        self.there |= services

    def remove(self, ids: list[str]) -> None:
        for one in ids:
            self.there.pop(one, None)


@asynchronous
async def test_an_update_in_place_changes_what_is_offered() -> None:
    def group(*services: Service) -> TaskGroup:
        return TaskGroup(name="g", services=services)

    def with_group(given: TaskGroup) -> Allocation:
        return row(job=Job(id="j", task_groups=(given,)))

    known = Registered()
    check = Check(type="tcp", interval=10**9, timeout=10**8)
    first = group(Service(name="a", provider="nomad", tags=("old",), checks=(check,)))
    offers = Offers(first, known, lambda _task: ENV, changed=lambda: None, restart=lambda _t, _r: None)  # type: ignore[arg-type]
    offers.start(GROUP, with_group(first), "dc1")
    (before,) = offers.checks()
    tagged = Service(name="a", provider="nomad", tags=("new",), checks=(check,))
    offers.renew(with_group(group(tagged, Service(name="b", provider="nomad"))), "dc1")
    assert {one.service_name: one.tags for one in known.there.values()} == {"a": ("new",), "b": ()}
    assert offers.checks() == [before]  # the same check just goes on
    offers.renew(with_group(group()), "dc1")
    assert known.there == {} and offers.checks() == []
    offers.renew(with_group(group(tagged)), "dc1")  # there may be services where there were none
    assert len(known.there) == 1
    offers.stop_all()
    assert known.there == {}


@asynchronous
async def test_a_check_over_tls_speaks_tls() -> None:
    async with Answering(b"200 OK") as port:  # which does not
        one = await result(
            Check(type="http", protocol="https", tls_skip_verify=True, interval=10**9, timeout=10**9), port
        )
    assert one.status == "failure" and one.output.startswith('nomad: Get "https://')
