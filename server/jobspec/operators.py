"""Operators on values (spec jobspec-hcl §4): operands are converted, numbers are exact decimals."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from yurt.server.hcl import nodes
from yurt.server.jobspec.convert import ConversionError, convert
from yurt.server.jobspec.scope import Scope
from yurt.server.jobspec.values import BOOL, NUMBER, NUMBERS, QUOTIENTS, UNKNOWN, Type, Value, boolean, equal


def _modulo(left: Decimal, right: Decimal) -> Decimal:
    """The remainder with the sign of the left operand, as division toward zero leaves it."""
    return NUMBERS.remainder(left, right)


_OPERATORS: dict[str, tuple[Type, Type, Callable[[Any, Any], Any]]] = {
    "||": (BOOL, BOOL, lambda a, b: a or b),
    "&&": (BOOL, BOOL, lambda a, b: a and b),
    ">": (NUMBER, BOOL, lambda a, b: a > b),
    ">=": (NUMBER, BOOL, lambda a, b: a >= b),
    "<": (NUMBER, BOOL, lambda a, b: a < b),
    "<=": (NUMBER, BOOL, lambda a, b: a <= b),
    "+": (NUMBER, NUMBER, NUMBERS.add),
    "-": (NUMBER, NUMBER, NUMBERS.subtract),
    "*": (NUMBER, NUMBER, NUMBERS.multiply),
    "/": (NUMBER, NUMBER, QUOTIENTS.divide),
    "%": (NUMBER, NUMBER, _modulo),
}


def binary(node: nodes.Binary, left: Value, right: Value, scope: Scope) -> Value:
    """`left operator right`."""
    if node.operator in ("==", "!="):
        if not (left.is_known and right.is_known):
            return UNKNOWN
        _charge(left, scope, node)
        return boolean(equal(left, right) == (node.operator == "=="))
    wanted, result, function = _OPERATORS[node.operator]
    operands = []
    for side, value, operand in (("left", left, node.left), ("right", right, node.right)):
        try:
            operands.append(convert(value, wanted))
        except ConversionError as error:
            scope.tell(operand.range, "Invalid operand", f"Unsuitable value for {side} operand: {error}.")
    if len(operands) < 2 or not (left.is_known and right.is_known):
        return UNKNOWN
    a, b = operands[0].raw, operands[1].raw
    if a is None or b is None:
        scope.tell(node.range, "Operation failed", "Error during operation: argument must not be null.")
        return UNKNOWN
    found = function(a, b)
    if isinstance(found, Decimal) and found.is_nan():
        detail = "Error during operation: this has no result as a number."
        scope.tell(node.range, "Operation failed", detail)
        return UNKNOWN
    return Value(result, found)


def _charge(value: Value, scope: Scope, node: nodes.Node) -> None:
    """Count a step for every part that is compared."""
    scope.shared.budget.step(node.range)
    parts = value.raw.values() if isinstance(value.raw, dict) else value.raw if isinstance(value.raw, list) else ()
    for one in parts:
        _charge(one, scope, node)


def unary(node: nodes.Unary, value: Value, scope: Scope) -> Value:
    """`-value` or `!value`."""
    wanted = NUMBER if node.operator == "-" else BOOL
    try:
        operand = convert(value, wanted)
    except ConversionError as error:
        detail = f"Unsuitable value for unary operand: {error}."
        scope.tell(node.operand.range, "Invalid operand", detail)
        return UNKNOWN
    if not operand.is_known:
        return UNKNOWN
    if operand.raw is None:
        scope.tell(node.range, "Operation failed", "Error during operation: argument must not be null.")
        return UNKNOWN
    return Value(wanted, NUMBERS.minus(operand.raw) if wanted is NUMBER else not operand.raw)
