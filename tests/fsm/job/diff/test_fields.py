"""Values as text, maps and opaque values as fields (spec job-model §7)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fsm.job.diff.told import told
from yurt.fsm.job.diff.fields import field, fields_of_maps, flatten, in_order, text_of


@pytest.mark.parametrize(
    ("value", "text"),
    [("", ""), ("x", "x"), (0, "0"), (-5, "-5"), (True, "true"), (False, "false"), (None, "nil"), (1.0, "1"), (1e6, "1e+06")],
)  # fmt: skip
def test_values_as_text(value: Any, text: str) -> None:
    assert text_of(value) == text


@pytest.mark.parametrize(
    ("old", "new", "type_"),
    [("", "", "None"), ("a", "a", "None"), ("", "0", "Added"), ("false", "", "Deleted"), ("0", "1", "Edited")],
)
def test_the_type_of_a_field(old: str, new: str, type_: str) -> None:
    one = field("f", old, new)
    assert (one.name, one.old, one.new, one.type, one.annotations) == ("f", old, new, type_, None)


@pytest.mark.parametrize(
    ("value", "leaves"),
    [
        (None, {}),
        ({}, {}),
        ({"a": [], "b": {}, "c": [[]]}, {}),
        ({"a": None, "b": True, "c": 1.5, "d": ""}, {"a": "nil", "b": "true", "c": "1.5", "d": ""}),
        ({"a": ["x", ["y"]], "b": {"c": {"d": 1.0}}}, {"a[0]": "x", "a[1][0]": "y", "b[c][d]": "1"}),
        ({"a": [{"b": [1.0, 2.0]}]}, {"a[0][b][0]": "1", "a[0][b][1]": "2"}),
        ({"": {"": "x"}}, {"[]": "x"}),
        ({"X": ("1", "2")}, {"X[0]": "1", "X[1]": "2"}),
    ],
)
def test_flattening(value: Any, leaves: dict[str, str]) -> None:
    assert flatten(value) == leaves


@pytest.mark.parametrize("count", [0, 1, 9_999, 10_001, 35_000])
def test_many_fields_are_sorted_like_few(count: int) -> None:
    names = [f"{number * 7919 % 100_003}" for number in range(count)]
    assert [one.name for one in in_order(field(name, "", "x") for name in names)] == sorted(names)


def test_no_depth_is_too_deep() -> None:
    value: Any = "x"
    for _ in range(5000):
        value = {"a": value}
    assert flatten(value) == {"a" + "[a]" * 4999: "x"}


@pytest.mark.parametrize(
    ("contextual", "member", "expected"),
    [
        (False, "", "-a:1 ~b:1>2 +d:4"),
        (True, "", "-a:1 ~b:1>2 =c:3 +d:4 =e:"),
        (False, "M", "-M[a]:1 ~M[b]:1>2 +M[d]:4"),
    ],
)
def test_maps(contextual: bool, member: str, expected: str) -> None:
    old, new = {"a": "1", "b": "1", "c": "3"}, {"b": "2", "c": "3", "d": "4", "e": ""}
    found = fields_of_maps(old, new, contextual=contextual, member=member)
    assert told(*in_order(found)) == expected


@given(st.dictionaries(st.text(), st.text()), st.dictionaries(st.text(), st.text()))
def test_what_maps_list_makes_one_into_the_other(old: dict[str, str], new: dict[str, str]) -> None:
    changed = {key: value for key, value in old.items() if value}
    for one in fields_of_maps(old, new, contextual=False):
        assert one.old != one.new
        changed[one.name] = one.new
    assert {key: value for key, value in changed.items() if value} == {
        key: value for key, value in new.items() if value
    }
