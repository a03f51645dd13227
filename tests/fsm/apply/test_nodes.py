"""Nodes: registration, status, eligibility, drains, removal (spec scheduling §18)."""

from __future__ import annotations

import pytest

from tests.fsm.apply.world import NOW, SECOND, World
from yurt.fsm import commands as c
from yurt.fsm import commands_nodes as n
from yurt.fsm.store.schema import NODE_POOLS, NODES
from yurt.fsm.structs.node import DrainStrategy, Node
from yurt.fsm.structs.times import to_rfc3339


@pytest.fixture
def world() -> World:
    return World()


def messages(world: World, node_id: str = "n1") -> list[str]:
    return [event.message for event in world.nodes(node_id).events or ()]


def test_a_new_node_waits_to_be_heard_and_has_a_class(world: World) -> None:
    node = world.node(ready=False, attributes={"a": "1"}, node_pool="gpu")
    assert (node.status, node.scheduling_eligibility, node.node_pool) == ("initializing", "eligible", "gpu")
    assert node.computed_class.startswith("v1:") and messages(world) == ["Node registered"]
    assert world.machine.view().get(NODE_POOLS, "gpu") is not None


def test_unique_attributes_do_not_make_a_class(world: World) -> None:
    same = world.node("n1", attributes={"a": "1", "unique.host": "x"}).computed_class
    assert world.node("n2", attributes={"a": "1", "unique.host": "y"}).computed_class == same
    assert world.node("n3", attributes={"a": "2"}).computed_class != same
    assert world.node("n4", attributes={"a": "1"}, node_class="big").computed_class != same


def test_a_node_keeps_what_the_servers_know_when_it_registers_again(world: World) -> None:
    world.node()
    world.do(n.SetNodeEligibility(node_id="n1", eligibility="ineligible"))
    before = world.nodes()
    world.do(n.RegisterNode(node=Node(id="n1", secret_id="secret", datacenter="dc1", meta={"rack": "r1"})))
    after = world.nodes()
    assert (after.status, after.scheduling_eligibility, after.create_index) == (
        "ready",
        "ineligible",
        before.create_index,
    )
    assert after.meta == {"rack": "r1"} and after.events == before.events


def test_another_secret_is_refused(world: World) -> None:
    world.node()
    other = n.RegisterNode(node=Node(id="n1", secret_id="other", datacenter="dc1"))
    assert world.refused(other) == (500, "node secret ID does not match. Not registering node.")


@pytest.mark.parametrize(
    ("kind", "client", "desired", "evaluated"),
    [
        ("service", "running", "run", True),
        ("service", "complete", "run", True),
        ("service", "complete", "stop", False),
        ("batch", "running", "run", True),
        ("batch", "complete", "run", False),
        ("sysbatch", "running", "run", False),
    ],
)
def test_which_jobs_a_lost_node_concerns(world: World, kind: str, client: str, desired: str, evaluated: bool) -> None:
    world.node()
    world.job(type=kind)
    world.place("a1")
    world.report("a1", client)
    if desired == "stop":
        world.do(c.ApplyPlan(eval_id="plan", stopped=(c.AllocationStop(id="a1"),)))
    result = world.status("down", event="Node heartbeat missed")
    made = world.evaluations("node-update")
    assert [one.job_id for one in made] == (["web"] if evaluated else [])
    assert result.eval_ids == tuple(one.id for one in made)
    assert world.nodes().last_missed_heartbeat_index == result.index and messages(world)[-1] == "Node heartbeat missed"


def test_system_jobs_hear_of_nodes_in_their_datacenters_and_pools(world: World) -> None:
    for job_id, fields in {
        "here": {}, "elsewhere": {"datacenters": ("dc2",)}, "glob": {"datacenters": ("d*1",)},
        "pool": {"node_pool": "gpu"}, "all": {"node_pool": "all"},
    }.items():  # fmt: skip
        world.job(job_id, type="system", **fields)
    world.do(c.DeregisterJob(namespace="default", job_id="glob", eval_id="e"))
    world.node()
    assert sorted(one.job_id for one in world.evaluations("node-update")) == ["all", "here"]
    assert all(one.node_id == "n1" and one.node_modify_index for one in world.evaluations("node-update"))


