"""Random records of any type, and jobs in which one random member is another."""

from __future__ import annotations

import random
from types import UnionType
from typing import Annotated, Any, get_args, get_origin

import msgspec

from yurt.fsm.structs.base import replace
from yurt.fsm.structs.job import Job

WORDS = ("", "a", "b", "c.d", "10")
OPAQUE = (None, True, False, 0.0, 1.0, 1.5e7, "", "x", (), ("y", 2.0), {"k": "v"}, {"k": (1.0,), "l": None})


def value_of(type_: Any, chance: random.Random) -> Any:
    """A value of a field's type; lists and maps are short or null, as records keep them."""
    if get_origin(type_) is Annotated:
        return chance.choice((0, 1, 50))
    if get_origin(type_) is UnionType or isinstance(type_, UnionType):
        return None if chance.random() < 0.4 else value_of(get_args(type_)[0], chance)
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        return type_(**{one.name: value_of(one.type, chance) for one in msgspec.structs.fields(type_)})
    if get_origin(type_) is tuple:
        return tuple(value_of(get_args(type_)[0], chance) for _ in range(chance.randint(1, 2)))
    if get_origin(type_) is dict:
        return {chance.choice("pqr"): value_of(get_args(type_)[1], chance) for _ in range(chance.randint(1, 2))}
    if type_ is Any:
        return chance.choice(OPAQUE)
    return {str: chance.choice(WORDS), int: chance.choice((0, 1, 50)), bool: chance.random() < 0.5, bytes: b"x"}[type_]


def random_job(chance: random.Random) -> Job:
    """A job whose groups, and tasks within a group, have different names."""
    job: Job = replace(value_of(Job, chance), id="job")
    groups = []
    for number, group in enumerate(job.task_groups or ()):
        tasks = tuple(replace(task, name=f"t{place}") for place, task in enumerate(group.tasks or ()))
        groups.append(replace(group, name=f"g{number}", tasks=tasks or None))
    named: Job = replace(job, task_groups=tuple(groups) or None)
    return named


def mutated(record: Any, chance: random.Random) -> Any:
    """The record with one member, here or deep inside, made anew; it may happen to be the same."""
    one = chance.choice(msgspec.structs.fields(type(record)))
    value = getattr(record, one.name)
    if isinstance(value, msgspec.Struct) and chance.random() < 0.8:
        value = mutated(value, chance)
    elif isinstance(value, tuple) and value and isinstance(value[0], msgspec.Struct) and chance.random() < 0.8:
        place = chance.randrange(len(value))
        value = (*value[:place], mutated(value[place], chance), *value[place + 1 :])
    elif one.name != "name":
        value = value_of(one.type, chance)
    return replace(record, **{one.name: value})


def copied(job: Job) -> Job:
    """The same job, nothing of it shared."""
    return msgspec.convert(msgspec.to_builtins(job), Job)
