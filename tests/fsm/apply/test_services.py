"""Registrations of services: there while their allocation lives (spec node-agent §13, cluster §8)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fsm.apply.world import World
from yurt.fsm import commands as c
from yurt.fsm import commands_nodes as n
from yurt.fsm.commands_services import DeleteServices, UpsertServices
from yurt.fsm.store.schema import SERVICE_REGISTRATIONS
from yurt.fsm.structs.registration import ServiceRegistration


def service(name: str = "s", alloc_id: str = "a1", **fields: Any) -> ServiceRegistration:
    return ServiceRegistration(
        id=f"{alloc_id}-{name}", service_name=name, namespace="default", node_id="n1", job_id="web", alloc_id=alloc_id,
        **fields,
    )  # fmt: skip


@pytest.fixture
def world() -> World:
    made = World()
    made.node()
    made.job()
    made.place("a1")
    made.do(UpsertServices(services=(service(), service("other"))))
    return made


def known(world: World) -> list[str]:
    return sorted(one.id for one in world.machine.view().scan(SERVICE_REGISTRATIONS))


def test_what_is_stored_already_stays_untouched(world: World) -> None:
    before = world.machine.view().get(SERVICE_REGISTRATIONS, "a1-s")
    assert before is not None and before.create_index == before.modify_index == world.machine.index
    world.do(UpsertServices(services=(service(),)))
    assert world.machine.view().get(SERVICE_REGISTRATIONS, "a1-s") == before
    world.do(UpsertServices(services=(service(port=80),)))
    after = world.machine.view().get(SERVICE_REGISTRATIONS, "a1-s")
    assert after is not None
    assert (after.port, after.create_index, after.modify_index) == (80, before.create_index, world.machine.index)


def test_allocations_that_are_not_there_or_have_ended_offer_nothing(world: World) -> None:
    world.report("a1", "complete")
    world.do(UpsertServices(services=(service(), service("x", "unknown"))))
    assert known(world) == []


@pytest.mark.parametrize("status", ["complete", "failed", "lost"])
def test_they_go_with_their_allocation(world: World, status: str) -> None:
    world.report("a1", "running")
    assert known(world) == ["a1-other", "a1-s"]
    world.report("a1", status)
    assert known(world) == []


@pytest.mark.parametrize("event", ["down", "purge", "job"])
def test_they_go_with_their_node_or_job(world: World, event: str) -> None:
    if event == "down":
        world.status("down")
    elif event == "purge":
        world.do(n.PurgeNode(node_id="n1", seed="x"))
    else:
        world.do(c.DeregisterJob(namespace="default", job_id="web", purge=True, eval_id="e"))
    assert known(world) == []


def test_deleting(world: World) -> None:
    world.do(DeleteServices(ids=("a1-other", "unknown")))
    assert known(world) == ["a1-s"]
    for wrong in (
        DeleteServices(ids=("nope",), namespace="default", name="s"),
        DeleteServices(ids=("a1-s",), namespace="default", name="other"),
        DeleteServices(ids=("a1-s",), namespace="elsewhere", name="s"),
    ):
        assert world.refused(wrong) == (500, "service registration not found")
    world.do(DeleteServices(ids=("a1-s",), namespace="default", name="s"))
    assert known(world) == []
