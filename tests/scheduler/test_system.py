"""System and sysbatch jobs, case by case."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scheduler.picture import (
    HOUR,
    MIGRATE,
    MINUTE,
    NOW,
    UPDATE,
    Picture,
    alloc,
    ended,
    group,
    in_deployment,
    job,
    newer,
    node,
    rolling,
    stops,
    task,
    unknown,
    updates,
)
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.constraint import Constraint
from yurt.fsm.structs.deployment import DeploymentState
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.node import DrainStrategy
from yurt.fsm.structs.policies import Disconnect
from yurt.fsm.structs.resources import Resources
from yurt.scheduler.outcome import Outcome

NOT_NEEDED = "alloc not needed due to job update"
UPDATING = "alloc is being updated due to job update"
LOST = "alloc is lost since its node is down"


def system(count: int = 1, *, kind: str = "system", **fields: Any) -> Job:
    own = {name: fields.pop(name) for name in ("constraints", "datacenters", "priority", "node_pool") if name in fields}
    return job(group(count=count, reschedule_policy=None, migrate=None, **fields), type=kind, **own)


def everywhere(of: Job, nodes: int, **fields: Any) -> list[Any]:
    """An allocation on each node."""
    return [alloc(of, 0, f"node-{n:05d}", number=n, **fields) for n in range(nodes)]


def where(out: Outcome) -> list[tuple[str, str]]:
    return sorted((one.allocation.node_id, one.allocation.name) for one in out.placed)


def test_sys_register() -> None:
    of = system()
    out = Picture(of, nodes=10).evaluate(of)
    assert where(out) == [(f"node-{n:05d}", "j.g[0]") for n in range(10)]
    assert out.evaluation.queued_allocations == {"g": 0} and updates(out) == {"place": 10}


def test_sys_count_two() -> None:
    of = system(2)
    out = Picture(of, nodes=3).evaluate(of)
    assert where(out) == [(f"node-{n:05d}", f"j.g[{i}]") for n in range(3) for i in range(2)]


def test_sys_again() -> None:
    of = system()
    out = Picture(of, *everywhere(of, 3), nodes=4).evaluate(of, "node-update")
    assert where(out) == [("node-00003", "j.g[0]")] and updates(out) == {"ignore": 3, "place": 1}
    assert out.deployment is None


def test_sys_node_down() -> None:
    of = system()
    picture = Picture(of, *everywhere(of, 3), nodes=3)
    picture.put(node(0, status="down"))
    out = picture.evaluate(of, "node-update")
    assert [(one.client_status, one.description) for one in out.stopped] == [("lost", LOST)] and not out.placed


def test_sys_drain() -> None:
    of = system()
    rows = everywhere(of, 2)
    rows[0] = replace(rows[0], desired_transition=MIGRATE)
    picture = Picture(of, *rows, nodes=2)
    picture.put(node(0, drain_strategy=DrainStrategy()))
    out = picture.evaluate(of, "node-drain")
    assert stops(out) == {rows[0].id: "alloc not needed as node is tainted"} and not out.placed


def test_sys_stopped_one_is_placed_by_the_next_evaluation() -> None:
    of = system()
    picture = Picture(of, *everywhere(of, 1, desired_transition=MIGRATE), nodes=1)
    out = picture.evaluate(of, "alloc-stop")
    assert len(out.stopped) == 1 and not out.placed
    picture.apply(out)
    assert len(picture.evaluate(of, "node-update").placed) == 1


def test_sys_ineligible_changed() -> None:
    old = system()
    new = newer(old, system(tasks=(task(env={"A": "2"}),)).task_groups[0])  # type: ignore[index]
    picture = Picture(old, *everywhere(old, 1), nodes=1)
    picture.put(node(0, scheduling_eligibility="ineligible"))
    assert not picture.evaluate(old).has_plan, "the job did not change"
    picture.put(new)
    out = picture.evaluate(new)
    assert stops(out) == {"alloc-g-0-00000": NOT_NEEDED} and not out.placed


def test_sys_remove_dc() -> None:
    old = system(datacenters=("dc1", "dc2"))
    new = newer(old, system(tasks=(task(env={"A": "2"}),)).task_groups[0], datacenters=("dc1",))  # type: ignore[index]
    picture = Picture(old, node(0), node(1, datacenter="dc2"), *everywhere(old, 2))
    picture.put(new)
    out = picture.evaluate(new)
    assert stops(out) == {"alloc-g-0-00000": UPDATING, "alloc-g-0-00001": NOT_NEEDED}
    assert where(out) == [("node-00000", "j.g[0]")]


def test_sys_inplace() -> None:
    old = system()
    new = newer(old, priority=70)
    picture = Picture(old, *everywhere(old, 10), nodes=10)
    picture.put(new)
    out = picture.evaluate(new)
    assert updates(out) == {"in_place_update": 10} and len(out.updated) == 10 and not out.placed


def test_sys_constraint_filters() -> None:
    of = system(constraints=(Constraint(ltarget="${meta.kind}", operand="=", rtarget="web"),))
    rows = [node(n, meta={"kind": "web" if n < 4 else "db"}) for n in range(10)]
    out = Picture(of, *rows).evaluate(of)
    assert len(out.placed) == 4 and out.evaluation.queued_allocations == {"g": 0}
    assert not out.evaluation.failed_tg_allocs and not out.created


def test_sys_constraint_that_excludes_a_node_later() -> None:
    old = system()
    wanted = Constraint(ltarget="${node.unique.name}", operand="!=", rtarget="n0")
    new = newer(old, constraints=(wanted,))
    picture = Picture(old, *everywhere(old, 2), nodes=2)
    picture.put(new)
    out = picture.evaluate(new)
    assert stops(out) == {"alloc-g-0-00000": UPDATING} and not out.placed and not out.evaluation.failed_tg_allocs


def test_sys_exhausted() -> None:
    of = system()
    picture = Picture(of, node(0), node(1, cpu=50), node(2))
    out = picture.evaluate(of)
    failed = out.evaluation.failed_tg_allocs
    assert len(out.placed) == 2 and failed is not None and failed["g"].dimension_exhausted == {"cpu": 1}
    (blocked,) = out.created
    assert blocked.node_id == "node-00001" and blocked.status == "blocked" and out.evaluation.blocked_eval == blocked.id
    assert out.evaluation.queued_allocations == {"g": 1}
    picture.apply(out)
    again = picture.evaluate(of, "queued-allocs", id=blocked.id, status="blocked", node_id="node-00001")
    assert again.evaluation.status == "blocked" and not again.placed
    picture.put(node(1))
    last = picture.evaluate(of, "queued-allocs", id=blocked.id, status="blocked", node_id="node-00001")
    assert where(last) == [("node-00001", "j.g[0]")] and last.evaluation.status == "complete"


def test_sys_exhausted_twice_coalesces() -> None:
    of = system()
    out = Picture(of, node(0, cpu=50), node(1, cpu=50), node(2)).evaluate(of)
    failed = out.evaluation.failed_tg_allocs
    assert failed is not None and failed["g"].coalesced_failures == 1 and len(out.created) == 1
    assert failed["g"].resources_exhausted is not None and failed["g"].resources_exhausted["t"].cpu == 200


def test_sys_preempts() -> None:
    low = job(group(tasks=(task(resources=Resources(cpu=3950, memory_mb=64)),), count=2), id="low", priority=20)
    of = system(priority=100)
    rows = [alloc(low, n, f"node-{n:05d}") for n in range(2)]
    picture = Picture(low, of, *rows, nodes=2)
    out = picture.evaluate(of)
    assert len(out.placed) == 2 and sorted(one.id for one in out.evicted) == sorted(one.id for one in rows)
    (evaluation,) = out.created
    assert (evaluation.job_id, evaluation.triggered_by, evaluation.priority) == ("low", "preemption", 20)


def test_sys_noop_infeasible() -> None:
    of = system(constraints=(Constraint(ltarget="${meta.kind}", operand="=", rtarget="web"),), update=UPDATE)
    out = Picture(of, rolling(of, "successful", g=DeploymentState()), nodes=3).evaluate(of, "node-update")
    assert not out.has_plan and not out.created and out.evaluation.status == "complete"


def test_sys_disconnect() -> None:
    of = system(disconnect=Disconnect(lost_after=5 * MINUTE))
    picture = Picture(of, *everywhere(of, 2), nodes=2)
    picture.put(node(0, status="disconnected"))
    out = picture.evaluate(of, "node-update")
    assert [(one.id, one.client_status) for one in out.updated] == [("alloc-g-0-00000", "unknown")]
    assert not out.created and not out.placed and not out.stopped
    picture.put(node(0), replace(everywhere(of, 1)[0], **unknown(NOW, "running")))
    back = picture.evaluate(of, "reconnect")
    assert updates(back) == {"reconnect": 1, "ignore": 1} and not back.placed and not back.stopped


def test_sys_deployment() -> None:
    of = system(update=UPDATE)
    out = Picture(of, nodes=3).evaluate(of)
    assert out.deployment is not None and out.deployment.status == "running"
    assert (out.deployment.task_groups or {})["g"].desired_total == 3
    assert {one.allocation.deployment_id for one in out.placed} == {out.deployment.id}


def test_sys_deployment_of_nothing_is_successful_at_once() -> None:
    of = system(update=UPDATE)
    out = Picture(of).evaluate(of)
    assert out.deployment is not None and out.deployment.status == "successful"


def test_sys_rolls_max_parallel_nodes_at_a_time() -> None:
    old = system(update=UPDATE)
    new = newer(old, system(update=UPDATE, tasks=(task(env={"A": "2"}),)).task_groups[0])  # type: ignore[index]
    picture = Picture(old, *everywhere(old, 10), nodes=10)
    picture.put(new)
    out = picture.evaluate(new)
    assert updates(out) == {"destructive_update": 4, "ignore": 6} and len(out.placed) == 4
    picture.apply(out)
    assert not picture.evaluate(new, "deployment-watcher").placed, "none of them is healthy yet"


def test_sys_canaries_are_a_share_of_the_nodes() -> None:
    update = replace(UPDATE, canary=20)
    old = system(update=update)
    new = newer(old, system(update=update, tasks=(task(env={"A": "2"}),)).task_groups[0])  # type: ignore[index]
    picture = Picture(old, *everywhere(old, 10), nodes=10)
    picture.put(new)
    out = picture.evaluate(new)
    assert len(out.placed) == 2 and all(one.allocation.deployment_status.canary for one in out.placed)  # type: ignore[union-attr]
    assert out.deployment is not None and (out.deployment.task_groups or {})["g"].desired_canaries == 2


def test_sys_deployment_ends_when_all_are_healthy() -> None:
    of = system(update=UPDATE)
    deployment = rolling(of, g=DeploymentState(desired_total=3, healthy_allocs=3, placed_allocs=3))
    out = Picture(of, deployment, *everywhere(of, 3, **in_deployment(of, healthy=True)), nodes=3).evaluate(of)
    assert [one.status for one in out.deployment_updates] == ["successful"]


def test_sys_failed_is_placed_again() -> None:
    of = system()
    out = Picture(of, *everywhere(of, 1, **ended(NOW)), nodes=1).evaluate(of, "alloc-failure")
    assert len(out.placed) == 1 and out.evaluation.status == "complete"


def test_sys_stopped_job() -> None:
    of = system()
    stopped = newer(of, stop=True)
    out = Picture(stopped, *everywhere(of, 3), nodes=3).evaluate(stopped, "job-deregister")
    assert len(out.stopped) == 3 and not out.placed


# --- sysbatch


def test_sysbatch_register() -> None:
    of = system(kind="sysbatch")
    out = Picture(of, nodes=10).evaluate(of, "periodic-job")
    assert len(out.placed) == 10 and out.deployment is None


@pytest.mark.parametrize("failed", [False, True], ids=["sysbatch-done", "sysbatch-failed-not-retried"])
def test_sysbatch_done(failed: bool) -> None:
    of = system(kind="sysbatch")
    rows = everywhere(of, 3, **ended(NOW - HOUR, failed=failed))
    out = Picture(of, *rows, nodes=3).evaluate(of)
    assert not out.has_plan and updates(out) == {"ignore": 3}


def test_sysbatch_runs_again_when_it_changed() -> None:
    old = system(kind="sysbatch")
    new = newer(old, meta={"a": "b"})
    picture = Picture(old, *everywhere(old, 3, **ended(NOW - HOUR, failed=False)), nodes=3)
    picture.put(new)
    assert len(picture.evaluate(new).placed) == 3


def test_unknown_trigger() -> None:
    of = system()
    out = Picture(of, nodes=1).evaluate(of, "periodic-job")
    assert out.evaluation.status == "failed"
    assert out.evaluation.status_description == "scheduler cannot handle 'periodic-job' evaluation reason"
