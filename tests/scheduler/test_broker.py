"""The evaluation broker: order, one at a time a job, what comes back and what does not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from yurt.fsm.structs.evaluation import Evaluation
from yurt.fsm.structs.times import to_rfc3339
from yurt.scheduler.duties.broker import Broker


def evaluation(number: int, *, job: str = "", priority: int = 50, **fields: object) -> Evaluation:
    return Evaluation(
        id=f"e{number}", namespace="default", job_id=job or f"job{number}", priority=priority, create_index=number,
        modify_index=number, status="pending", **fields,
    )  # fmt: skip


def test_higher_priority_first_then_the_older() -> None:
    broker = Broker()
    for one in (evaluation(3), evaluation(1), evaluation(2, priority=80)):
        broker.enqueue(one, 0)
    assert [broker.dequeue(0).id for _ in range(3)] == ["e2", "e1", "e3"]  # type: ignore[union-attr]
    assert broker.dequeue(0) is None


def test_of_a_job_one_is_in_work_and_only_the_newest_follows() -> None:
    broker = Broker()
    for number in range(1, 5):
        broker.enqueue(evaluation(number, job="web"), 0)
    first = broker.dequeue(0)
    assert first is not None and first.id == "e1" and broker.dequeue(0) is None
    assert [one.id for one in broker.ack("e1")] == ["e3", "e2"], "the others need not be worked on"
    last = broker.dequeue(0)
    assert last is not None and last.id == "e4"
    assert broker.ack("e4") == [] and broker.counts() == {"ready": 0, "unacked": 0, "pending": 0, "waiting": 0}


def test_a_known_evaluation_is_taken_once() -> None:
    broker = Broker()
    broker.enqueue(evaluation(1), 0)
    broker.enqueue(evaluation(1), 0)
    assert broker.dequeue(0) is not None and broker.dequeue(0) is None


def test_what_is_set_aside_comes_again_in_its_old_place_and_was_not_delivered() -> None:
    broker = Broker()
    for one in (evaluation(1, priority=80), evaluation(2), evaluation(3, priority=90)):
        broker.enqueue(one, 0)
    for _ in range(5):  # more often than a delivery may fail
        taken = [broker.dequeue(0), broker.dequeue(0)]
        assert [one.id for one in taken if one] == ["e3", "e1"]
        broker.set_aside("e1")
        broker.set_aside("e3")
        assert broker.counts()["ready"] == 3 and broker.counts()["unacked"] == 0
        broker.offer_aside()
    broker.set_aside(broker.dequeue(0).id)  # type: ignore[union-attr]
    assert [broker.dequeue(0).id for _ in range(2)] == ["e1", "e2"]  # type: ignore[union-attr]
    assert broker.dequeue(0) is None, "what is aside is not offered"
    broker.offer_aside()
    last = broker.dequeue(0)
    assert last is not None and last.id == "e3" and broker.ack("e3") == [] and not broker.failed


def test_what_is_not_done_comes_back_and_fails_at_last() -> None:
    broker = Broker()
    broker.enqueue(evaluation(1), 0)
    now = 0.0
    for wait in (1.0, 20.0):
        assert broker.dequeue(now) is not None
        broker.nack("e1", now)
        assert broker.dequeue(now + wait - 0.1) is None
        now += wait
    assert broker.dequeue(now) is not None
    broker.nack("e1", now)
    assert [one.id for one in broker.failed] == ["e1"] and broker.dequeue(now + 1000) is None


def test_an_evaluation_nobody_answers_for_comes_back() -> None:
    broker = Broker(nack_seconds=60)
    broker.enqueue(evaluation(1), 0)
    assert broker.dequeue(0) is not None
    assert broker.next_deadline() == 60
    assert broker.dequeue(59) is None and broker.dequeue(60.5) is None and broker.dequeue(62) is not None


def test_delayed_evaluations_wait() -> None:
    broker = Broker()
    broker.enqueue(evaluation(1, wait=5_000_000_000), 10)
    broker.enqueue(evaluation(2, wait_until=to_rfc3339(12_000_000_000)), 10)
    assert broker.dequeue(11) is None
    assert broker.dequeue(12.5).id == "e2" and broker.dequeue(15.5).id == "e1"  # type: ignore[union-attr]


def test_a_time_of_day_is_waited_for_on_a_clock_that_does_not_jump() -> None:
    broker = Broker()
    broker.enqueue(evaluation(1, wait_until=to_rfc3339(1_800_000_002_000_000_000)), 10, 1_800_000_000)
    assert broker.dequeue(11.9) is None and broker.dequeue(12.1).id == "e1"  # type: ignore[union-attr]


@given(st.lists(st.tuples(st.sampled_from(["add", "take", "ack", "nack"]), st.integers(0, 3), st.integers(1, 3))))
def test_never_two_of_a_job_in_work_and_none_is_lost(steps: list[tuple[str, int, int]]) -> None:
    broker, now, number = Broker(), 0.0, 0
    working: dict[str, str] = {}
    alive: set[str] = set()
    for action, job, priority in steps:
        now += 0.5
        if action == "add":
            number += 1
            broker.enqueue(evaluation(number, job=f"job{job}", priority=priority), now)
            alive.add(f"e{number}")
        elif action == "take" and (taken := broker.dequeue(now)) is not None:
            assert taken.job_id not in working.values() and taken.id not in working
            working[taken.id] = taken.job_id
        elif action == "ack" and working:
            done = next(iter(working))
            del working[done]
            alive -= {done, *(one.id for one in broker.ack(done))}
        elif action == "nack" and working:
            failed = next(iter(working))
            del working[failed]
            broker.nack(failed, now)
            alive -= {one.id for one in broker.failed}
    assert sum(broker.counts().values()) == len(alive)


def test_one_that_is_woken_while_it_is_in_work_is_worked_on_once_more() -> None:
    broker, one = Broker(), evaluation(1)
    broker.wake(one, 0)
    assert broker.dequeue(0) == one
    broker.wake(one, 0)
    assert broker.dequeue(0) is None
    assert broker.ack(one.id) == []
    assert broker.dequeue(0) == one
    assert broker.ack(one.id) == [] and broker.dequeue(0) is None
    assert broker.counts() == {"ready": 0, "unacked": 0, "pending": 0, "waiting": 0}


def test_a_wake_is_forgotten_if_the_work_was_not_done() -> None:
    broker, one = Broker(), evaluation(1)
    broker.enqueue(one, 0)
    broker.dequeue(0)
    broker.wake(one, 0)
    broker.nack(one.id, 0)
    assert broker.dequeue(2) == one and broker.ack(one.id) == [] and broker.dequeue(2) is None