def test_many_nodes_make_one_evaluation_a_job(world: World) -> None:
    world.job()
    for name in ("n1", "n2", "n3"):
        world.node(name)
        world.place(f"a{name}", node_id=name)
    down = tuple(n.NodeStatus(node_id=name, status="down") for name in ("n1", "n2", "n3", "gone"))
    assert len(world.do(n.UpdateNodeStatuses(statuses=down, seed="s")).eval_ids) == 1


def test_status_changes_that_concern_nobody_make_no_evaluation(world: World) -> None:
    world.node()
    world.job()
    world.place("a1")
    assert world.status("ready").eval_ids == ()
    assert len(world.status("disconnected").eval_ids) == len(world.status("initializing").eval_ids) == 1


def test_eligibility(world: World) -> None:
    world.node()
    world.job("agents", type="system")
    assert world.refused(n.SetNodeEligibility(node_id="n1", eligibility="x")) == (
        500,
        'invalid scheduling eligibility "x"',
    )
    assert world.refused(n.SetNodeEligibility(node_id="n9", eligibility="eligible")) == (500, "node not found")
    assert world.do(n.SetNodeEligibility(node_id="n1", eligibility="eligible")).index == 0
    assert world.do(n.SetNodeEligibility(node_id="n1", eligibility="ineligible")).eval_ids == ()
    assert not world.nodes().is_ready
    assert len(world.do(n.SetNodeEligibility(node_id="n1", eligibility="eligible", seed="x")).eval_ids) == 1
    assert messages(world)[-2:] == [
        "Node marked as ineligible for scheduling",
        "Node marked as eligible for scheduling",
    ]


def test_a_drain_from_beginning_to_end(world: World) -> None:
    world.node()
    strategy = DrainStrategy(deadline=5 * SECOND, started_at=to_rfc3339(NOW))
    world.do(n.DrainNode(node_id="n1", strategy=strategy, meta={"why": "x"}, accessor_id="me"))
    node = world.nodes()
    assert (node.drain, node.scheduling_eligibility, node.is_ready) == (True, "ineligible", False)
    assert node.last_drain is not None
    assert (node.last_drain.status, node.last_drain.meta, node.last_drain.accessor_id) == (
        "draining",
        {"why": "x"},
        "me",
    )
    text = "can not set node's scheduling eligibility to eligible while it is draining"
    assert world.refused(n.SetNodeEligibility(node_id="n1", eligibility="eligible")) == (500, text)
    world.do(n.DrainNode(node_id="n1", strategy=DrainStrategy(deadline=-1)))
    assert world.nodes().drain_strategy == DrainStrategy(deadline=-1, started_at=strategy.started_at)
    world.do(n.CompleteDrains(node_ids=("n1", "n9"), forced=("n1",)))
    node = world.nodes()
    assert (node.drain_strategy, node.scheduling_eligibility) == (None, "ineligible")
    assert node.last_drain is not None and node.last_drain.status == "complete"
    assert messages(world)[-3:] == ["Node drain strategy set", "Node drain strategy updated", "Node drain complete"]
    assert (node.events or ())[-1].details == {"deadline_reached": "true"}


def test_a_drain_taken_back(world: World) -> None:
    world.node()
    world.job("agents", type="system")
    world.do(n.DrainNode(node_id="n1", strategy=DrainStrategy()))
    result = world.do(n.DrainNode(node_id="n1", mark_eligible=True, seed="x"))
    node = world.nodes()
    assert node.is_ready and node.last_drain is not None and node.last_drain.status == "canceled"
    assert len(result.eval_ids) == 1 and messages(world)[-1] == "Node drain disabled"


def test_a_purged_node_leaves_evaluations(world: World) -> None:
    world.node()
    world.job()
    world.place("a1")
    assert len(world.do(n.PurgeNode(node_id="n1", seed="x")).eval_ids) == 1
    assert world.machine.view().get(NODES, "n1") is None
    assert world.refused(n.PurgeNode(node_id="n1")) == (500, "node not found")


def test_ten_events_are_kept(world: World) -> None:
    world.node()
    for number in range(12):
        world.do(n.SetNodeEligibility(node_id="n1", eligibility="ineligible" if number % 2 == 0 else "eligible"))
    assert len(messages(world)) == 10 and "Node registered" not in messages(world)
