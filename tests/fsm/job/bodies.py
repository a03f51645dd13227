"""Bodies made from the record types: random ones, and one in which every member says something."""

from __future__ import annotations

import random
from itertools import count
from typing import Any

import msgspec
from msgspec import inspect

from yurt.fsm.job.strict import EXTRA

WORDS = ("", "a", "b", "web", "x-1", "host", "csi", "nomad", "consul", "signal", "batch", "system", "service", "sighup")
_SCALARS = (None, True, "x", 1, -3, 1.5, 12345678901)


def members(cls: type[Any]) -> list[tuple[str, inspect.Type]]:
    """The wire names and types of what a request may hold of a record."""
    info = inspect.type_info(cls)
    assert isinstance(info, inspect.StructType)
    extra = [(name, inspect.type_info(kind)) for name, kind in EXTRA.get(cls, {}).items()]
    return [*((field.encode_name, plain(field.type)) for field in info.fields), *extra]


def plain(kind: inspect.Type) -> inspect.Type:
    """The type without null."""
    if isinstance(kind, inspect.UnionType):
        (kind,) = (one for one in kind.types if not isinstance(one, inspect.NoneType))
    return kind


def random_body(cls: type[Any], rng: random.Random, *, share: float = 0.25) -> dict[str, Any]:
    """Some members of a record with values of their types."""
    return {name: random_value(kind, rng, share) for name, kind in members(cls) if rng.random() < share}


def random_value(kind: inspect.Type, rng: random.Random, share: float) -> Any:
    """A value of the type."""
    if isinstance(kind, inspect.StructType):
        return random_body(kind.cls, rng, share=share)
    if isinstance(kind, inspect.StrType):
        return rng.choice(WORDS)
    if isinstance(kind, inspect.BoolType):
        return rng.random() < 0.5
    if isinstance(kind, inspect.BytesType):
        return rng.choice(("", "aGk="))
    if isinstance(kind, inspect.IntType):
        return rng.randint(-2 if kind.ge is None or kind.ge < 0 else 0, 5)
    if isinstance(kind, inspect.VarTupleType):
        return [random_value(plain(kind.item_type), rng, share) for _ in range(rng.choice((0, 1, 1, 2)))]
    if isinstance(kind, inspect.DictType):
        return {
            rng.choice(WORDS[1:]): random_value(plain(kind.value_type), rng, share) for _ in range(rng.randint(0, 2))
        }
    assert isinstance(kind, inspect.AnyType), kind
    shape = rng.random()
    if shape < 0.2:
        return [random_value(kind, rng, share) for _ in range(rng.randint(0, 2))]
    if shape < 0.4:
        return {word: random_value(kind, rng, share) for word in rng.sample(WORDS, rng.randint(0, 2))}
    return rng.choice(_SCALARS)


def filled(cls: type[Any], numbers: Any = None) -> dict[str, Any]:
    """Every member of a record, none with its default, no two numbers or texts the same where the type allows."""
    numbers = numbers or count(1)
    defaults = msgspec.to_builtins(cls())
    return {name: _filled_value(kind, numbers, defaults.get(name)) for name, kind in members(cls) if name in defaults}


def _filled_value(kind: inspect.Type, numbers: Any, default: Any) -> Any:
    if isinstance(kind, inspect.StructType):
        return filled(kind.cls, numbers)
    if isinstance(kind, inspect.StrType):
        return f"text{next(numbers)}"
    if isinstance(kind, inspect.BoolType):
        return not default
    if isinstance(kind, inspect.BytesType):
        return "aGk="
    if isinstance(kind, inspect.IntType):
        number = next(numbers)
        return number % 97 + 1 if kind.le is not None else number + 1000
    if isinstance(kind, inspect.VarTupleType):
        return [_filled_value(plain(kind.item_type), numbers, None) for _ in range(2)]
    if isinstance(kind, inspect.DictType):
        return {f"key{place}": _filled_value(plain(kind.value_type), numbers, None) for place in range(2)}
    return {"list": [1.5, "x", None, {"deep": True}], "number": float(next(numbers))}
