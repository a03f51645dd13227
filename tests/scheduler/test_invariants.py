"""What holds whatever happens to nodes and jobs: no node is over-committed, names are unique, counts converge."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.scheduler.picture import AT_ONCE, Picture, ended, group, job, newer, node, task
from yurt.fsm.store.schema import ALLOCATIONS, DEPLOYMENTS, JOBS, NODES
from yurt.fsm.structs.allocation import AllocDeploymentStatus, DesiredTransition
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.constraint import Constraint, Spread
from yurt.fsm.structs.network import Network, Port
from yurt.fsm.structs.node import DrainStrategy
from yurt.fsm.structs.policies import UpdateStrategy
from yurt.fsm.structs.resources import Resources
from yurt.scheduler.cluster import Cluster
from yurt.scheduler.sizes import capacity, size_of

NODES_MAX, JOBS_MAX = 6, 3
ROUNDS = 30
PORTS = (Network(mode="host", reserved_ports=(Port(label="s", value=9000),), dynamic_ports=(Port(label="d"),)),)

actions = st.lists(
    st.one_of(
        st.tuples(st.just("node"), st.integers(0, NODES_MAX - 1), st.sampled_from(["ready", "down", "drain", "small"])),
        st.tuples(
            st.just("job"),
            st.integers(0, JOBS_MAX - 1),
            st.fixed_dictionaries(
                {
                    "count": st.integers(0, 6),
                    "cpu": st.sampled_from([100, 900, 1900]),
                    "kind": st.sampled_from(["service", "service", "batch", "system"]),
                    "update": st.sampled_from([None, 1, 2]),
                    "ports": st.booleans(),
                    "distinct": st.booleans(),
                    "spread": st.booleans(),
                    "env": st.sampled_from(["1", "2"]),
                }
            ),
        ),
        st.tuples(st.just("fail"), st.integers(0, 20), st.booleans()),
    ),
    min_size=1,
    max_size=12,
)


def change(picture: Picture, action: tuple[Any, ...]) -> None:
    """Something happens."""
    what, number, how = action
    if what == "node":
        if how == "small":
            picture.put(node(number, cpu=1500))
        elif how == "drain":
            picture.put(node(number, drain_strategy=DrainStrategy()))
            for one in picture.view.find(ALLOCATIONS, "node", f"node-{number:05d}"):
                if not one.is_terminal:
                    picture.put(replace(one, desired_transition=DesiredTransition(migrate=True)))
        else:
            picture.put(node(number, status=how))
    elif what == "job":
        picture.put(submitted(picture, number, how))
    else:
        live = [one for one in picture.view.scan(ALLOCATIONS) if not one.is_terminal]
        if live:
            picture.put(replace(live[number % len(live)], **ended(picture.now_ns, failed=how)))


def submitted(picture: Picture, number: int, how: dict[str, Any]) -> Any:
    """A new job or the next version of one; its type stays."""
    name = f"job{number}"
    stored = picture.view.get(JOBS, ("default", name))
    kind = stored.type if stored is not None else how["kind"]
    update = UpdateStrategy(max_parallel=how["update"]) if how["update"] and kind == "service" else None
    one = group(
        count=min(how["count"], 1) if kind == "system" else how["count"],
        tasks=(task(env={"A": how["env"]}, resources=Resources(cpu=how["cpu"], memory_mb=64)),),
        update=update,
        reschedule_policy=None if kind == "system" else AT_ONCE,
        networks=PORTS if how["ports"] else None,
    )
    fields = {
        "constraints": (Constraint(operand="distinct_hosts"),) if how["distinct"] else None,
        "spreads": (Spread(attribute="${node.unique.name}", weight=50),)
        if how["spread"] and kind != "system"
        else None,
    }
    if stored is None:
        return job(one, id=name, name=name, type=kind, **fields)
    return newer(stored, one, **fields)


def settle(picture: Picture) -> None:
    """Clients report what was placed as healthy."""
    rows = []
    for one in picture.view.scan(ALLOCATIONS):
        if one.deployment_id and not one.is_terminal and one.deployment_status is None:
            rows.append(replace(one, deployment_status=AllocDeploymentStatus(healthy=True)))
    for deployment in picture.view.scan(DEPLOYMENTS):
        if deployment.is_active:
            own = picture.view.find(ALLOCATIONS, "deployment", deployment.id)
            states = {
                name: replace(state, healthy_allocs=sum(one.task_group == name for one in own))
                for name, state in (deployment.task_groups or {}).items()
            }
            rows.append(replace(deployment, task_groups=states))
    picture.put(*rows)


def check(picture: Picture) -> None:
    """The promises that hold after every plan."""
    view = picture.view
    ports: Counter[Any] = Counter()
    for one in view.scan(NODES):
        held = [alloc for alloc in view.find(ALLOCATIONS, "node", one.id) if not alloc.is_client_terminal]
        took = [sum(size_of(alloc.allocated_resources)[at] for alloc in held) for at in range(3)]
        new = [alloc for alloc in held if alloc.create_index > one.modify_index]
        assert not new or all(a <= b for a, b in zip(took, capacity(one), strict=True)), (one.id, took)
        for alloc in held:
            for port in (alloc.allocated_resources.shared.ports or ()) if alloc.allocated_resources else ():
                ports[one.id, port.host_ip, port.value] += 1
    assert not ports or max(ports.values()) == 1, "a port belongs to one allocation"
    names = Counter(
        (one.job_id, one.name, one.node_id if one.job.type == "system" else "")
        for one in view.scan(ALLOCATIONS)
        if not one.is_terminal
    )  # type: ignore[union-attr]
    assert not names or max(names.values()) == 1, names


@given(actions)
@settings(max_examples=60, deadline=None)
def test_promises(story: list[tuple[Any, ...]]) -> None:
    picture = Picture(*(node(number) for number in range(3)))
    cluster = Cluster.of(picture.view)
    for action in story:
        change(picture, action)
        for of in list(picture.view.scan(JOBS)):
            for _ in range(ROUNDS):
                cluster = cluster if cluster.is_of(picture.view) else Cluster.of(picture.view)
                out = picture.evaluate(of, "node-update" if of.type == "system" else "job-register", cluster=cluster)
                picture.apply(out)
                check(picture)
                settle(picture)
                if not out.has_plan:
                    break
            else:
                raise AssertionError("plans go on for ever")
            converged(picture, of, out)


def converged(picture: Picture, of: Any, out: Any) -> None:
    """Once nothing changes any more there are as many as wanted, or the evaluation says how many are missing."""
    one = of.task_groups[0]
    own = [alloc for alloc in picture.view.find(ALLOCATIONS, "job", ("default", of.id)) if alloc.task_group == one.name]
    live = [alloc for alloc in own if not alloc.is_terminal]
    queued = (out.evaluation.queued_allocations or {}).get(one.name, 0)
    if of.type == "service":
        waiting = sum(alloc.client_status == "failed" and not alloc.is_server_terminal for alloc in own)
        assert one.count - queued - waiting <= len(live) <= one.count, (len(live), one.count, queued, waiting)
    elif of.type == "batch":
        assert len(live) <= one.count
    assert all(alloc.job.version == of.version or queued for alloc in live), "all are of the newest version"


@given(actions)
@settings(max_examples=25, deadline=None)
def test_columns_follow_the_state(story: list[tuple[Any, ...]]) -> None:
    """Columns that took in every change equal those made anew."""
    picture = Picture(*(node(number) for number in range(3)))
    cluster = Cluster.of(picture.view)
    picture.listen(cluster.apply)
    for action in story:
        change(picture, action)
        for of in list(picture.view.scan(JOBS)):
            assert cluster.is_of(picture.view)
            out = picture.evaluate(of, "node-update" if of.type == "system" else "job-register", cluster=cluster)
            cluster.reserve([one.allocation for one in out.placed])
            picture.apply(out)
            fresh = Cluster.of(picture.view)
            for row, one in enumerate(fresh.nodes):
                assert one is not None
                mine = cluster.rows[one.id]
                assert cluster.nodes[mine] is one and cluster.ready[mine] == fresh.ready[row]
                assert cluster.used[mine].tolist() == fresh.used[row].tolist()
                assert cluster.total[mine].tolist() == fresh.total[row].tolist()
                assert not list(cluster.reserved_on(one.id))
