"""Functions of numbers."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from yurt.server.jobspec.functions.signature import ArgumentError, FunctionError, function, whole
from yurt.server.jobspec.values import NUMBERS, Value, number

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_PARSED_LENGTH_MAX = 1024


@function("abs", "num:number")
def _abs(num: Value) -> Value:
    return number(NUMBERS.abs(num.raw))


def _rounded(value: Decimal, rounding: str) -> Value:
    return number(value.to_integral_value(rounding) if value.is_finite() else value)


@function("ceil", "num:number")
def _ceil(num: Value) -> Value:
    return _rounded(num.raw, ROUND_CEILING)


@function("floor", "num:number")
def _floor(num: Value) -> Value:
    return _rounded(num.raw, ROUND_FLOOR)


def _of_float(value: float) -> Value:
    if math.isnan(value):
        raise FunctionError("this has no result as a number")
    return number(Decimal(repr(value)))


@function("log", "num:number", "base:number")
def _log(num: Value, base: Value) -> Value:
    return _of_float(_divided(_ln(float(num.raw)), _ln(float(base.raw))))


def _ln(value: float) -> float:
    if value == 0:
        return -math.inf
    return math.log(value) if value > 0 else math.nan


def _divided(left: float, right: float) -> float:
    if right == 0:
        return math.nan if left == 0 else math.copysign(math.inf, left)
    return left / right


@function("pow", "num:number", "power:number")
def _pow(num: Value, power: Value) -> Value:
    base, exponent = float(num.raw), float(power.raw)
    try:
        return _of_float(math.pow(base, exponent))
    except OverflowError:
        return _of_float(math.inf if base > 0 or exponent % 2 == 0 else -math.inf)
    except ValueError:
        return _of_float(math.inf if base == 0 else math.nan)


@function("max", "numbers:number...")
def _max(*numbers: Value) -> Value:
    if not numbers:
        raise FunctionError("must pass at least one number")
    return max(numbers, key=lambda one: one.raw)


@function("min", "numbers:number...")
def _min(*numbers: Value) -> Value:
    if not numbers:
        raise FunctionError("must pass at least one number")
    return min(numbers, key=lambda one: one.raw)


@function("signum", "num:number")
def _signum(num: Value) -> Value:
    value = whole(num, 0)
    return number((value > 0) - (value < 0))


@function("parseint", "number:any", "base:number")
def _parseint(text: Value, base: Value) -> Value:
    if text.kind != "string":
        raise ArgumentError(0, f"first argument must be a string, not {text.type.name}")
    radix = int(base.raw) if base.raw == base.raw.to_integral_value() and abs(base.raw) < 100 else 0
    if not 2 <= radix <= 62:
        raise ArgumentError(1, "base must be a whole number between 2 and 62 inclusive")
    sign, digits = (-1, text.raw[1:]) if text.raw.startswith("-") else (1, text.raw.removeprefix("+"))
    total = 0
    for digit in digits if radix > 36 else digits.lower():
        value = _DIGITS.find(digit)
        if not 0 <= value < radix or len(digits) > _PARSED_LENGTH_MAX:
            digits = ""
            break
        total = total * radix + value
    if not digits:
        raise ArgumentError(0, f'cannot parse "{text.raw}" as a base {radix} integer')
    return number(NUMBERS.create_decimal(sign * total))
