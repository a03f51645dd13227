"""What holds for every pair of jobs (spec job-model §7)."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fsm.job.diff.random_jobs import copied, mutated, random_job
from yurt.fsm.job.diff.job import diff_jobs
from yurt.fsm.job.equal import same
from yurt.fsm.structs.diff import JobDiff
from yurt.fsm.structs.job import Job

seeds = st.integers(0, 2**32)
OPPOSITE = {"Added": "Deleted", "Deleted": "Added", "Edited": "Edited", "None": "None"}
Leaf = tuple[str, ...]


def parts(diff: Any) -> Iterator[Any]:
    for name in ("fields", "objects", "tasks", "task_groups"):
        yield from getattr(diff, name, None) or ()


def leaves(diff: Any, side: str, path: Leaf = ()) -> Iterator[Leaf]:
    """Where a value was (`old`) or is (`new`), and the value; members of lists have no place of their own.

    A group's ShutdownDelay is left out: it is compared only where the group is on both sides.
    """
    for one in parts(diff):
        here = (*path, one.name)
        if hasattr(one, "old"):
            value = getattr(one, side)
            if one.type != "None" and value and not (one.name == "ShutdownDelay" and len(path) == 1):
                yield (*here, value)
        else:
            yield from leaves(one, side, here)


def types(diff: Any) -> set[str]:
    return {diff.type}.union(*map(types, parts(diff)))


def swapped(diff: Any) -> Any:
    """The builtin form with old and new exchanged, members of lists in no order."""
    if isinstance(diff, dict):
        found = {key: swapped(value) for key, value in diff.items()}
        found["Type"] = OPPOSITE[diff["Type"]]
        if "Old" in diff:
            found["Old"], found["New"] = diff["New"], diff["Old"]
        return found
    return sorted(map(swapped, diff), key=repr) if isinstance(diff, list | tuple) else diff


def unordered(diff: JobDiff) -> Any:
    return swapped(swapped(msgspec.to_builtins(diff)))


@settings(max_examples=50, deadline=None)
@given(seeds)
def test_a_job_and_its_copy_do_not_differ(seed: int) -> None:
    job = random_job(random.Random(seed))
    diff = diff_jobs(job, copied(job))
    assert (types(diff), diff.fields, diff.objects) == ({"None"}, None, None)
    assert len(diff.task_groups or ()) == len(job.task_groups or ())


@settings(max_examples=50, deadline=None)
@given(seeds)
def test_added_and_deleted_mirror_each_other(seed: int) -> None:
    job = random_job(random.Random(seed))
    added, deleted = diff_jobs(None, job), diff_jobs(job, None)
    assert types(added) <= {"Added", "None"} and types(deleted) <= {"Deleted", "None"}
    assert unordered(added) == swapped(msgspec.to_builtins(deleted))
    assert [one.type for one in added.task_groups or ()] == ["Added"] * len(job.task_groups or ())


@settings(max_examples=50, deadline=None)
@given(seeds, st.booleans())
def test_what_is_listed_makes_one_job_into_the_other(seed: int, unrelated: bool) -> None:
    chance = random.Random(seed)
    old = random_job(chance)
    new = random_job(chance) if unrelated else mutated(old, chance)
    diff = diff_jobs(old, new)
    before, after = (Counter(leaves(diff_jobs(None, job), "new")) for job in (old, new))
    deleted, added = Counter(leaves(diff, "old")), Counter(leaves(diff, "new"))
    assert deleted <= before, "nothing is said to have been that was not"
    assert before - deleted + added == after


@settings(max_examples=50, deadline=None)
@given(seeds)
def test_nothing_is_listed_that_stayed_and_every_change_of_a_group_is_seen(seed: int) -> None:
    chance = random.Random(seed)
    old = random_job(chance)
    new: Job = mutated(old, chance)
    diff = diff_jobs(old, new)
    for one in all_fields(diff):
        if one.type == "None":
            assert one.old == one.new
        else:
            assert one.old != one.new or one.old == "", "a set may have an empty text more"
    for group in diff.task_groups or ():
        mine, theirs = old.group(group.name), new.group(group.name)
        if mine is not None and theirs is not None:
            assert group.type == ("None" if same(mine, theirs) else "Edited")
    if same(old, new):
        assert types(diff) == {"None"}


def all_fields(diff: Any) -> Iterator[Any]:
    for one in parts(diff):
        if hasattr(one, "old"):
            yield one
        else:
            yield from all_fields(one)


@settings(max_examples=50, deadline=None)
@given(seeds)
def test_lists_are_null_when_empty_and_sorted(seed: int) -> None:
    chance = random.Random(seed)
    old = random_job(chance)
    check(diff_jobs(old, mutated(old, chance)))
    check(diff_jobs(old, random_job(chance)))


def check(diff: Any) -> None:
    for name in ("fields", "objects", "tasks", "task_groups"):
        assert getattr(diff, name, None) != ()
    fields = [(one.name, one.old, one.new) for one in getattr(diff, "fields", None) or ()]
    assert fields == sorted(fields)
    for name in ("tasks", "task_groups"):
        names = [one.name for one in getattr(diff, name, None) or ()]
        assert names == sorted(names)
    for one in parts(diff):
        if not hasattr(one, "old"):
            check(one)


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_maps_does_not_count(seed: int) -> None:
    job = random_job(random.Random(seed))

    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: turned(one) for key, one in reversed(value.items())}
        return [turned(one) for one in value] if isinstance(value, list) else value

    assert types(diff_jobs(job, msgspec.convert(turned(msgspec.to_builtins(job)), Job))) == {"None"}
