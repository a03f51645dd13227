"""The named cases of deployments in progress, of nodes, drains, garbage and periodic jobs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fsm.apply.world import SECOND, World
from tests.scheduler.test_garbage import collected, end_evaluations
from tests.scheduler.test_periodic import MINUTE
from tests.scheduler.test_periodic import World as Periodic
from tests.scheduler.test_watchers import drain, drains, on_node, placed, verdict
from yurt.fsm import commands as c
from yurt.fsm import commands_nodes as n
from yurt.fsm.errors import Refusal
from yurt.fsm.job.rules import check_dispatch, check_launch
from yurt.fsm.job.validate.periodic import next_time
from yurt.fsm.lang.cron import parse as parse_cron
from yurt.fsm.store.schema import DEPLOYMENTS, EVALUATIONS, JOB_VERSIONS, JOBS
from yurt.fsm.structs.allocation import AllocDeploymentStatus, DesiredTransition, TaskState
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.deployment import DeploymentState
from yurt.fsm.structs.evaluation import Evaluation
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import Job, ParameterizedJob
from yurt.fsm.structs.job import Periodic as PeriodicBlock
from yurt.fsm.structs.node import DrainStrategy
from yurt.fsm.structs.plan import AllocationChange
from yurt.fsm.structs.policies import Disconnect, ReschedulePolicy
from yurt.fsm.structs.times import from_rfc3339, to_rfc3339
from yurt.scheduler.duties.deployments import assess
from yurt.scheduler.duties.gc import FORCED, Thresholds
from yurt.scheduler.duties.heartbeats import Heartbeats
from yurt.server.leader.heartbeats import _is_waited_for
from yurt.server.platform.tzdb import zone

HOUR = 3600 * SECOND
ALWAYS = ReschedulePolicy(unlimited=True, delay=SECOND)


@pytest.fixture
def world() -> World:
    made = World()
    made.node()
    made.job(group=TaskGroup(name="g", count=2, reschedule_policy=ALWAYS))
    return made


# --- rescheduling and deployments


def failed_at(now_ns: int) -> dict[str, Any]:
    return {"task_states": {"t": TaskState(state="dead", failed=True, finished_at=to_rfc3339(now_ns))}}


@pytest.mark.parametrize(("policy", "evaluated"), [(ALWAYS, 1), (ReschedulePolicy(), 0)])
def test_alloc_failure_trigger(policy: ReschedulePolicy, evaluated: int) -> None:
    world = World()
    world.node()
    world.job(group=TaskGroup(name="g", reschedule_policy=policy))
    world.place("a1")
    world.report("a1", "failed", **failed_at(world.now))
    assert len(world.evaluations("alloc-failure")) == evaluated


def test_dep_stable_flag(world: World) -> None:
    world.deploy(desired_total=1)
    end = c.DeploymentUpdate(deployment_id="d", status="successful", description="done")
    world.do(c.ApplyPlan(eval_id="e", deployment_updates=(end,)))
    version = world.machine.view().get(JOB_VERSIONS, ("default", "web", 0))
    assert version is not None and version.stable and world.jobs().stable


def test_dep_progress_deadline_start(world: World) -> None:
    world.deploy(desired_total=1, progress_deadline=HOUR)
    assert not world.deployment().task_groups["g"].require_progress_by  # type: ignore[index]
    placed(world, "a1", None)
    by = from_rfc3339(world.deployment().task_groups["g"].require_progress_by or "")  # type: ignore[index]
    assert by == world.alloc().modify_time + HOUR


def test_dep_progress_fails(world: World) -> None:
    world.deploy(desired_total=2, progress_deadline=HOUR)
    placed(world, "a1", None)
    assert verdict(world).failure == "" and verdict(world, HOUR).failure == "Failed due to progress deadline"


def test_dep_progress_waiting_promotion(world: World) -> None:
    world.deploy(desired_total=2, desired_canaries=1, progress_deadline=HOUR)
    placed(world, "a1", True, canary=True)
    assert verdict(world, 100 * HOUR).failure == ""


def test_dep_no_progress_deadline(world: World) -> None:
    world.deploy(desired_total=2)
    placed(world, "a1", False)
    assert verdict(world).failure == "Failed due to unhealthy allocations"


def test_dep_fail_early() -> None:
    world = World()
    world.node()
    world.job(group=TaskGroup(name="g", count=2, reschedule_policy=ReschedulePolicy()))
    world.deploy(desired_total=2, progress_deadline=HOUR)
    placed(world, "a1", False)
    assert verdict(world).failure == "Failed due to unhealthy allocations"


def failed_deployment(world: World) -> str:
    world.deploy(auto_revert=True)
    world.do(n.FailDeployment(deployment_id="d", description="Why", revert=True, eval_id="e"))
    return world.deployment().status_description


def test_dep_autorevert_same_spec(world: World) -> None:
    world.do(c.SetJobStability(namespace="default", job_id="web", version=0, stable=True))
    text = "Why - not rolling back to stable job version 0 as current job has same specification"
    assert failed_deployment(world) == text


def test_dep_autorevert_none(world: World) -> None:
    assert failed_deployment(world) == "Why - no stable job version to auto revert to"


def test_dep_health_endpoint_unhealthy(world: World) -> None:
    world.deploy(desired_total=2)
    placed(world, "a1", True)
    assert world.deployment().task_groups["g"].healthy_allocs == 1  # type: ignore[index]
    world.do(n.SetAllocationHealth(deployment_id="d", unhealthy=("a1",), eval_id="e"))
    state = world.deployment().task_groups["g"]  # type: ignore[index]
    assert world.deployment().status == "failed" and (state.healthy_allocs, state.unhealthy_allocs) == (0, 1)


def test_dep_multi_group_deadline(world: World) -> None:
    row = replace(
        world.deploy(desired_total=1, progress_deadline=HOUR),
        task_groups={
            "g": DeploymentState(desired_total=1, progress_deadline=HOUR),
            "h": DeploymentState(desired_total=1, progress_deadline=HOUR),
        },
    )
    world.do(c.ApplyPlan(eval_id="plan", deployment=replace(row, id="d2")))
    world.place("a1", deployment_id="d2", deployment_status=AllocDeploymentStatus())
    status = AllocDeploymentStatus(healthy=True, timestamp=to_rfc3339(world.now))
    world.report("a1", "running", deployment_status=status)
    view = world.machine.view()
    deployment = view.get(DEPLOYMENTS, "d2")
    assert deployment is not None
    found = assess(view, deployment, world.now)
    assert found.deadline_ns == 0 and assess(view, deployment, world.now + 100 * HOUR).failure == ""


def test_canary_promote_unhealthy(world: World) -> None:
    world.deploy(desired_total=2, desired_canaries=1, progress_deadline=HOUR)
    placed(world, "a1", None, canary=True)
    status, text = world.refused(n.PromoteDeployment(deployment_id="d", all=True))
    assert status == 500 and 'Task group "g" has 0/1 healthy allocations' in text
    assert not world.deployment().task_groups["g"].promoted  # type: ignore[index]


def test_canary_auto_promote_mixed(world: World) -> None:
    row = replace(
        world.deploy(desired_total=2),
        task_groups={
            "g": DeploymentState(desired_total=2, desired_canaries=1, auto_promote=True, placed_canaries=("a1",)),
            "h": DeploymentState(desired_total=3),
        },
    )
    world.do(c.ApplyPlan(eval_id="plan", deployment=row))
    placed(world, "a1", True, canary=True)
    assert verdict(world).promote


def test_reconn_cancels_followup(world: World) -> None:
    world.place("a1")
    late = Evaluation(id="late", namespace="default", job_id="web", status="pending", wait_until="2099-01-01T00:00:00Z")
    change = AllocationChange(id="a1", client_status="unknown", followup_eval_id="late")
    world.do(c.ApplyPlan(eval_id="e", changed=(change,), evaluations=(late,)))
    world.report("a1", "running")
    (found,) = [one for one in world.evaluations() if one.id == "late"]
    assert (found.status, found.status_description) == ("canceled", "allocs reconnected")
    assert world.alloc().followup_eval_id == ""


def test_sysbatch_new_node() -> None:
    """A node that comes later gets a sysbatch job's allocation only by an evaluation, and there is none for it."""
    world = World()
    world.node()
    world.job(type="sysbatch")
    before = len(world.evaluations())
    world.node("n2")
    assert [one.job_id for one in world.evaluations()[before:]] == []


