"""Heartbeats: who is heard, who is missed, when to look (spec scheduling §18)."""

from __future__ import annotations

import heapq

from hypothesis import given
from hypothesis import strategies as st

from yurt.scheduler.duties.heartbeats import Heartbeats

MOVES = st.lists(
    st.tuples(
        st.sampled_from(["beat", "expect", "forget", "look"]), st.sampled_from(["a", "b", "c"]), st.integers(0, 20)
    ),
    max_size=40,
)


def test_a_node_is_missed_after_its_ttl_and_the_grace() -> None:
    timers = Heartbeats(ttl_min=10, grace=5)
    assert timers.beat("n", 100.0, 0.5) == 15
    assert timers.missed(119.9) == [] and timers.next_deadline() == 120.0
    assert timers.missed(120.0) == ["n"] and timers.missed(200.0) == [] and len(timers) == 0


def test_every_heartbeat_moves_the_deadline() -> None:
    timers = Heartbeats(ttl_min=10, grace=5)
    for now in range(0, 100, 10):
        timers.beat("n", float(now), 0.0)
        assert timers.missed(now + 9.0) == []
    assert timers.missed(105.0) == ["n"]


def test_many_nodes_are_asked_less_often() -> None:
    timers = Heartbeats(ttl_min=10, per_second_max=50)
    for number in range(1000):
        timers.expect(str(number), 0.0)
    assert timers.beat("0", 0.0, 0.0) == 20


def test_a_new_leader_gives_them_time() -> None:
    timers = Heartbeats()
    timers.expect("n", 0.0)
    assert timers.missed(299.0) == [] and timers.missed(300.0) == ["n"]
    timers.expect("n", 0.0)
    timers.beat("n", 0.0, 0.0)  # sooner than what the new leader allowed
    assert timers.missed(20.0) == ["n"]


@given(MOVES)
def test_it_is_as_a_plain_table_of_deadlines(moves: list[tuple[str, str, int]]) -> None:
    timers, table, now = Heartbeats(ttl_min=10, grace=0, failover_ttl=30), dict[str, float](), 0.0
    for kind, node, more in moves:
        now += more
        if kind == "beat":
            table[node] = now + timers.beat(node, now, 0.0)
        elif kind == "expect":
            timers.expect(node, now)
            table[node] = now + 30
        elif kind == "forget":
            timers.forget(node)
            table.pop(node, None)
        else:
            late = {name for name, deadline in table.items() if deadline <= now}
            assert set(timers.missed(now)) == late
            for name in late:
                del table[name]
        if table:
            first = timers.next_deadline()
            assert first is not None and first <= min(table.values())
    assert len(timers) == len(table)
    assert heapq.nsmallest(1, table.values()) == [] or len(timers) > 0
