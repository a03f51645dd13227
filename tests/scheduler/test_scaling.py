"""Placement, scaling and updates of service and batch jobs, case by case."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scheduler.picture import (
    BATCH_POLICY,
    HOUR,
    MINUTE,
    NOW,
    SERVICE_POLICY,
    UPDATE,
    Picture,
    alloc,
    allocs,
    ended,
    group,
    in_deployment,
    job,
    names,
    newer,
    node,
    rolling,
    stops,
    task,
    updates,
)
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.constraint import Constraint
from yurt.fsm.structs.deployment import DeploymentState
from yurt.fsm.structs.identity import WorkloadIdentity
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.network import Network, Port
from yurt.fsm.structs.policies import EphemeralDisk, RestartPolicy, UpdateStrategy
from yurt.fsm.structs.resources import Resources
from yurt.fsm.structs.task import Artifact, LogConfig
from yurt.fsm.structs.volume import VolumeMount
from yurt.scheduler.reconcile.names import index_of

NOT_NEEDED = "alloc not needed due to job update"
UPDATING = "alloc is being updated due to job update"


def test_place_nothing_existing() -> None:
    of = job(group(count=10))
    out = Picture(of, nodes=10).evaluate(of)
    assert names(out) == list(range(10)) and updates(out) == {"place": 10} and out.deployment is None
    assert out.evaluation.status == "complete" and out.evaluation.queued_allocations == {"g": 0}


def test_place_some_existing() -> None:
    of = job(group(count=10))
    out = Picture(of, *allocs(of, range(5)), nodes=10).evaluate(of)
    assert names(out) == [5, 6, 7, 8, 9] and updates(out) == {"place": 5, "ignore": 5}


def test_scale_down_partial() -> None:
    of = job(group(count=10))
    out = Picture(of, *allocs(of, range(20)), nodes=20).evaluate(of)
    assert stops(out) == dict.fromkeys((f"alloc-g-0-{n:05d}" for n in range(19, 9, -1)), NOT_NEEDED)
    assert updates(out) == {"stop": 10, "ignore": 10} and not out.placed


def test_scale_down_zero() -> None:
    of = job(group(count=0))
    out = Picture(of, *allocs(of, range(20)), nodes=20).evaluate(of)
    assert updates(out) == {"stop": 20} and not out.placed


def old_and_new(
    count: int, new_count: int, *, destructive: bool, nodes: int = 30, **fields: Any
) -> tuple[Picture, Job]:
    """So many allocations of an old version beside a new one."""
    old = job(group(count=count))
    changed = task(env={"A": "2"}) if destructive else task(kill_timeout=9 * MINUTE)
    new = newer(old, group(count=new_count, tasks=(changed,), **fields))
    picture = Picture(old, *allocs(old, range(count)), nodes=nodes)
    picture.put(new)
    return picture, new


def test_inplace_all() -> None:
    picture, new = old_and_new(10, 10, destructive=False)
    out = picture.evaluate(new)
    assert updates(out) == {"in_place_update": 10} and out.deployment is None and not out.placed and not out.stopped
    assert [one.job_version for one in out.updated] == [1] * 10


def test_inplace_scale_up() -> None:
    picture, new = old_and_new(10, 15, destructive=False)
    out = picture.evaluate(new)
    assert len(out.updated) == 10 and names(out) == [10, 11, 12, 13, 14]


def test_inplace_rollback() -> None:
    policy = replace(SERVICE_POLICY, delay=HOUR, max_delay=0)
    old = job(group(count=4, reschedule_policy=policy))
    newest = newer(old, group(count=4, reschedule_policy=policy, tasks=(task(env={"A": "2"}),)))
    rolled_back = newer(newest, group(count=4, reschedule_policy=policy))
    rows = [
        alloc(old, 0),
        alloc(newest, 1, **ended(NOW - 10 * MINUTE)),
        alloc(newest, 2, **ended(NOW - 2 * HOUR)),
    ]
    picture = Picture(old, *rows, nodes=6)
    picture.put(rolled_back)
    out = picture.evaluate(rolled_back)
    assert updates(out) == {"in_place_update": 1, "destructive_update": 1, "reschedule_later": 1, "place": 2}
    assert sorted(names(out)) == [1, 2, 3]
    assert [one.followup_eval_id for one in out.updated if one.id == "alloc-g-1-00001"] == [out.created[0].id]
    assert stops(out)["alloc-g-1-00002"] == "" and stops(out)["alloc-g-1-00001"] == UPDATING
    replacement = next(one.allocation for one in out.placed if one.allocation.name == "j.g[2]")
    assert replacement.previous_allocation == "alloc-g-1-00002"


def test_destructive_all() -> None:
    picture, new = old_and_new(10, 10, destructive=True)
    out = picture.evaluate(new)
    assert updates(out) == {"destructive_update": 10} and names(out) == list(range(10))
    assert set(stops(out).values()) == {UPDATING} and len(out.stopped) == 10
    assert [one.allocation.previous_allocation for one in out.placed] == [one.id for one in out.stopped]


def test_destructive_scale_up() -> None:
    picture, new = old_and_new(10, 15, destructive=True)
    out = picture.evaluate(new)
    assert updates(out) == {"destructive_update": 10, "place": 5} and names(out) == [*range(10), *range(10, 15)]


def test_destructive_scale_down() -> None:
    picture, new = old_and_new(10, 5, destructive=True)
    out = picture.evaluate(new)
    assert updates(out) == {"destructive_update": 5, "stop": 5} and names(out) == [0, 1, 2, 3, 4]
    assert list(stops(out).values()).count(NOT_NEEDED) == 5


def test_destructive_without_room_keeps_the_old_one() -> None:
    old = job(group(count=2))
    new = newer(old, group(count=2, tasks=(task(resources=Resources(cpu=99_999, memory_mb=64)),)))
    picture = Picture(old, *allocs(old, range(2)), nodes=2)
    picture.put(new)
    out = picture.evaluate(new)
    assert not out.stopped and not out.placed and out.evaluation.queued_allocations == {"g": 2}


def test_destructive_without_room_frees_nothing_for_others() -> None:
    old = job(group(count=1, tasks=(task(resources=Resources(cpu=3000, memory_mb=64)),)))
    bigger = group(count=1, tasks=(task(resources=Resources(cpu=99_999, memory_mb=64)),))
    new = newer(old, bigger, group("h", 1, tasks=(task(resources=Resources(cpu=3000, memory_mb=64)),)))
    picture = Picture(old, alloc(old, 0), nodes=1)
    picture.put(new)
    out = picture.evaluate(new)
    assert not out.placed and out.evaluation.queued_allocations == {"g": 1, "h": 1}


def test_job_stopped() -> None:
    of = job(group(count=5))
    stopped = newer(of, stop=True)
    out = Picture(stopped, *allocs(of, range(5)), nodes=5).evaluate(stopped, "job-deregister")
    assert updates(out) == {"stop": 5} and not out.placed and set(stops(out).values()) == {NOT_NEEDED}


def test_job_gone() -> None:
    of = job(group(count=5))
    out = Picture(*allocs(of, range(5)), nodes=5).evaluate(of, "job-deregister")
    assert len(out.stopped) == 5 and not out.placed and out.evaluation.status == "complete"


def test_multi_group() -> None:
    of = job(group(count=10), group("h", 10))
    out = Picture(of, *allocs(of, range(2)), nodes=10).evaluate(of)
    placed = [one.allocation.name for one in out.placed]
    assert placed == [f"j.g[{n}]" for n in range(2, 10)] + [f"j.h[{n}]" for n in range(10)]


def test_multi_group_one_update_block() -> None:
    of = job(group(count=10, update=UPDATE), group("h", 10))
    deployment = rolling(of, g=DeploymentState(desired_total=10))
    rows = [*allocs(of, range(10), **in_deployment(of)), *allocs(of, range(10), named="h")]
    out = Picture(of, deployment, *rows, nodes=10).evaluate(of)
    assert updates(out) == {"ignore": 10} == updates(out, "h") and not out.has_plan


def test_job_change_scale_up_second_eval() -> None:
    old = job(group(count=10, update=UPDATE))
    new = newer(old, group(count=30, update=UPDATE, tasks=(task(env={"A": "2"}),)))
    deployment = rolling(new, g=DeploymentState(desired_total=30))
    rows = [*allocs(old, range(10)), *allocs(new, range(10, 30), **in_deployment(new))]
    picture = Picture(old, deployment, *rows, nodes=30)
    picture.put(new)
    out = picture.evaluate(new)
    assert updates(out) == {"ignore": 30} and not out.has_plan


def batch(count: int, **fields: Any) -> Job:
    return job(group(count=count, reschedule_policy=BATCH_POLICY, migrate=None), type="batch", **fields)


def test_batch_rerun() -> None:
    old = batch(10)
    new = replace(old, create_index=200, job_modify_index=200)
    out = Picture(new, *allocs(old, range(10), **ended(NOW - HOUR, failed=False)), nodes=10).evaluate(new)
    assert names(out) == list(range(10)) and updates(out) == {"place": 10, "ignore": 10}


def test_batch_complete_is_not_run_again() -> None:
    of = batch(10)
    out = Picture(of, *allocs(of, range(10), **ended(NOW - HOUR, failed=False)), nodes=10).evaluate(of)
    assert not out.has_plan and updates(out) == {"ignore": 10}


def test_batch_scale_down_client_terminal() -> None:
    of = batch(5)
    rows = [*allocs(of, range(5)), alloc(of, 5, **ended(NOW - HOUR, failed=False))]
    rows.append(alloc(of, 6, desired_status="stop", **ended(NOW - HOUR, failed=False)))
    out = Picture(of, *rows, nodes=10).evaluate(of)
    assert list(stops(out)) == ["alloc-g-0-00005"] and updates(out) == {"stop": 1, "ignore": 6}


def test_service_scale_down_with_failed() -> None:
    of = job(group(count=5))
    rows = [alloc(of, n, **(ended(NOW - HOUR) if n == 3 else {})) for n in range(6)]
    out = Picture(of, *rows, nodes=10).evaluate(of)
    assert names(out) == [3] and list(stops(out)) == ["alloc-g-0-00003"]


def test_duplicate_index_corrected() -> None:
    old = job(group(count=3))
    new = newer(old, group(count=4, tasks=(task(env={"A": "2"}),)))
    rows = [alloc(old, 0), alloc(old, 1), alloc(old, 1, number=9)]
    picture = Picture(old, *rows, nodes=10)
    picture.put(new)
    picture.apply(picture.evaluate(new))
    live = [one.name for one in allocations(picture) if not one.is_terminal]
    assert sorted(live) == ["j.g[0]", "j.g[1]", "j.g[2]", "j.g[3]"]


def allocations(picture: Picture) -> list[Any]:
    from yurt.fsm.store.schema import ALLOCATIONS

    return list(picture.view.scan(ALLOCATIONS))


def test_same_modify_index_ignored() -> None:
    of = job(group(count=3))
    out = Picture(of, *allocs(of, range(3)), nodes=3).evaluate(of)
    assert updates(out) == {"ignore": 3} and not out.has_plan


# --- in place or destructive: one field changed

STATIC = (Network(mode="host", reserved_ports=(Port(label="p", value=8080, host_network="default"),)),)
DYNAMIC = (Network(mode="host", dynamic_ports=(Port(label="p", host_network="default"),)),)
CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]] = {
    # name: (fields of the old group, of the new group, of the new job, what happens)
    "field-env": ({}, {"tasks": (task(env={"A": "2"}),)}, {}, "destructive"),
    "field-config": ({}, {"tasks": (task(config={"run_for": "2h"}),)}, {}, "destructive"),
    "field-driver": ({"tasks": (task(driver="raw_exec"),)}, {}, {}, "destructive"),
    "field-meta-job": ({}, {}, {"meta": {"a": "b"}}, "destructive"),
    "field-count": ({}, {"count": 2}, {}, "in place"),
    "field-priority": ({}, {}, {"priority": 70}, "in place"),
    "field-render-templates": ({}, {"restart_policy": RestartPolicy(render_templates=True)}, {}, "destructive"),
    "field-kill-timeout": ({}, {"tasks": (task(kill_timeout=9 * MINUTE),)}, {}, "in place"),
    "field-log-disabled": ({}, {"tasks": (task(log_config=LogConfig(disabled=True)),)}, {}, "destructive"),
    "field-log-size": ({}, {"tasks": (task(log_config=LogConfig(max_files=3)),)}, {}, "in place"),
    "field-cpu": ({}, {"tasks": (task(resources=Resources(cpu=101, memory_mb=64)),)}, {}, "destructive"),
    "field-cores": ({}, {"tasks": (task(resources=Resources(cpu=0, cores=1, memory_mb=64)),)}, {}, "destructive"),
    "field-static-port": (
        {"networks": STATIC},
        {"networks": (replace(STATIC[0], reserved_ports=(Port(label="p", value=8081, host_network="default"),)),)},
        {},
        "destructive",
    ),
    "field-dynamic-port-added": (
        {"networks": DYNAMIC},
        {"networks": (replace(DYNAMIC[0], dynamic_ports=(*(DYNAMIC[0].dynamic_ports or ()), Port(label="q"))),)},
        {},
        "destructive",
    ),
    "field-host-network": (
        {"networks": DYNAMIC},
        {"networks": (replace(DYNAMIC[0], dynamic_ports=(Port(label="p", host_network="public"),)),)},
        {},
        "destructive",
    ),
    "field-ephemeral-disk": ({}, {"ephemeral_disk": EphemeralDisk(size_mb=500)}, {}, "destructive"),
    "field-artifact": ({}, {"tasks": (task(artifacts=(Artifact(getter_source="http://a"),)),)}, {}, "destructive"),
    "field-volume-mount": ({}, {"tasks": (task(volume_mounts=(VolumeMount(volume="v"),)),)}, {}, "destructive"),
    "field-identity": ({}, {"tasks": (task(identities=(WorkloadIdentity(name="x"),)),)}, {}, "destructive"),
    "field-constraint-still-ok": (
        {}, {"constraints": (Constraint(ltarget="${attr.kernel.name}", operand="=", rtarget="linux"),)}, {}, "in place",
    ),
    "field-constraint-violated": (
        {}, {"constraints": (Constraint(ltarget="${node.unique.name}", operand="!=", rtarget="n0"),)}, {}, "destructive",
    ),
    "field-update-block": ({"update": UPDATE}, {"update": replace(UPDATE, max_parallel=9)}, {}, "in place"),
    "field-datacenters-excluded": ({}, {}, {"datacenters": ("dc2",)}, "destructive"),
    "field-node-pool": ({}, {}, {"node_pool": "gpu"}, "destructive"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_field(name: str) -> None:
    old_group, new_group, new_job, expected = CHANGES[name]
    old = job(group(**old_group))
    new = newer(old, group(**{**{k: v for k, v in old_group.items() if k != "tasks"}, **new_group}), **new_job)
    others = (node(1, datacenter="dc2"), node(2), node(3, node_pool="gpu"))
    picture = Picture(node(0), *others, old, alloc(old, 0))
    picture.put(new)
    out = picture.evaluate(new)
    counted = updates(out)
    if expected == "destructive":
        assert counted.get("destructive_update") == 1, counted
    else:
        assert counted.get("in_place_update") == 1 and "destructive_update" not in counted, counted
    if name == "field-constraint-violated":
        assert out.placed[0].allocation.node_name != "n0"


def test_field_max_run_duration() -> None:
    old = batch(1)
    new = newer(old, replace(old.task_groups[0], max_run_duration=HOUR))  # type: ignore[index]
    picture = Picture(node(0, cpu=1), old, alloc(old, 0))  # too small by now: the fit is not looked at
    picture.put(new)
    assert updates(picture.evaluate(new)) == {"in_place_update": 1}


def test_inplace_that_does_not_fit_is_destructive() -> None:
    picture, new = old_and_new(1, 1, destructive=False, nodes=3)
    picture.put(node(0, cpu=1))
    assert updates(picture.evaluate(new)) == {"destructive_update": 1}


def test_inplace_keeps_ports() -> None:
    """What is changed in place says nothing of resources and metrics, so they stay."""
    old = job(group(networks=DYNAMIC))
    picture = Picture(old, nodes=1)
    picture.apply(picture.evaluate(old))
    new = newer(old, priority=60)
    picture.put(new)
    out = picture.evaluate(new)
    assert updates(out) == {"in_place_update": 1} and not out.placed and not out.stopped
    assert [(one.job_version, one.client_status, one.alloc_state) for one in out.updated] == [(1, "", None)]


def test_inplace_new_deployment() -> None:
    picture, new = old_and_new(3, 3, destructive=False, update=UPDATE)
    out = picture.evaluate(new)
    assert out.deployment is not None and out.deployment.task_groups is not None
    assert out.deployment.task_groups["g"].desired_total == 3
    assert {one.deployment_id for one in out.updated} == {out.deployment.id}


def test_an_update_block_of_nothing_rolls_out_at_once() -> None:
    picture, new = old_and_new(10, 10, destructive=True, update=UpdateStrategy())
    out = picture.evaluate(new)
    assert updates(out) == {"destructive_update": 10} and out.deployment is None


def test_names_have_indexes() -> None:
    assert [index_of(name) for name in ("j.g[0]", "j.g[17]", "odd[x]", "plain")] == [0, 17, -1, -1]