# --- nodes


def test_hb_ttl_small() -> None:
    timers = Heartbeats()
    for number in range(10):
        timers.expect(str(number), 0.0)
    assert timers.beat("0", 0.0, 0.0) == 10 and timers.beat("0", 0.0, 0.999) == pytest.approx(20, abs=0.1)
    timers.beat("1", 0.0, 0.0)
    assert "1" not in timers.missed(19.9) and "1" in timers.missed(20.0), "the TTL and ten seconds"


def test_hb_ttl_rate() -> None:
    timers = Heartbeats(per_second_max=50)
    for number in range(5000):
        timers.expect(str(number), 0.0)
    assert timers.beat("0", 0.0, 0.0) == 100 and timers.beat("0", 0.0, 0.999) == pytest.approx(200, abs=1)


@pytest.mark.parametrize(("block", "waits"), [(Disconnect(lost_after=5 * 60 * SECOND), True), (None, False)])
def test_hb_disconnect(block: Disconnect | None, waits: bool) -> None:
    world = World()
    world.node()
    world.job(group=TaskGroup(name="g", disconnect=block))
    world.place("a1")
    assert _is_waited_for(world.alloc()) is waits


def test_node_down_ready(world: World) -> None:
    world.place("a1")
    world.report("a1", "running")
    world.status("down", event="Node heartbeat missed")
    before = len(world.evaluations("node-update"))
    world.status("ready", event="Node reregistered by heartbeat")
    assert (world.nodes().events or ())[-1].message == "Node reregistered by heartbeat"
    assert world.nodes().is_ready and len(world.evaluations("node-update")) == before + 1


