"""Values of the language with their types (spec jobspec-hcl §6).

A value's `raw` is a str, Decimal, bool, list (list, set, tuple), dict (map, object), None (null); `UNKNOWN` stands for
what an error left without a value.
"""

from __future__ import annotations

import decimal
import unicodedata
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

# 512 bits are 155 digits; what is larger than 1e10000 is infinite, so that no number makes a text of megabytes.
NUMBERS: Final = decimal.Context(prec=155, Emax=10_000, Emin=-10_000, traps=[])
# Quotients have some digits more, so that `10 / 3 * 3` is 10.
QUOTIENTS: Final = decimal.Context(prec=175, Emax=10_000, Emin=-10_000, traps=[])


class Type:
    """A type: its kind, the type of its elements (list, set, map), or those of its members (object, tuple)."""

    __slots__ = ("element", "kind", "members")

    def __init__(self, kind: str, element: Type | None = None, members: Any = None) -> None:
        self.kind, self.element, self.members = kind, element, members

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Type) or self.kind != other.kind:
            return False
        return self.element == other.element and self.members == other.members

    __hash__ = None  # type: ignore[assignment]  # members are dicts and lists

    @property
    def name(self) -> str:
        """How diagnostics call it."""
        return f"{self.kind} of {self.element.name}" if self.element is not None else self.kind

    @property
    def is_primitive(self) -> bool:
        """Whether it is a string, number or boolean."""
        return self.kind in ("string", "number", "bool")


STRING, NUMBER, BOOL, DYNAMIC = Type("string"), Type("number"), Type("bool"), Type("dynamic")
STRINGS = Type("list", STRING)
_KINDS: dict[type[Any], Type] = {str: STRING, Decimal: NUMBER, bool: BOOL}


class Value:
    """A value; `is_known` is False if it is unknown or holds something unknown."""

    __slots__ = ("is_known", "raw", "type")

    def __init__(self, type_: Type, raw: Any, is_known: bool = True) -> None:
        self.type, self.raw, self.is_known = type_, raw, is_known

    @property
    def kind(self) -> str:
        """The kind of its type."""
        return self.type.kind

    @property
    def is_null(self) -> bool:
        """Whether it is null, of whatever type."""
        return self.raw is None and self.is_known


UNKNOWN: Final = Value(DYNAMIC, None, is_known=False)
NULL: Final = Value(DYNAMIC, None)
TRUE, FALSE = Value(BOOL, True), Value(BOOL, False)
EMPTY = Value(STRING, "")


def primitive(raw: str | Decimal | bool | None) -> Value:
    """A string, number, boolean or null."""
    return NULL if raw is None else Value(_KINDS[type(raw)], raw)


def number(value: int | Decimal) -> Value:
    """A number."""
    return Value(NUMBER, value if isinstance(value, Decimal) else Decimal(value))


def boolean(value: bool) -> Value:
    """A boolean."""
    return TRUE if value else FALSE


def tuple_of(items: Iterable[Value]) -> Value:
    """A tuple."""
    found = list(items)
    return Value(Type("tuple", None, [one.type for one in found]), found, all(one.is_known for one in found))


def object_of(members: Mapping[str, Value]) -> Value:
    """An object; its members come in the order of their names."""
    found = {name: members[name] for name in sorted(members)}
    types = {name: one.type for name, one in found.items()}
    return Value(Type("object", None, types), found, all(one.is_known for one in found.values()))


def list_of(element: Type, items: Iterable[Value]) -> Value:
    """A list whose items have one type."""
    found = list(items)
    return Value(Type("list", element), found, all(one.is_known for one in found))


def strings(items: Iterable[str]) -> Value:
    """A list of strings."""
    return Value(STRINGS, [Value(STRING, one) for one in items])


def set_of(element: Type, items: Iterable[Value]) -> Value:
    """A set: each item once, in order."""
    unique: dict[Any, Value] = {}
    for one in items:
        unique.setdefault(identity(one), one)
    return Value(Type("set", element), [unique[key] for key in sorted(unique, key=_order)])


def map_of(element: Type, members: Mapping[str, Value]) -> Value:
    """A map whose elements have one type."""
    found = {name: members[name] for name in sorted(members)}
    return Value(Type("map", element), found, all(one.is_known for one in found.values()))


def identity(value: Value) -> Any:
    """Return a hashable key that equal values of equal types share."""
    raw = value.raw
    if isinstance(raw, list):
        return (value.kind, tuple(identity(one) for one in raw))
    if isinstance(raw, dict):
        return (value.kind, tuple((name, identity(one)) for name, one in raw.items()))
    return (value.kind if raw is not None else "null", raw)


def _order(key: Any) -> Any:
    raw = key[1]
    if raw is None:
        return (2, 0, "")
    if isinstance(raw, Decimal | bool):
        return (0, raw, "")
    return (1, 0, raw if isinstance(raw, str) else repr(key))


def equal(left: Value, right: Value) -> bool:
    """Whether two values are the same, type and all; nulls are equal to each other."""
    if left is right:
        return True
    if left.is_null or right.is_null:
        return left.is_null and right.is_null
    a, b = left.raw, right.raw
    if left.type.is_primitive or right.type.is_primitive:
        return left.kind == right.kind and bool(a == b)
    if left.kind != right.kind or len(a) != len(b) or left.type.element != right.type.element:
        return False
    if isinstance(a, list):
        return all(equal(one, other) for one, other in zip(a, b, strict=True))
    return all(name in b and equal(one, b[name]) for name, one in a.items())


def plain_number(value: Decimal) -> int | float:
    """A number for JSON: whole ones that fit 64 bits as integers; an infinite one stays so."""
    if value.is_finite() and abs(value) < 2**64 and value == value.to_integral_value():
        whole = int(value)
        if -(2**63) <= whole < 2**63:
            return whole
    return float(value)


def normal(text_: str) -> str:
    """The text in normal form C, as all strings are."""
    return text_ if text_.isascii() else unicodedata.normalize("NFC", text_)


def text(value: str) -> Value:
    """A string."""
    return Value(STRING, normal(value))
