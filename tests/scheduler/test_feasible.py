"""Which nodes are feasible and what is said of the others, case by case."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.scheduler.picture import Picture, alloc, group, job, names, newer, node, task
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.constraint import Constraint
from yurt.fsm.structs.evaluation import AllocMetric
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.network import Network, Port
from yurt.fsm.structs.node import (
    DeviceAttribute,
    DeviceInstance,
    Driver,
    HostVolume,
    NodeAddress,
    NodeDevice,
    NodeNetwork,
    ReservedCpu,
    ReservedResources,
)
from yurt.fsm.structs.resources import Device, Resources
from yurt.fsm.structs.task import Lifecycle, Secret
from yurt.fsm.structs.volume import VolumeRequest
from yurt.scheduler.feasible.nodes import matches_datacenter
from yurt.scheduler.feasible.operands import holds
from yurt.scheduler.outcome import Outcome
from yurt.scheduler.sizes import size_wanted

OPERANDS: dict[str, list[tuple[str, str | None, str | None, bool]]] = {
    "con-equal-missing": [("=", None, "foo", False), ("=", "foo", "foo", True), ("is", "a", "b", False)],
    "con-notequal-missing": [("!=", None, "foo", True), ("!=", None, None, False), ("not", "a", "a", False)],
    "con-less-int": [("<", "10", "1", False), ("<", "1", "10", True), (">=", "10", "9", True), ("<=", "-2", "-2", True)],
    "con-less-float": [("<", "10.5", "1.5", False), (">", "10.5", "1.5", True), ("<", "1", "1.5", True)],
    "con-less-text": [("<", "a", "b", True), (">", "10x", "9x", False), ("<", None, "b", False)],
    "con-version-pessimistic": [
        ("version", "1.2.3", "~> 1.0", True), ("version", "2.0.1", "~> 1.0", False), ("version", "1.3.0", "~> 1.2.3", False),
    ],
    "con-version-range": [("version", "1.2.3", ">= 1.0, < 1.4", True), ("version", "1.4", ">= 1.0, < 1.4", False)],
    "con-version-prerelease-base": [
        ("version", "1.7.0-alpha1", ">= 1.6.0-beta1", False), ("semver", "1.7.0-alpha1", ">= 1.6.0-beta1", True),
        ("version", "1.7.0-beta1", ">= 1.7.0-alpha1", True), ("version", "1.7.0-beta1", ">= 1.6.0", False),
        ("semver", "1.3.0-beta1", ">= 0.6.1", True),
    ],
    "con-version-lenient": [("version", "1.2.3.4+meta", "= 1.2.3.4", True), ("version", "1", "1.0.0", True), ("version", "x", "> 1", False)],
    "con-semver-pessimistic": [("semver", "1.2.3", "~> 1.2", False), ("semver", "1.2.3", "!= 1.2.4", True)],
    "con-regexp": [("regexp", "foobarbaz", r"[\w]+", True), ("regexp", None, "a", False), ("regexp", "a", "(", False)],
    "con-set-contains": [
        ("set_contains", "foo,bar,baz", "foo, bar ", True), ("set_contains", "foo,bar,baz", "foo,bam", False),
        ("set_contains_any", "foo,bar", "bam,bar", True), ("set_contains_any", "foo", "bam", False),
    ],
    "con-is-set": [("is_set", None, "", False), ("is_set", "x", "", True), ("is_not_set", None, "", True)],
    "con-unknown": [("like", "a", "a", False)],
}  # fmt: skip


@pytest.mark.parametrize("name", OPERANDS)
def test_operand(name: str) -> None:
    for operand, left, right, expected in OPERANDS[name]:
        assert holds(operand, left, right) is expected, (operand, left, right)


def failed(out: Outcome, named: str = "g") -> AllocMetric:
    found = out.evaluation.failed_tg_allocs
    assert found is not None
    return found[named]


def constrained(*constraints: Constraint, count: int = 1, **fields: Any) -> Job:
    return job(group(count=count, constraints=constraints, **fields))


def test_con_distinct_hosts() -> None:
    of = job(group(count=5), constraints=(Constraint(operand="distinct_hosts", rtarget="true"),))
    out = Picture(of, nodes=3).evaluate(of)
    assert len({one.allocation.node_id for one in out.placed}) == 3 == len(out.placed)
    assert failed(out).coalesced_failures == 1 and failed(out).constraint_filtered == {"distinct_hosts": 3}
    assert out.evaluation.queued_allocations == {"g": 2}


def test_con_distinct_hosts_group() -> None:
    constraint = Constraint(operand="distinct_hosts", rtarget="")
    of = job(group("a", 2, constraints=(constraint,)), group("b", 4))
    out = Picture(of, nodes=2).evaluate(of)
    spread = Counter(one.allocation.node_id for one in out.placed if one.allocation.task_group == "a")
    assert len(out.placed) == 6 and set(spread.values()) == {1}


def test_con_distinct_hosts_off() -> None:
    of = job(group(count=2), constraints=(Constraint(operand="distinct_hosts", rtarget="false"),))
    assert len(Picture(of, nodes=1).evaluate(of).placed) == 2


RACK = Constraint(ltarget="${meta.rack}", operand="distinct_property")


def test_con_distinct_property() -> None:
    of = constrained(RACK, count=3)
    out = Picture(of, node(0, meta={"rack": "r1"}), node(1, meta={"rack": "r2"}), node(2)).evaluate(of)
    assert len(out.placed) == 2
    assert failed(out).constraint_filtered == {
        "distinct_property: ${meta.rack}=r1 used by 1 allocs": 1,
        "distinct_property: ${meta.rack}=r2 used by 1 allocs": 1,
        'missing property "${meta.rack}"': 1,
    }


def test_con_distinct_property_limit() -> None:
    of = constrained(replace(RACK, rtarget="2"), count=5)
    out = Picture(
        of, node(0, meta={"rack": "r1"}), node(1, meta={"rack": "r1"}), node(2, meta={"rack": "r2"})
    ).evaluate(of)
    assert len(out.placed) == 4


def test_con_distinct_property_replace() -> None:
    old = constrained(RACK)
    new = newer(old, replace(old.task_groups[0], tasks=(task(env={"A": "2"}),)))  # type: ignore[index]
    picture = Picture(old, node(0, meta={"rack": "r1"}), alloc(old, 0))
    picture.put(new)
    out = picture.evaluate(new)
    assert names(out) == [0] and len(out.stopped) == 1


def test_con_datacenter_glob() -> None:
    of = job(group(count=3), datacenters=("us-*",), constraints=(Constraint(operand="distinct_hosts"),))
    out = Picture(of, *(node(n, datacenter=name) for n, name in enumerate(("us-1", "us-2", "eu-1")))).evaluate(of)
    assert sorted(one.allocation.node_name for one in out.placed) == ["n0", "n1"]
    assert failed(out).nodes_available == {"us-1": 1, "us-2": 1} and failed(out).nodes_in_pool == 2


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [("*", "", True), ("a*c", "abc", True), ("a*c", "ac", True), ("a*c", "a", False), ("a*a", "a", False),
     ("*b*", "abc", True), ("dc1", "dc1", True), ("dc1", "dc10", False), ("d*1*3", "dc1x23", True), ("[a]", "a", False)],
)  # fmt: skip
def test_glob(pattern: str, text: str, expected: bool) -> None:
    assert matches_datacenter((pattern,), text) is expected


def test_node_pools() -> None:
    rows = (node(0), node(1, node_pool="gpu"))
    for pool, expected in (("default", ["n0"]), ("gpu", ["n1"]), ("all", ["n0", "n1"]), ("none", [])):
        of = job(group(count=2), node_pool=pool, constraints=(Constraint(operand="distinct_hosts"),))
        placed = Picture(of, *rows).evaluate(of).placed
        assert sorted(one.allocation.node_name for one in placed) == expected


def test_class_memo() -> None:
    of = constrained(Constraint(ltarget="${meta.kind}", operand="=", rtarget="web"), count=2)
    out = Picture(of, *(node(n, meta={"kind": "db"}) for n in range(100))).evaluate(of)
    assert failed(out).constraint_filtered == {"${meta.kind} = web": 1, "computed class ineligible": 99}
    assert failed(out).nodes_filtered == 100 == failed(out).nodes_evaluated
    (blocked,) = out.created
    assert list((blocked.class_eligibility or {}).values()) == [False] and not blocked.escaped_computed_class


def test_class_memo_of_a_job_holds_for_its_groups() -> None:
    of = job(group("a"), group("b"), constraints=(Constraint(ltarget="${meta.kind}", operand="=", rtarget="web"),))
    out = Picture(of, nodes=2).evaluate(of)
    assert failed(out, "a").constraint_filtered == {"${meta.kind} = web": 1, "computed class ineligible": 1}
    assert failed(out, "b").constraint_filtered == {"computed class ineligible": 2}


def test_class_escaped() -> None:
    of = constrained(Constraint(ltarget="${node.unique.name}", operand="=", rtarget="nobody"))
    out = Picture(of, nodes=3).evaluate(of)
    assert failed(out).constraint_filtered == {"${node.unique.name} = nobody": 3}
    (blocked,) = out.created
    assert blocked.escaped_computed_class and blocked.class_eligibility is None


def test_two_step_filter() -> None:
    """Filtered by a constraint or exhausted: each node is counted once, with its class."""
    of = constrained(
        Constraint(ltarget="${node.class}", operand="=", rtarget="blue"),
        tasks=(task(resources=Resources(cpu=99999, memory_mb=64)),),
    )
    rows = [node(0, node_class="red"), node(1, node_class="blue"), node(2, node_class="blue")]
    out = Picture(of, *rows).evaluate(of)
    metric = failed(out)
    assert (metric.class_filtered, metric.class_exhausted) == ({"red": 1}, {"blue": 2})
    assert metric.constraint_filtered == {"${node.class} = blue": 1} and metric.dimension_exhausted == {"cpu": 2}
    assert (metric.nodes_evaluated, metric.nodes_filtered, metric.nodes_exhausted) == (3, 1, 2)
    assert sorted((out.created[0].class_eligibility or {}).values()) == [False, True]


def test_exhausted_resources_are_summed() -> None:
    of = job(group(count=2, tasks=(task(resources=Resources(cpu=99999, memory_mb=64)),)))
    metric = failed(Picture(of, nodes=3).evaluate(of))
    assert metric.resources_exhausted is not None and metric.coalesced_failures == 1
    wanted = metric.resources_exhausted["t"]
    assert (wanted.cpu, wanted.memory_mb, wanted.disk_mb) == (199998, 0, 0)


# --- what a node must have

BRIDGE = (NodeNetwork(mode="bridge", device="nomad"),)


def with_networks(number: int, *networks: NodeNetwork) -> Any:
    plain = node(number)
    assert plain.node_resources is not None and plain.node_resources.node_networks is not None
    own = plain.node_resources.node_networks
    return replace(plain, node_resources=replace(plain.node_resources, node_networks=(*own, *networks)))


REFUSALS: dict[str, tuple[dict[str, Any], Any, str]] = {
    "driver-missing": ({"tasks": (task(driver="docker"),)}, node(0), "missing drivers"),
    "driver-unhealthy": ({}, node(0, drivers={"mock_driver": Driver(detected=True)}), "missing drivers"),
    "device-missing": (
        {"tasks": (task(resources=Resources(cpu=1, memory_mb=10, devices=(Device(name="gpu"),))),)}, node(0), "missing devices",
    ),
    "volume-missing": ({"volumes": {"v": VolumeRequest(type="host", source="data")}}, node(0), "missing compatible host volumes"),
    "volume-read-only": (
        {"volumes": {"v": VolumeRequest(type="host", source="data")}},
        node(0, host_volumes={"data": HostVolume(read_only=True)}),
        "missing compatible host volumes",
    ),
    "secrets-missing": ({"tasks": (task(secrets=(Secret(provider="vault"),)),)}, node(0), "missing secrets provider"),
    "network-mode": ({"networks": (Network(mode="bridge"),)}, node(0), "missing network"),
    "host-network": (
        {"networks": (Network(mode="host", dynamic_ports=(Port(label="p", host_network="public"),)),)},
        node(0),
        'missing host network "public" for port "p"',
    ),
    "host-network-template": (
        {"networks": (Network(mode="host", dynamic_ports=(Port(label="p", host_network="${meta.net}"),)),)},
        node(0),
        'invalid host network "${meta.net}" template for port "p"',
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_refusal(name: str) -> None:
    fields, row, text = REFUSALS[name]
    of = job(group(**fields))
    assert failed(Picture(of, row).evaluate(of)).constraint_filtered == {text: 1}


GPU = NodeDevice(
    vendor="acme", type="gpu", name="x1",
    instances=(DeviceInstance(id="a", healthy=True), DeviceInstance(id="b", healthy=True), DeviceInstance(id="c")),
    attributes={"memory": DeviceAttribute(int_value=8, unit="GiB")},
)  # fmt: skip


def with_devices(number: int) -> Any:
    plain = node(number)
    assert plain.node_resources is not None
    return replace(plain, node_resources=replace(plain.node_resources, devices=(GPU,)))


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (Device(name="gpu", count=2), True),
        (Device(name="acme/gpu", count=3), False),
        (Device(name="acme/gpu/x1"), True),
        (Device(name="acme/gpu/x2"), False),
        (Device(name="gpu", constraints=(Constraint(ltarget="${device.attr.memory}", operand=">=", rtarget="4096 MiB"),)), True),
        (Device(name="gpu", constraints=(Constraint(ltarget="${device.attr.memory}", operand=">", rtarget="9 GiB"),)), False),
        (Device(name="gpu", constraints=(Constraint(ltarget="${device.attr.x}", operand="!=", rtarget="${device.attr.y}"),)), False),
    ],
)  # fmt: skip
def test_devices(request_: Device, expected: bool) -> None:
    of = job(group(tasks=(task(resources=Resources(cpu=1, memory_mb=10, devices=(request_,))),)))
    out = Picture(of, with_devices(0)).evaluate(of)
    assert bool(out.placed) is expected
    if expected:
        given = (out.placed[0].allocation.allocated_resources.tasks or {})["t"].devices  # type: ignore[union-attr]
        assert given is not None and len(given[0].device_ids or ()) == request_.count


def test_devices_are_used_once() -> None:
    wanted = Resources(cpu=1, memory_mb=10, devices=(Device(name="gpu"),))
    of = job(group(count=3, tasks=(task(resources=wanted),)))
    out = Picture(of, with_devices(0)).evaluate(of)
    assert len(out.placed) == 2 and failed(out).dimension_exhausted == {"devices: no devices available": 1}


def test_volumes_of_each_allocation() -> None:
    of = job(group(count=2, volumes={"v": VolumeRequest(type="host", source="data", per_alloc=True)}))
    rows = [node(n, host_volumes={f"data[{1 - n}]": HostVolume()}) for n in range(2)]
    out = Picture(of, *rows).evaluate(of)
    assert {(one.allocation.name, one.allocation.node_name) for one in out.placed} == {
        ("j.g[0]", "n1"),
        ("j.g[1]", "n0"),
    }


# --- room


def test_fit_lifecycle() -> None:
    def part(name: str, memory: int, hook: str = "", *, sidecar: bool = False) -> Any:
        lifecycle = Lifecycle(hook=hook, sidecar=sidecar) if hook else None
        return task(name=name, lifecycle=lifecycle, resources=Resources(cpu=10, memory_mb=memory))

    tasks = (part("a", 600, "prestart"), part("b", 200), part("c", 100), part("d", 50, "poststop"))
    assert size_wanted(group(tasks=tasks), 0)[:2] == (20, 600)
    assert size_wanted(group(tasks=(*tasks, part("e", 500, "prestart", sidecar=True))), 0)[:2] == (30, 800)


def test_fit_reserved() -> None:
    kept = ReservedResources(cpu=ReservedCpu(cpu_shares=200))
    of = job(group(tasks=(task(resources=Resources(cpu=900, memory_mb=64)),)))
    assert failed(Picture(of, node(0, cpu=1000, reserved_resources=kept)).evaluate(of)).dimension_exhausted == {
        "cpu": 1
    }
    assert Picture(of, node(0, cpu=1100, reserved_resources=kept)).evaluate(of).placed


def test_fit_order() -> None:
    of = job(group(tasks=(task(resources=Resources(cpu=99_999, memory_mb=99_999)),)))
    assert failed(Picture(of, nodes=1).evaluate(of)).dimension_exhausted == {"cpu": 1}


def test_fit_cores() -> None:
    of = job(group(count=3, tasks=(task(resources=Resources(cpu=0, cores=2, memory_mb=64)),)))
    out = Picture(of, nodes=1).evaluate(of)
    given = [(one.allocation.allocated_resources.tasks or {})["t"].cpu for one in out.placed]  # type: ignore[union-attr]
    assert [(one.cpu_shares, one.reserved_cores) for one in given] == [(2000, (0, 1)), (2000, (2, 3))]
    assert failed(out).dimension_exhausted == {"cpu": 1}


def ports(out: Outcome) -> list[Any]:
    return [port for one in out.placed for port in one.allocation.allocated_resources.shared.ports or ()]  # type: ignore[union-attr]


def test_port_dynamic_range() -> None:
    wanted = tuple(Port(label=f"p{n}", host_network="default") for n in range(10))
    of = job(group(count=10, networks=(Network(mode="host", dynamic_ports=wanted),)))
    found = [port.value for port in ports(Picture(of, nodes=1).evaluate(of))]
    assert len(set(found)) == 100 and all(20000 <= value <= 32000 for value in found)


def test_port_to_minus_one() -> None:
    of = job(group(networks=(Network(mode="host", dynamic_ports=(Port(label="p", to=-1), Port(label="q", to=80))),)))
    out = Picture(of, nodes=1).evaluate(of)
    found = {port.label: port for port in ports(out)}
    assert found["p"].to == found["p"].value and found["q"].to == 80 and found["q"].host_ip == "192.0.2.0"
    shared = out.placed[0].allocation.allocated_resources.shared  # type: ignore[union-attr]
    assert [port.value for port in (shared.networks or ())[0].dynamic_ports or ()] == [
        found["p"].value,
        found["q"].value,
    ]


STATIC = (Network(mode="host", reserved_ports=(Port(label="p", value=26111),)),)


def test_port_static_once_per_address() -> None:
    second = NodeNetwork(mode="host", device="lo", addresses=(NodeAddress(alias="default", address="::1"),))
    of = job(group(count=5, networks=STATIC))
    out = Picture(of, with_networks(0, second), node(1)).evaluate(of)
    assert len(out.placed) == 3
    assert failed(out).dimension_exhausted == {"network: reserved port collision p=26111": 2}


def test_port_reserved_by_the_node() -> None:
    kept = ReservedResources(networks=type(ReservedResources().networks)(reserved_host_ports="22,26000-26200"))
    of = job(group(networks=STATIC))
    assert not Picture(of, node(0, reserved_resources=kept)).evaluate(of).placed


def test_port_of_another_plan_on_its_way() -> None:
    from yurt.scheduler.cluster import Cluster

    of, other = job(group(networks=STATIC)), job(group(networks=STATIC), id="other", name="other")
    picture = Picture(of, other, nodes=1)
    cluster = Cluster.of(picture.view)
    out = picture.evaluate(of, cluster=cluster)
    cluster.reserve([one.allocation for one in out.placed])
    assert not picture.evaluate(other, cluster=cluster).placed
    cluster.release([one.allocation for one in out.placed], picture.view)
    assert picture.evaluate(other, cluster=cluster).placed
