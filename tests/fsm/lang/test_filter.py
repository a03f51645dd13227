"""Filter expressions: what they match, and what is said of those that cannot be read or applied."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yurt.fsm.lang.filter import FilterError, compile_filter
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import Job, Periodic

JOB = Job(
    id="pg-a",
    name="n",
    priority=70,
    meta={"owner": "x", "a-b": "y"},
    datacenters=("dc1", "dc2"),
    periodic=Periodic(specs=("@daily",)),
    task_groups=(TaskGroup(name="g", count=0), TaskGroup(name="h", count=3)),
)

MATCHES = [
    ('ID == "pg-a"', True), ('ID=="pg-b"', False), ("ID != pgb", True), ("Priority == 70", True), ('Priority == "0x46"', True),
    ("Stop == false", True), ('Stop == "0"', True), ("Meta.owner == x", True), ('Meta["a-b"] == y', True),
    ('"/Meta/owner" == x', True), ('Meta.zz == "q"', False), ('Meta.zz != "q"', True), ("Meta.zz is empty", True),
    ("owner in Meta", True), ('"pg" in ID', True), ("ID contains pg", True), ("dc1 in Datacenters", True), ("dc9 not in Datacenters", True),
    ('ID matches "^pg-[ab]$"', True), ('ID not matches "z"', True), ("Meta is not empty", True), ("Constraints is empty", True),
    ("ParameterizedJob is nil", True), ("Periodic is not nil", True), ("not ID == x", True), ("not (ID == x or Priority == 70)", False),
    ("ID == x or ID == y or Priority == 70 and Type == service", True), ("(ID == x or Priority == 70) and Type == batch", False),
    ("TaskGroups.1.Name == h", True), ("any TaskGroups as g { g.Count == 3 }", True), ("all TaskGroups as i, g { g.Count == 3 }", False),
    ("any Meta as k { k == owner }", True), ("any Meta as _, v { v == y }", True), ("all Meta.zz as k { k == q }", True), ("ID == `pg-a`", True),
]  # fmt: skip

ERRORS = [
    ("ID == 'a'", '1:7 (6): no match found, expected: "-", "0", "\\"", "`", [ \\t\\r\\n], [1-9] or [a-zA-Z]'),
    ('ID == "a', '1:9 (8): rule "string": Unterminated string literal'),
    ('(ID == "a"', '1:11 (10): rule "grouping": Unmatched parentheses'),
    ('ID == "pg-a" extra', '1:14 (13): no match found, expected: "and", "or", [ \\t\\r\\n] or EOF'),
    ('Meta.n in "abc"', '1:11 (10): rule "match": Invalid selector'),
    ("Version == 0x0", '1:13 (12): rule "number": Invalid number literal'),
    ("Foo == 1", "error finding value in datum: /Foo at part 0: couldn't find key: struct field with name \"Foo\""),
    ("Priority == abc", 'error getting match value in expression: strconv.ParseInt: parsing "abc": invalid syntax'),
    ("Priority is empty", 'cannot perform is-empty operations on type int for selector: "Priority"'),
    ("TaskGroups == x", "unable to find suitable primitive comparison function for matching"),
    ("VersionTag.Name == x", "error finding value in datum: /VersionTag/Name: at part 1, invalid value kind: invalid"),
    ("(" * 40 + "ID == x" + ")" * 40, "the expression is nested more than 32 deep"),
    ("ID == " + "x" * 5000, "the expression is longer than 4096 characters"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), MATCHES, ids=[text for text, _ in MATCHES])
def test_what_matches(text: str, wanted: bool) -> None:
    assert compile_filter(text).matches(JOB) is wanted


@pytest.mark.parametrize(("text", "wanted"), ERRORS, ids=range(len(ERRORS)))
def test_what_is_said_of_bad_ones(text: str, wanted: str) -> None:
    with pytest.raises(FilterError) as caught:
        compile_filter(text).matches(JOB)
    assert str(caught.value) == wanted


@given(st.text(alphabet='ID Meta.owner=="x`(){}[]not andorinisyemptl0123', max_size=50))
def test_any_text_is_answered_or_refused(text: str) -> None:
    with contextlib.suppress(FilterError):
        assert compile_filter(text).matches(JOB) in (True, False)


def test_a_hostile_pattern_takes_no_time() -> None:
    assert compile_filter('Name matches "(a+)+$"').matches(Job(id="x", name="a" * 5000 + "b")) is False
