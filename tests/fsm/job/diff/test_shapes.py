"""Every member of every record is shown, has a part, or is left out by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from yurt.fsm.job.diff.group import GROUP
from yurt.fsm.job.diff.job import JOB
from yurt.fsm.job.diff.shape import Many, One, Shape
from yurt.fsm.job.diff.task import TASK
from yurt.fsm.job.equal import same, same_specification
from yurt.fsm.structs.base import Record, replace
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.task import Task


def shapes(shape: Shape, path: str) -> Iterator[tuple[str, Shape]]:
    yield path, shape
    for part in shape.parts:
        if isinstance(part, One | Many):
            yield from shapes(part.shape, f"{path}.{part.name}")


ALL = [*shapes(JOB, "job"), *shapes(GROUP, "group"), *shapes(TASK, "task")]


@pytest.mark.parametrize(("path", "shape"), ALL, ids=[path for path, _ in ALL])
def test_each_changed_member_is_listed_and_nothing_else(path: str, shape: Shape) -> None:
    record = shape.record()
    names = {field.name: field.encode_name for field in msgspec.structs.fields(shape.record)}
    changes: dict[str, tuple[Any, str]] = {}
    for attr in shape.scalars:
        value = getattr(record, attr)
        changes[attr] = (
            not value if isinstance(value, bool) else value + 1 if isinstance(value, int) else "other",
            names[attr],
        )
    changes |= {attr: (77, names[attr]) for attr, _ in shape.numbers}
    changes |= {attr: ({"k": "v"}, f"{names[attr]}[k]") for attr, _ in shape.maps}
    assert set(names) == set(changes) | {part.attr for part in shape.parts} | shape.without
    for attr, (value, listed) in changes.items():
        changed = [one for one in shape.fields(record, replace(record, **{attr: value})) if one.type != "None"]
        assert [one.name for one in changed] == [listed], attr
    for attr in shape.without:
        assert attr not in changes


def test_a_member_of_an_unknown_kind_needs_a_part() -> None:
    class Odd(Record, frozen=True):
        members: tuple[float, ...] | None = None

    with pytest.raises(TypeError, match="needs a part"):
        Shape(Odd)
    assert Shape(Odd, without=frozenset({"members"})).fields(Odd(), Odd(members=(1.0,))) == []


@pytest.mark.parametrize(
    ("old", "new", "equal"),
    [
        ({"a": True}, {"a": True}, True),
        ({"a": True}, {"a": 1.0}, False),
        ({"a": 1.0}, {"a": 1}, False),
        ({"a": 0.0}, {"a": False}, False),
        ({"a": 1.0, "b": 2.0}, {"b": 2.0, "a": 1.0}, True),
        (None, None, True),
        (None, {}, False),
    ],
)
def test_the_same_means_exactly_the_same(old: Any, new: Any, equal: bool) -> None:
    assert same(old, new) is equal


def test_true_and_one_are_two_specifications() -> None:
    def job(value: Any) -> Job:
        return Job(
            id="j", task_groups=(TaskGroup(name="g", tasks=(Task(name="t", config={"a": value}),)),), version=int(value)
        )

    assert same_specification(job(True), job(True))
    assert not same_specification(job(True), job(1.0))