def test_node_attr_change(world: World) -> None:
    world.place("a1")
    before = len(world.evaluations("node-update"))
    given = replace(world.nodes(), attributes={"kernel.name": "other"})
    world.do(n.RegisterNode(node=given, seed="x"))
    assert [one.job_id for one in world.evaluations("node-update")[before:]] == ["web"]


def test_node_batch_terminal() -> None:
    world = World()
    world.node()
    world.job(type="batch")
    world.place("a1")
    world.report("a1", "complete")
    world.status("down")
    assert world.evaluations("node-update") == []


# --- drains


def test_drain_max_parallel_5(world: World) -> None:
    on_node(world, "service", *(f"a{number}" for number in range(8)), parallel=5)
    drain(world)
    marks = dict.fromkeys(list(drains(world).marks)[:4], DesiredTransition(migrate=True))
    world.do(n.TransitionAllocations(transitions=marks))
    assert len(drains(world).marks) == 1


def test_drain_health_pending(world: World) -> None:
    on_node(world, "service", "a1", "a2", "a3", "a4", parallel=3)
    world.node("n2")
    world.place("young", job_id="service", node_id="n2", deployment_status=None)
    world.report("a4", "complete")  # its replacement is the young one, whose health nobody knows yet
    drain(world)
    assert len(drains(world).marks) == 2


def test_drain_batch_waits(world: World) -> None:
    on_node(world, "batch", "a1")
    drain(world)
    assert drains(world).marks == {} and drains(world).done == []


def test_drain_deadline(world: World) -> None:
    on_node(world, "service", "a1", "a2", health=None)
    drain(world)
    found = drains(world, HOUR)
    assert set(found.marks) == {"a1", "a2"}
    for name in ("a1", "a2"):
        world.report(name, "complete")
    late = drains(world, HOUR)
    assert (late.done, late.forced) == (["n1"], ["n1"])
    world.do(n.CompleteDrains(node_ids=("n1",), forced=("n1",)))
    assert (world.nodes().events or ())[-1].details == {"deadline_reached": "true"}


def test_drain_infinite(world: World) -> None:
    on_node(world, "batch", "a1")
    drain(world, 0)
    assert drains(world).deadline_ns == 0 and drains(world, 10_000 * HOUR).marks == {}


def test_drain_empty(world: World) -> None:
    drain(world)
    assert drains(world).done == ["n1"]
    world.do(n.CompleteDrains(node_ids=("n1",)))
    found = world.nodes()
    assert found.drain_strategy is None and found.last_drain is not None and found.last_drain.status == "complete"
    assert found.scheduling_eligibility == "ineligible"


@pytest.mark.parametrize(("mark", "eligibility"), [(False, "ineligible"), (True, "eligible")])
def test_drain_cancel(world: World, mark: bool, eligibility: str) -> None:
    world.do(n.DrainNode(node_id="n1", strategy=DrainStrategy(deadline=HOUR)))
    world.do(n.DrainNode(node_id="n1", mark_eligible=mark, seed="x"))
    found = world.nodes()
    assert found.last_drain is not None and found.last_drain.status == "canceled"
    assert found.scheduling_eligibility == eligibility


# --- garbage


def finished(kind: str, **fields: Any) -> World:
    """A job whose one allocation, made by a finished evaluation, is complete."""
    made = World()
    made.node()
    made.job(type=kind, **fields)
    done = Evaluation(id="plan", namespace="default", job_id="web", type=kind, status="complete")
    made.do(c.UpdateEvaluations(evaluations=(done,)))
    made.place("a1")
    made.report("a1", "complete")
    end_evaluations(made)
    return made


