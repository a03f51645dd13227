"""Filter expressions over records (spec jobs-api §2.9): selectors are the wire names of the record's fields."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Collection as Collection_
from functools import lru_cache
from typing import Any

import msgspec

from yurt.fsm.lang.filter_parser import Both, Collection, FilterError, Match, Node, Not, Parser
from yurt.fsm.lang.regex import BadPattern, compile_pattern
from yurt.fsm.lang.strconv import parse_bool, parse_int, parse_position
from yurt.fsm.structs.secrets import readable_fields

__all__ = ["Filter", "FilterError", "Partial", "compile_filter"]

Names = dict[str, Any]
Test = Callable[[Any, Names], bool]
_MISSING = object()


class Partial:
    """A record of which a reader may see some fields only, by their wire names; to a filter it has no others."""

    __slots__ = ("fields", "record")

    def __init__(self, record: msgspec.Struct, fields: Collection_[str]) -> None:
        self.record, self.fields = record, fields


class Filter:
    """A compiled expression. It finds readable fields only: a secret one is as unknown as one that does not exist."""

    __slots__ = ("_test",)

    def __init__(self, test: Test) -> None:
        self._test = test

    def matches(self, record: Any) -> bool:
        """Whether a record matches; raises `FilterError` if the expression does not fit it."""
        return self._test(record, {})


@lru_cache(256)
def compile_filter(text: str) -> Filter:
    """The filter of an expression; raises `FilterError`."""
    return Filter(_compile(Parser(text).parse()))


def _compile(node: Node) -> Test:
    if isinstance(node, Not):
        inner = _compile(node.inner)
        return lambda record, names: not inner(record, names)
    if isinstance(node, Both):
        left, right = _compile(node.left), _compile(node.right)
        if node.either:
            return lambda record, names: left(record, names) or right(record, names)
        return lambda record, names: left(record, names) and right(record, names)
    if isinstance(node, Collection):
        return _collection(node)
    return _match(node)


def _attribute(value: msgspec.Struct | Partial, wire_name: str) -> str | None:
    """The attribute behind a wire name; None if there is none, or none that the reader may see."""
    if not isinstance(value, Partial):
        return readable_fields(type(value)).get(wire_name)
    return readable_fields(type(value.record)).get(wire_name) if wire_name in value.fields else None


def _select(record: Any, names: Names, selector: tuple[str, ...]) -> Any:
    """Return the value that a selector names; `_MISSING` for a key that a map does not have. Raises `FilterError`."""
    value, start = record, 0
    if selector[0] in names:
        value, start = names[selector[0]], 1
    path = "/" + "/".join(selector)
    for position in range(start, len(selector)):
        part = selector[position]
        if isinstance(value, msgspec.Struct | Partial):
            attribute = _attribute(value, part)
            if attribute is None:
                raise FilterError(
                    f"error finding value in datum: {path} at part {position}: "
                    f'couldn\'t find key: struct field with name "{part}"'
                )
            value = getattr(value.record if isinstance(value, Partial) else value, attribute)
        elif isinstance(value, dict):
            if part not in value:
                return _MISSING
            value = value[part]
        elif isinstance(value, tuple | list):
            place = parse_position(part)
            if place is None or place >= len(value):
                raise FilterError(f"error finding value in datum: {path} at part {position}: index out of range")
            value = value[place]
        elif value is None and position and _is_map(record, names, selector[:position]):
            return _MISSING
        else:
            raise FilterError(f"error finding value in datum: {path}: at part {position}, invalid value kind: invalid")
    return value


def _is_map(record: Any, names: Names, selector: tuple[str, ...], *kinds: str) -> bool:
    """Whether the selector names a map (or another of `kinds`) that is empty, which is stored as None."""
    owner = _select(record, names, selector[:-1]) if len(selector) > 1 else record
    if isinstance(owner, Partial):
        owner = owner.record
    if not isinstance(owner, msgspec.Struct):
        return False
    for field in msgspec.structs.fields(type(owner)):
        if field.encode_name == selector[-1]:
            return any(kind in str(field.type) for kind in kinds or ("dict",))
    return False


def _match(node: Match) -> Test:
    tests = {"==": _equal, "in": _contains, "matches": _matches, "empty": _empty, "nil": _nil}
    test, negated, selector = tests[node.operator], node.negated, node.selector
    if node.operator == "matches":
        try:
            compile_pattern(node.value)
        except BadPattern as error:
            text = f'failed to compile regular expression "{node.value}": {error}'

            def fail(_record: Any, _names: Names) -> bool:
                raise FilterError(text)

            return fail

    def run(record: Any, names: Names) -> bool:
        value = _select(record, names, selector)
        if value is None and _is_map(record, names, selector, "tuple", "dict", "bytes"):
            value = ()
        if value is _MISSING:
            return negated if node.operator in ("==", "in", "matches") else not negated
        return test(value, node) != negated

    return run


def _equal(value: Any, node: Match) -> bool:
    if isinstance(value, tuple | list | dict | msgspec.Struct):
        raise FilterError("unable to find suitable primitive comparison function for matching")
    try:
        if isinstance(value, bool):
            return value == parse_bool(node.value)
        if isinstance(value, int):
            return value == _integer(node.value)
        if isinstance(value, float):
            return value == float(node.value)
    except ValueError as error:
        raise FilterError(f"error getting match value in expression: {error}") from None
    if isinstance(value, bytes):
        return value == node.value.encode()
    return bool((value or "") == node.value)


def _integer(text: str) -> int:
    """A decimal, hexadecimal or octal integer."""
    if text[:2].lower() in ("0x", "0o", "0b"):
        return int(text, 0)
    return parse_int(text, "ParseInt")


def _contains(value: Any, node: Match) -> bool:
    if isinstance(value, str):
        return node.value in value
    if isinstance(value, dict):
        return node.value in value
    if isinstance(value, tuple | list):
        return any(_equal(one, node) for one in value)
    if value is None:
        return False
    raise FilterError(f'cannot perform in/contains operations on type {_kind(value)} for selector: "{_path(node)}"')


def _matches(value: Any, node: Match) -> bool:
    if value is None:
        value = ""
    if not isinstance(value, str):
        raise FilterError(f"cannot perform matches operations on type {_kind(value)} for selector: {_path(node)!r}")
    return compile_pattern(node.value).search(value) is not None


def _empty(value: Any, node: Match) -> bool:
    if isinstance(value, str | tuple | list | dict | bytes):
        return not value
    raise FilterError(f'cannot perform is-empty operations on type {_kind(value)} for selector: "{_path(node)}"')


def _nil(value: Any, node: Match) -> bool:
    if value is None or isinstance(value, tuple | list | dict | msgspec.Struct):
        return value is None or value == ()
    raise FilterError(f'cannot perform is-nil operations on type {_kind(value)} for selector: "{_path(node)}"')


def _kind(value: Any) -> str:
    kinds = {bool: "bool", int: "int", float: "float64", str: "string", type(None): "invalid"}
    return kinds.get(type(value), "struct")


def _path(node: Match) -> str:
    return ".".join(node.selector)


def _collection(node: Collection) -> Test:
    inner = _compile(node.inner)

    def run(record: Any, names: Names) -> bool:
        value = _select(record, names, node.selector)
        if value is _MISSING or value is None:
            return node.every
        results = (inner(record, {**names, **bound}) for bound in _bindings(value, node))
        return all(results) if node.every else any(results)

    return run


def _bindings(value: Any, node: Collection) -> list[Names]:
    """The names of each member: one is the element of a list or key of a map, two are index (or key) and value."""
    if isinstance(value, dict):
        pairs = [(key, one) for key, one in sorted(value.items())]
        single = 0
    elif isinstance(value, tuple | list):
        pairs = list(enumerate(value))
        single = 1
    else:
        raise FilterError(f"cannot iterate over type {_kind(value)}")
    if node.second is None:
        return [{node.first: pair[single]} for pair in pairs]
    named = (zip((node.first, node.second), pair, strict=True) for pair in pairs)
    return [{name: one for name, one in both if name != "_"} for both in named]
