"""Random commands of nodes, allocations and deployments, and what they begin with."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from yurt.fsm import commands as c
from yurt.fsm import commands_nodes as n
from yurt.fsm import commands_services as s
from yurt.fsm.structs.allocation import (
    AllocatedResources,
    Allocation,
    AllocDeploymentStatus,
    DesiredTransition,
    TaskState,
)
from yurt.fsm.structs.deployment import Deployment, DeploymentState
from yurt.fsm.structs.evaluation import Evaluation
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.node import DrainStrategy, Node
from yurt.fsm.structs.plan import AllocationChange, AllocationEviction, AllocationStop, Placement
from yurt.fsm.structs.policies import ReschedulePolicy
from yurt.fsm.structs.registration import ServiceRegistration

SEEDS = st.sampled_from(["s1", "s2", "s3"])
nodes = st.sampled_from(["n1", "n2", "n3"])
allocs = st.sampled_from(["a1", "a2", "a3", "a4"])
deployments = st.sampled_from(["d1", "e3", "e4"])
evals = st.sampled_from(["e3", "e8", "e9"])
times = st.integers(0, 10**10)
maybe = st.sampled_from([None, True, False])

marks = st.builds(DesiredTransition, migrate=maybe, reschedule=maybe, no_shutdown_delay=maybe)
health = st.one_of(
    st.none(), st.builds(AllocDeploymentStatus, healthy=maybe, timestamp=st.just("2026-01-02T03:04:05Z"))
)
reports = st.builds(
    n.AllocUpdate, id=allocs, node_id=nodes, deployment_status=health,
    client_status=st.sampled_from(["pending", "running", "complete", "failed", "unknown"]),
    task_states=st.sampled_from([None, {"t": TaskState(state="dead", failed=True, finished_at="2026-01-02T03:04:05Z")}]),
)  # fmt: skip
services = st.builds(
    ServiceRegistration, id=st.sampled_from(["x", "y"]), alloc_id=allocs, node_id=nodes, namespace=st.just("default"),
    service_name=st.sampled_from(["web", "db"]), job_id=st.just("web"), port=st.integers(0, 2),
)  # fmt: skip
placed = st.builds(
    Placement, job_version=st.integers(0, 3),
    allocation=st.builds(
        Allocation, id=allocs, name=st.just("web.g[0]"), namespace=st.just("default"), node_id=nodes, task_group=st.just("g"),
        job_id=st.sampled_from(["web", "db", "agents"]), desired_status=st.just("run"), client_status=st.just("pending"),
        deployment_id=st.sampled_from(["", "d1"]), previous_allocation=st.sampled_from(["", "a1"]), eval_id=evals,
        allocated_resources=st.just(AllocatedResources()),
        deployment_status=st.sampled_from([None, AllocDeploymentStatus(canary=True)]),
    ),
)  # fmt: skip
changes = st.builds(
    AllocationChange, id=allocs, job_version=st.one_of(st.none(), st.integers(0, 3)), deployment_id=st.sampled_from(["", "d1"]),
    client_status=st.sampled_from(["", "unknown"]), followup_eval_id=st.sampled_from([None, "", "e8"]),
    last_reschedule=st.sampled_from([None, "no placement"]),
)  # fmt: skip
stops = st.builds(AllocationStop, id=allocs, description=st.just("x"), client_status=st.sampled_from(["", "lost"]))
evictions = st.builds(AllocationEviction, id=allocs, preempted_by=allocs)
placements: dict[str, Any] = {
    "stopped": st.lists(stops, max_size=2).map(tuple),
    "evicted": st.lists(evictions, max_size=1).map(tuple),
    "changed": st.lists(changes, max_size=2).map(tuple),
    "placed": st.lists(placed, max_size=3, unique_by=lambda one: one.allocation.id).map(tuple),
}

node_rows = st.builds(
    Node, id=nodes, secret_id=st.sampled_from(["s", "s", "t"]), datacenter=st.sampled_from(["dc1", "dc2"]),
    node_pool=st.sampled_from(["", "gpu2"]), attributes=st.sampled_from([None, {"a": "1", "unique.b": "2"}]),
)  # fmt: skip
statuses = st.builds(
    n.NodeStatus, node_id=nodes, status=st.sampled_from(["ready", "down", "disconnected", "initializing"]),
    event=st.sampled_from(["", "Node heartbeat missed"]),
)  # fmt: skip
strategies = st.one_of(st.none(), st.builds(DrainStrategy, deadline=st.integers(-1, 5)))

node_commands: dict[type[c.Command], st.SearchStrategy[Any]] = {
    n.RegisterNode: st.builds(n.RegisterNode, now_ns=times, node=node_rows, seed=SEEDS),
    n.UpdateNodeStatuses: st.builds(
        n.UpdateNodeStatuses, now_ns=times, statuses=st.lists(statuses, min_size=1, max_size=3).map(tuple), seed=SEEDS
    ),
    n.SetNodeEligibility: st.builds(
        n.SetNodeEligibility, now_ns=times, node_id=nodes, eligibility=st.sampled_from(["eligible", "ineligible", "x"]),
        seed=SEEDS,
    ),
    n.DrainNode: st.builds(
        n.DrainNode, now_ns=times, node_id=nodes, strategy=strategies, mark_eligible=st.booleans(), seed=SEEDS
    ),
    n.CompleteDrains: st.builds(n.CompleteDrains, now_ns=times, node_ids=st.just(("n1", "n2")), forced=st.just(("n1",))),
    n.EvaluateNode: st.builds(n.EvaluateNode, now_ns=times, node_id=nodes, seed=SEEDS),
    n.PurgeNode: st.builds(n.PurgeNode, now_ns=times, node_id=nodes, seed=SEEDS),
    n.UpdateAllocations: st.builds(
        n.UpdateAllocations, now_ns=times, updates=st.lists(reports, min_size=1, max_size=3).map(tuple), seed=SEEDS
    ),
    n.TransitionAllocations: st.builds(
        n.TransitionAllocations, now_ns=times, transitions=st.dictionaries(allocs, marks, max_size=2),
        evaluations=st.sampled_from([(), (Evaluation(id="e8", job_id="web", namespace="default", status="pending"),)]),
    ),
    n.PromoteDeployment: st.builds(
        n.PromoteDeployment, now_ns=times, deployment_id=deployments, all=st.booleans(), eval_id=evals
    ),
    n.PauseDeployment: st.builds(
        n.PauseDeployment, now_ns=times, deployment_id=deployments, pause=st.booleans(), eval_id=evals
    ),
    n.FailDeployment: st.builds(
        n.FailDeployment, now_ns=times, deployment_id=deployments, description=st.just("x"), revert=maybe, eval_id=evals
    ),
    n.SetAllocationHealth: st.builds(
        n.SetAllocationHealth, now_ns=times, deployment_id=deployments, eval_id=evals,
        healthy=st.sampled_from([(), ("a1",)]), unhealthy=st.sampled_from([(), ("a2",)]),
    ),
    s.UpsertServices: st.builds(s.UpsertServices, now_ns=times, services=st.lists(services, max_size=2).map(tuple)),
    s.DeleteServices: st.builds(
        s.DeleteServices, now_ns=times, ids=st.sampled_from([("x",), ("y", "z")]), namespace=st.just("default"),
        name=st.sampled_from(["", "web"]),
    ),
}  # fmt: skip


def start_nodes() -> list[c.Command]:
    """Two nodes with allocations of a deployment, one of them draining, and a system job."""
    group = TaskGroup(name="g", count=2, reschedule_policy=ReschedulePolicy(unlimited=True))
    agents = Job(id="agents", name="agents", type="system", task_groups=(group,))
    made: list[c.Command] = [
        n.RegisterNode(node=Node(id=name, secret_id="s", datacenter="dc1"), seed="s0") for name in ("n1", "n2")
    ]
    ready = tuple(n.NodeStatus(node_id=name, status="ready") for name in ("n1", "n2"))
    state = DeploymentState(desired_total=2, desired_canaries=1, progress_deadline=10, auto_revert=True)
    rollout = Deployment(id="d1", namespace="default", job_id="web", job_version=1, task_groups={"g": state})
    canary = AllocDeploymentStatus(canary=True)
    common: dict[str, Any] = {
        "namespace": "default", "job_id": "web", "task_group": "g", "desired_status": "run", "client_status": "pending",
        "deployment_id": "d1", "deployment_status": canary, "eval_id": "e0", "name": "web.g[0]",
    }  # fmt: skip
    new = tuple(
        Placement(allocation=Allocation(id=alloc, node_id=node, **common), job_version=1)
        for alloc, node in (("a1", "n1"), ("a2", "n2"))
    )
    return [
        *made,
        n.UpdateNodeStatuses(statuses=ready, seed="s0"),
        c.RegisterJob(now_ns=1, job=agents, eval_id="e10"),
        c.ApplyPlan(now_ns=2, eval_id="e0", deployment=rollout, placed=new),
        n.UpdateAllocations(updates=tuple(n.AllocUpdate(id=one, client_status="running") for one in ("a1", "a2"))),
        n.DrainNode(node_id="n1", strategy=DrainStrategy(deadline=5)),
    ]