def test_gc_eval() -> None:
    made = finished("service")
    found = collected(made, 2 * HOUR)
    assert "plan" in found.evaluation_ids and found.allocation_ids == ("a1",)
    assert collected(made, HOUR // 2).evaluation_ids == ()


def test_gc_batch_keeps() -> None:
    made = finished("batch", group=TaskGroup(name="g", count=2))
    made.place("a2")
    made.report("a2", "running")
    assert made.jobs().status == "running"
    assert collected(made, 25 * HOUR).allocation_ids == ()


def test_gc_batch_old_version() -> None:
    made = finished("batch", group=TaskGroup(name="g", count=2))
    made.job(type="batch", priority=60, group=TaskGroup(name="g", count=2))
    made.place("a2")
    made.report("a2", "running")
    end_evaluations(made)
    assert made.jobs().version == 1
    assert collected(made, 25 * HOUR).allocation_ids == ("a1",), "the one of version 0"
    assert collected(made, 23 * HOUR).allocation_ids == ()


def test_gc_job_batch() -> None:
    made = finished("batch")
    assert made.jobs().status == "dead" and collected(made, 3 * HOUR).jobs == ()
    assert collected(made, 25 * HOUR).jobs == (("default", "web"),)


def test_gc_job_service_dead() -> None:
    made = finished("service")
    assert collected(made, 1000 * HOUR).jobs == ()


def test_gc_job_periodic() -> None:
    made = World()
    made.job(type="batch", periodic=PeriodicBlock(specs=("@daily",)))
    assert collected(made, 1000 * HOUR, FORCED).jobs == ()


def test_gc_node() -> None:
    made = finished("service")
    made.status("down")
    assert collected(made, 23 * HOUR).node_ids == () and collected(made, 25 * HOUR).node_ids == ("n1",)


def test_gc_force() -> None:
    made = finished("batch")
    assert collected(made, SECOND).jobs == () and collected(made, SECOND, FORCED).jobs == (("default", "web"),)
    assert collected(made, SECOND, Thresholds()).evaluation_ids == ()


# --- periodic and parameterized jobs


def test_per_launch() -> None:
    world = Periodic()
    world.register("tick", "*/5 * * * * * *")
    found = world.until(15 * SECOND)
    assert len(found) == 3
    assert world.children() == ["tick/periodic-10", "tick/periodic-15", "tick/periodic-5"]
    assert {one.triggered_by for one in world.machine.view().scan(EVALUATIONS)} == {"periodic-job"}


def test_per_force() -> None:
    world = Periodic()
    world.register("tick", prohibit_overlap=True)
    world.until(10 * MINUTE)
    world.apply(c.LaunchPeriodicJob(namespace="default", job_id="tick", launch_seconds=900, eval_id="forced"))
    assert "tick/periodic-900" in world.children()


def test_per_catch_up() -> None:
    world = Periodic()
    world.register("tick")
    world.now = 35 * MINUTE  # three launches went by without a leader
    assert len(world.new_leader()) == 1 and world.new_leader() == []


def test_per_disabled() -> None:
    world = Periodic()
    stored = world.register("tick", enabled=False)
    assert world.until(60 * MINUTE) == []
    with pytest.raises(Refusal):
        check_launch(stored)


def test_per_time_zone() -> None:
    block = PeriodicBlock(specs=("0 30 2 * * * *",), time_zone="America/New_York")
    noon = 1_772_884_800 * SECOND  # 2026-03-07 12:00 UTC
    launch = next_time(block, 1_783_425_600 * SECOND, zone)  # 2026-07-07 12:00 UTC
    assert launch is not None and to_rfc3339(launch) == "2026-07-08T06:30:00Z"
    winter = next_time(block, noon - 30 * 24 * HOUR, zone)
    assert winter is not None and to_rfc3339(winter).endswith("T07:30:00Z")


def test_per_specs() -> None:
    block = PeriodicBlock(specs=("0 5 * * *", "0 3 * * *"))
    launch = next_time(block, 0, zone)
    assert launch is not None and to_rfc3339(launch) == "1970-01-01T03:00:00Z"


def test_per_macro() -> None:
    parse_cron("@daily")
    with pytest.raises(ValueError, match="missing field"):
        parse_cron("@every 5m")


def test_param_dispatch() -> None:
    rules = ParameterizedJob(meta_required=("who",), meta_optional=("why",))
    of = Job(id="p", name="p", type="batch", parameterized_job=rules, task_groups=(TaskGroup(name="g"),))
    with pytest.raises(Refusal, match=r"did not provide required meta keys: \[who\]"):
        check_dispatch(of, b"", {"why": "x"}, 0)
    with pytest.raises(Refusal, match=r"unpermitted metadata keys: \[else\]"):
        check_dispatch(of, b"", {"who": "x", "else": "y"}, 0)
    world = World()
    world.do(c.RegisterJob(job=of))
    world.do(c.DispatchJob(namespace="default", job_id="p", child_id="p/dispatch-1-a", meta={"who": "x"}, eval_id="e"))
    child = world.machine.view().get(JOBS, ("default", "p/dispatch-1-a"))
    assert child is not None and child.dispatched and child.parent_id == "p"
