"""The value of an argument in the type its field has (spec jobspec-hcl §6)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from yurt.server.hcl.nodes import Node
from yurt.server.jobspec.convert import ConversionError, convert
from yurt.server.jobspec.durations import parse_go_duration
from yurt.server.jobspec.evaluate import evaluate
from yurt.server.jobspec.schema import Argument
from yurt.server.jobspec.scope import Scope
from yurt.server.jobspec.values import BOOL, NUMBER, STRING, Type, Value

_TYPES = {
    "s": STRING,
    "b": BOOL,
    "i": NUMBER,
    "i8": NUMBER,
    "u8": NUMBER,
    "[s]": Type("list", STRING),
    "[i]": Type("list", NUMBER),
    "{s}": Type("map", STRING),
}
_BOUNDS = {"i": (-(2**63), 2**63 - 1), "i8": (-128, 127), "u8": (0, 255)}
UNSUITABLE = "Unsuitable value type"
_KIND_CODES = {"bool": 66, "number": 78, "string": 83}


class Unsuitable(Exception):
    """The value does not fit; the text is the whole detail."""

    def __init__(self, detail: str, summary: str = UNSUITABLE) -> None:
        super().__init__(detail)
        self.summary = summary


def argument_value(node: Node, argument: Argument, scope: Scope) -> Any:
    """The plain value of an argument's expression; after a diagnostic its zero value."""
    value = evaluate(node, scope)
    try:
        return fitted(value, argument.kind, argument.is_nullable)
    except Unsuitable as error:
        scope.tell(node.start, error.summary, str(error))
        return argument.zero


def fitted(value: Value, kind: str, is_nullable: bool) -> Any:
    """The plain value of a kind; raises `Unsuitable`."""
    if not value.is_known:
        raise Unsuitable("Unsuitable value: value must be known")
    if kind == "d":
        return _duration(value)
    try:
        return _plain(convert(value, _TYPES[kind]), kind, is_nullable)
    except ConversionError as error:
        raise Unsuitable(f"Unsuitable value: {error}") from None


def fitted_or_reason(value: Value, kind: str) -> Any:
    """The plain value of a kind that is no duration; raises `ConversionError`."""
    return _plain(convert(value, _TYPES[kind]), kind, False)


def _plain(value: Value, kind: str, is_nullable: bool) -> Any:
    raw = value.raw
    if raw is None:
        if not is_nullable:
            raise ConversionError("null value is not allowed")
        return None
    if kind[0] == "[":
        return [_plain(one, kind[1:-1], False) for one in raw]
    if kind[0] == "{":
        return {name: _plain(one, "s", False) for name, one in raw.items()}
    return _whole(raw, kind) if kind in _BOUNDS else raw


def _whole(raw: Decimal, kind: str) -> int:
    low, high = _BOUNDS[kind]
    if not raw.is_finite() or raw != raw.to_integral_value() or not low <= raw <= high:
        raise ConversionError(f"value must be a whole number, between {low} and {high}")
    return int(raw)


def _duration(value: Value) -> int:
    if value.raw is None:
        raise Unsuitable("Unsuitable duration value: nil", "Unsuitable value")
    if value.kind == "string":
        try:
            return parse_go_duration(value.raw)
        except ValueError as error:
            raise Unsuitable(f"Unsuitable duration value: {error}") from None
    if value.kind == "number" and value.raw.is_finite():
        return max(-(2**63), min(int(value.raw), 2**63 - 1))
    code = _KIND_CODES.get(value.kind, 0)
    shown = f"{{{{{{}} %!s(cty.primitiveTypeKind={code})}}}}"
    raise Unsuitable(f"Unsuitable value: expected a string but found {shown}")
