"""Events: what each command is told as, and how much is kept (spec cluster §13)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.fsm.apply.world import World
from yurt.fsm import commands as c
from yurt.fsm import commands_nodes as n
from yurt.fsm.events import TYPES, EventRing
from yurt.fsm.structs.node import Node, NodePool


class Told(World):
    """A machine whose events are kept."""

    def __init__(self, size: int = 100) -> None:
        super().__init__()
        self.ring = EventRing(size)
        self.machine.on_applied(self.ring.add)

    def lines(self, number: int = 0) -> list[list[dict[str, Any]]]:
        return [[json.loads(event.body) for event in entry.events] for _, entry in self.ring.after(number)]

    def short(self) -> list[list[str]]:
        return [[f"{event['Topic']} {event['Type']} {event['Key']}" for event in line] for line in self.lines()]


def test_a_registration_is_two_lines_with_one_index() -> None:
    told = Told()
    told.job()
    assert told.short() == [["Job JobRegistered web"], ["Evaluation JobRegistered eval-001"]]
    job, evaluation = (line[0] for line in told.lines())
    assert job["Index"] == evaluation["Index"] == told.machine.index
    assert (job["FilterKeys"], evaluation["FilterKeys"]) == (None, ["web", ""])
    assert job["Payload"]["Job"]["ID"] == "web" and job["Namespace"] == "default"


def test_an_allocation_has_no_job_in_it_and_a_node_no_secret() -> None:
    told = Told()
    told.node()
    told.job()
    told.place("a1", deployment_id="d")
    allocation = next(event for line in told.lines() for event in line if event["Topic"] == "Allocation")
    assert allocation["Type"] == "PlanResult" and "Job" not in allocation["Payload"]["Allocation"]
    assert allocation["FilterKeys"] == ["web", "d"]
    node = told.lines()[0][0]
    assert (node["Type"], node["Payload"]["Node"]["SecretID"], node["Namespace"]) == ("NodeRegistration", "", "")


def test_a_purge_is_told_with_the_last_row() -> None:
    told = Told()
    told.job()
    told.do(c.DeregisterJob(namespace="default", job_id="web", purge=True, eval_id="e"))
    deleted = [event for line in told.lines() for event in line if event["Payload"].get("Deleted")]
    assert [(event["Type"], event["Key"]) for event in deleted] == [("JobDeregistered", "web")]
    told.do(c.UpsertNodePool(pool=NodePool(name="gpu")))
    told.do(c.DeleteNodePool(name="gpu"))
    assert told.short()[-2:] == [["NodePool NodePoolUpserted gpu"], ["NodePool NodePoolDeleted gpu"]]


def test_commands_without_events_add_nothing() -> None:
    told = Told()
    told.job()
    count = len(told.lines())
    told.do(c.SetJobStability(namespace="default", job_id="web", version=0, stable=True))
    told.do(c.ReconcileSummaries())
    assert len(told.lines()) == count
    assert set(TYPES) <= set(c.COMMANDS)


def test_where_a_reader_begins() -> None:
    told = Told()
    told.job("a")
    told.job("b")
    first, second = (line[0]["Index"] for line in told.lines()[::2])
    assert told.ring.number_at(0) == told.ring.number_at(first) == 0
    assert told.ring.number_at(second) == 2
    assert told.ring.number_at(second + 100) == 3  # the newest that there is


def test_a_reader_that_is_too_slow_is_told_so() -> None:
    told = Told(size=2)
    for number in range(4):
        told.job(f"j{number}")
    assert len(told.lines(number=4)) == 4, "two commands, of two lines each"
    with pytest.raises(LookupError):
        told.lines(number=3)


def test_listeners_are_woken_until_they_leave() -> None:
    told, woken = Told(), list[str]()

    def listener() -> None:
        woken.append("")

    told.ring.listen(listener)
    told.job()
    told.do(n.RegisterNode(node=Node(id="n1", secret_id="s", datacenter="dc1")))
    assert len(woken) == 2
    told.ring.leave(listener)
    told.job("other")
    assert len(woken) == 2


def test_nothing_is_missed_after_an_index_that_is_held() -> None:
    told = Told(2)
    indexes = []
    for number in range(5):
        told.job(f"web-{number}")
        indexes.append(told.machine.index)
    assert told.ring.gone == indexes[2]
    assert [entry.index for _, entry in told.ring.after(told.ring.number_following(indexes[2]))] == [
        indexes[3], indexes[3], indexes[4], indexes[4],
    ]  # fmt: skip
    assert list(told.ring.after(told.ring.number_following(indexes[4] + 100))) == []
    with pytest.raises(LookupError):
        told.ring.number_following(indexes[1])


def test_another_state_is_a_new_beginning() -> None:
    told = Told()
    told.job()
    number = told.ring.next_number
    told.ring.begin_at(50)
    with pytest.raises(LookupError):
        list(told.ring.after(number))
    with pytest.raises(LookupError):
        told.ring.number_following(49)
    assert told.ring.number_following(50) == told.ring.next_number
