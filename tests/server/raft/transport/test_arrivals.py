"""The bounds of the peer port as bookkeeping: who goes when there are too many."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from yurt.server.raft.transport.arrivals import PER_MEMBER_MAX, Arrival, Arrivals


class Port:
    """Arrivals whose connections close at once, as sockets do."""

    def __init__(self, *, per_address: int = 0, strangers_max: int = 0) -> None:
        self.arrivals = Arrivals(per_address=per_address, strangers_max=strangers_max)
        self.closed: list[Arrival] = []

    def come(self, address: str, member_hosts: tuple[str, ...] = ()) -> Arrival:
        arrival = Arrival(address, lambda: self.closed.append(arrival))
        self.arrivals.begin(arrival, member_hosts)
        return arrival


def test_the_newest_of_an_address_is_let_in_and_its_oldest_goes() -> None:
    port = Port(per_address=2)
    first, _, other = port.come("a"), port.come("a"), port.come("b")
    assert port.closed == []
    port.come("a")
    assert port.closed == [first]
    assert len(port.arrivals) == 3 and other not in port.closed


def test_strangers_in_all_are_bounded_and_those_from_elsewhere_go_before_those_beside_members() -> None:
    port = Port(strangers_max=2)
    beside, stranger = port.come("member's host"), port.come("elsewhere")
    port.come("elsewhere too", ("member's host",))
    assert port.closed == [stranger]
    port.come("member's host", ("member's host",))
    assert beside not in port.closed


def test_members_never_go_for_strangers() -> None:
    port = Port(per_address=1, strangers_max=1)
    member = port.come("a")
    port.arrivals.promote(member, "s2")
    for _ in range(10):
        port.come("a")
    assert member not in port.closed
    assert port.arrivals.strangers == 1 and len(port.arrivals) == 2


def test_a_member_has_few_connections_and_its_newest_stay() -> None:
    port = Port()
    connections = [port.come("a") for _ in range(PER_MEMBER_MAX + 2)]
    for connection in connections:
        port.arrivals.promote(connection, "s2")
    assert port.closed == connections[:2]


def test_a_removed_member_counts_as_a_stranger() -> None:
    port = Port(strangers_max=1)
    removed = port.come("a")
    port.arrivals.promote(removed, "s2")
    port.arrivals.demote(("s1",))
    port.come("b")
    assert port.closed == [removed]


@given(
    st.lists(
        st.tuples(st.sampled_from(("come", "promote", "end", "demote")), st.integers(0, 5), st.sampled_from("abc")),
        max_size=80,
    )
)
def test_whatever_happens_the_bounds_hold_and_nothing_is_kept(steps: list[tuple[str, int, str]]) -> None:
    port = Port(per_address=3, strangers_max=5)
    living: list[Arrival] = []
    for step, number, name in steps:
        if step == "come":
            living.append(port.come(name, ("a",)))
        elif step == "demote":
            port.arrivals.demote(("a",))
        elif living:
            arrival = living[number % len(living)]
            if step == "promote":
                port.arrivals.promote(arrival, name)
            else:
                port.arrivals.end(arrival)
                living.remove(arrival)
        living = [arrival for arrival in living if arrival not in port.closed]
        assert len(port.arrivals) == len(living)
        assert step == "demote" or port.arrivals.strangers <= 5 + PER_MEMBER_MAX * 3
    for arrival in living:
        port.arrivals.end(arrival)
    assert len(port.arrivals) == 0
    assert not port.arrivals._by_address and not port.arrivals._members
