"""Who is compared with whom (spec job-model §7)."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yurt.fsm.job.diff.pairs import by, by_likeness, by_map_key, by_place, directly_or


class Named(NamedTuple):
    name: str
    port_label: str
    number: int


@pytest.mark.parametrize(
    ("old", "new", "pairs"),
    [
        ("", "", []),
        ("ab", "", ["a-", "b-"]),
        ("", "ab", ["-a", "-b"]),
        ("abc", "cad", ["aa", "b-", "cc", "-d"]),
        ("aa", "a", ["aa", "a-"]),
        ("a", "aaa", ["aa", "-a", "-a"]),
    ],
)
def test_by_key(old: str, new: str, pairs: list[str]) -> None:
    found = by(lambda one: one)(tuple(old), tuple(new))
    assert ["".join(one or "-" for one in pair) for pair in found] == pairs


def test_by_place_and_by_map_key() -> None:
    assert by_place("ab", "c") == [("a", "c"), ("b", None)]
    assert by_map_key({"x": 1, "y": 2}, {"y": 3, "z": 4}) == [(1, None), (2, 3), (None, 4)]
    assert by_map_key((), {"z": 4}) == [(None, 4)]  # type: ignore[arg-type]


def test_two_single_members_are_compared_whatever_they_are() -> None:
    pair = directly_or(by(lambda one: one))
    assert pair("a", "b") == [("a", "b")]
    assert pair("a", "bc") == [("a", None), (None, "b"), (None, "c")]
    assert pair("", "b") == [(None, "b")]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("a:p b:p", "b:p c:q", "a>b b> >c"),  # the same place and port count more than a name that was not asked yet
        ("a:p b:q", "b:q a:p", "a>a b>b"),  # name and port win over the place
        ("a:p", "x:p y:p", "a>x >y"),  # the first place
        ("x:q a:p", "y:p z:r", "x> a> >y >z"),  # the same port in another place is not enough
        ("a:p a:q", "a:q a:p", "a:p>a:p a:q>a:q"),
        ("a:p a:p a:p", "a:p", "a>a a> a>"),
    ],
)
def test_services_by_likeness(old: str, new: str, expected: str) -> None:
    found = by_likeness(_services(old), _services(new))
    short = [f"{one.name if one else ''}>{two.name if two else ''}" for one, two in found]
    full = [f"{_full(one)}>{_full(two)}" for one, two in found]
    assert expected in (" ".join(short), " ".join(full))


def _services(text: str) -> list[Named]:
    return [Named(*one.split(":"), number) for number, one in enumerate(text.split())]  # type: ignore[call-arg]


def _full(one: Named | None) -> str:
    return f"{one.name}:{one.port_label}" if one else ""


services = st.lists(st.builds(Named, st.sampled_from("abc"), st.sampled_from("pq"), st.integers(0, 99)), max_size=8)


@given(services, services)
def test_likeness_looks_at_few_and_finds_what_looking_at_all_finds(old: list[Named], new: list[Named]) -> None:
    free, expected = dict(enumerate(new)), []
    for place, one in enumerate(old):
        scores = [
            (3 * (one.name == two.name) + 2 * (one.port_label == two.port_label) + (at == place), -at)
            for at, two in free.items()
        ]
        score, at = max(scores, default=(0, 0))
        expected.append((one, free.pop(-at) if score > 2 else None))
    assert by_likeness(old, new) == [*expected, *((None, two) for two in free.values())]


def test_many_services_take_no_long_time() -> None:
    many: list[Any] = [Named("a", "p", number) for number in range(20_000)]
    assert len(by_likeness(many, many[::-1])) == 20_000
