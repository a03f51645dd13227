"""Conversions between types, and the type that several values have in common (spec jobspec-hcl §6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import InvalidOperation
from typing import Any

from yurt.server.jobspec.number_text import plain_text
from yurt.server.jobspec.values import (
    DYNAMIC,
    NUMBER,
    NUMBERS,
    STRING,
    UNKNOWN,
    Type,
    Value,
    boolean,
    list_of,
    map_of,
    object_of,
    set_of,
    tuple_of,
)

_SEQUENCES = ("list", "set", "tuple")
_MAPPINGS = ("map", "object")
_BOOLS = {"true": True, "1": True, "false": False, "0": False}


class ConversionError(Exception):
    """A value has not the type that is needed; the text says which it must be."""


def convert(value: Value, wanted: Type) -> Value:
    """The value as `wanted`; raises `ConversionError`."""
    if not value.is_known and value.raw is None:
        return UNKNOWN
    if wanted.kind == "dynamic" or value.type == wanted:
        return value
    if value.raw is None:
        return Value(wanted, None)
    if wanted.is_primitive:
        return _primitive(value, wanted)
    if wanted.kind in _SEQUENCES and value.kind in _SEQUENCES:
        return _sequence(value, wanted)
    if wanted.kind in _MAPPINGS and value.kind in _MAPPINGS:
        return _mapping(value, wanted)
    raise ConversionError(mismatch(value.type, wanted))


def _primitive(value: Value, wanted: Type) -> Value:
    raw = value.raw
    if wanted.kind == "string" and value.kind == "number":
        return Value(STRING, plain_text(raw))
    if wanted.kind == "string" and value.kind == "bool":
        return Value(STRING, "true" if raw else "false")
    if value.kind == "string":
        return _to_number(raw) if wanted.kind == "number" else _to_bool(raw)
    raise ConversionError(mismatch(value.type, wanted))


def _to_number(text: str) -> Value:
    shape = text.removeprefix("-").removeprefix("+")
    if len(text) <= 1024 and shape[:1].isdigit() and shape.isascii() and "_" not in shape:
        try:
            return Value(NUMBER, NUMBERS.create_decimal(text))
        except InvalidOperation:
            pass
    raise ConversionError("a number is required")


def _to_bool(text: str) -> Value:
    if text in _BOOLS:
        return boolean(_BOOLS[text])
    hint = ""
    if text.lower() in ("true", "false") and text in (text.upper(), text.title()):
        hint = f'; to convert from string, use lowercase "{text.lower()}"'
    raise ConversionError("a bool is required" + hint)


def _sequence(value: Value, wanted: Type) -> Value:
    items: list[Value] = value.raw
    if wanted.kind == "tuple":
        if value.kind != "tuple" or len(items) != len(wanted.members):
            raise ConversionError(mismatch(value.type, wanted))
        return tuple_of(convert(one, type_) for one, type_ in zip(items, wanted.members, strict=True))
    element = _element(value, items, wanted)
    converted = [_element_of(one, element, value, wanted) for one in items]
    return list_of(element, converted) if wanted.kind == "list" else set_of(element, converted)


def _element(value: Value, items: Sequence[Value], wanted: Type) -> Type:
    assert wanted.element is not None
    if wanted.element.kind != "dynamic":
        return wanted.element
    found = unify([one.type for one in items])
    if found is None:
        raise ConversionError(f"all {wanted.kind} elements must have the same type")
    return found


def _element_of(one: Value, element: Type, value: Value, wanted: Type) -> Value:
    if one.type.is_primitive or one.raw is None or _convertible(one.type, element):
        try:
            return convert(one, element)
        except ConversionError:
            if _convertible(one.type, element):
                raise
    raise ConversionError(mismatch(value.type, wanted))


def _mapping(value: Value, wanted: Type) -> Value:
    members: dict[str, Value] = value.raw
    if wanted.kind == "map":
        element = _element(value, list(members.values()), wanted)
        return map_of(element, {name: _element_of(one, element, value, wanted) for name, one in members.items()})
    missing = [name for name in sorted(wanted.members) if name not in members]
    if missing:
        raise ConversionError(_missing(missing))
    found: dict[str, Value] = {}
    for name, type_ in wanted.members.items():
        try:
            found[name] = convert(members[name], type_)
        except ConversionError as error:
            if _convertible(members[name].type, type_):
                raise
            raise ConversionError(f'attribute "{name}": {error}') from None
    return object_of(found)


def _missing(names: Sequence[str]) -> str:
    quoted = [f'"{name}"' for name in names]
    if len(quoted) == 1:
        return f"attribute {quoted[0]} is required"
    return f"attributes {', '.join(quoted[:-1])} and {quoted[-1]} are required"


def _convertible(given: Type, wanted: Type) -> bool:
    """Whether a value of one type may become one of the other, as far as types say."""
    if "dynamic" in (given.kind, wanted.kind):
        return True
    if wanted.is_primitive:
        return (given.is_primitive and "string" in (given.kind, wanted.kind)) or given.kind == wanted.kind
    inner: list[Any]
    of: dict[str, Any]
    if wanted.kind in ("list", "set") and given.kind in _SEQUENCES:
        inner = given.members if given.kind == "tuple" else [given.element]
    elif wanted.kind == "map" and given.kind in _MAPPINGS:
        inner = list(given.members.values()) if given.kind == "object" else [given.element]
    elif wanted.kind == "tuple" and given.kind == "tuple" and len(given.members) == len(wanted.members):
        return all(_convertible(a, b) for a, b in zip(given.members, wanted.members, strict=True))
    elif wanted.kind == "object" and given.kind in _MAPPINGS:
        of = given.members if given.kind == "object" else dict.fromkeys(wanted.members, given.element)
        return all(name in of and _convertible(of[name], type_) for name, type_ in wanted.members.items())
    else:
        return False
    assert wanted.element is not None
    return all(_convertible(one, wanted.element) for one in inner)


def mismatch(given: Type, wanted: Type) -> str:
    """Why a type cannot become another one."""
    element = wanted.element
    if element is not None and wanted.kind in ("list", "set") and given.kind == "tuple":
        for at, one in enumerate(given.members):
            if not _convertible(one, element):
                return f"element {at}: {mismatch(one, element)}"
    if element is not None and wanted.kind == "map" and given.kind == "object":
        for name, one in given.members.items():
            if not _convertible(one, element):
                return f'element "{name}": {mismatch(one, element)}'
    if element is not None and given.element is not None and given.kind == wanted.kind:
        return f"incorrect {wanted.kind} element type: {mismatch(given.element, element)}"
    return f"{wanted.name} required, but have {given.name}"


def unify(types: Sequence[Type]) -> Type | None:
    """The type that all can become without loss; None if there is none. Of nothing: dynamic."""
    known = [one for one in types if one.kind != "dynamic"]
    if not known:
        return DYNAMIC
    first = known[0]
    if all(one == first for one in known[1:]):
        return first
    kinds = {one.kind for one in known}
    if kinds <= {"string", "number", "bool"}:
        return STRING if "string" in kinds else None
    if kinds <= set(_MAPPINGS):
        return _unify_mappings(known, kinds)
    if kinds <= set(_SEQUENCES):
        return _unify_sequences(known, kinds)
    return None


def _unify_mappings(types: Sequence[Type], kinds: set[str]) -> Type | None:
    if kinds == {"object"} and all(one.members.keys() == types[0].members.keys() for one in types):
        found = {name: unify([one.members[name] for one in types]) for name in types[0].members}
        return None if None in found.values() else Type("object", None, found)
    inner = [t for one in types for t in (one.members.values() if one.kind == "object" else [one.element])]
    return _collection("map", inner)


def _unify_sequences(types: Sequence[Type], kinds: set[str]) -> Type | None:
    if kinds == {"tuple"} and all(len(one.members) == len(types[0].members) for one in types):
        found = [unify(list(column)) for column in zip(*(one.members for one in types), strict=True)]
        return None if None in found else Type("tuple", None, found)
    inner = [t for one in types for t in (one.members if one.kind == "tuple" else [one.element])]
    return _collection("set" if kinds == {"set"} else "list", inner)


def _collection(kind: str, inner: Sequence[Any]) -> Type | None:
    element = unify(list(inner))
    return None if element is None else Type(kind, element)


def from_plain(plain: Any, number_: Callable[[Any], Value]) -> Value:
    """The value of decoded JSON: objects and tuples of strings, numbers, booleans and nulls."""
    if isinstance(plain, dict):
        return object_of({name: from_plain(one, number_) for name, one in plain.items()})
    if isinstance(plain, list):
        return tuple_of(from_plain(one, number_) for one in plain)
    if isinstance(plain, bool):
        return boolean(plain)
    if plain is None:
        return Value(DYNAMIC, None)
    return Value(STRING, plain) if type(plain) is str else number_(plain)
