"""The signatures of functions, and the errors of their calls."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from yurt.server.jobspec.scope import ELEMENTS_MAX, Shared
from yurt.server.jobspec.values import BOOL, DYNAMIC, NUMBER, STRING, STRINGS, Type, Value, normal

TEXT_MAX = 4 << 20
INT64 = (-(2**63), 2**63 - 1)
_TYPES = {
    "string": STRING,
    "number": NUMBER,
    "bool": BOOL,
    "any": DYNAMIC,
    "strings": STRINGS,
    "list": Type("list", DYNAMIC),
    "sets": Type("set", DYNAMIC),
}


class FunctionError(Exception):
    """The call failed; the text follows `Call to function "f" failed: `."""


class ArgumentError(Exception):
    """An argument cannot be used; the text follows `Invalid value for "p" parameter: `."""

    def __init__(self, at: int, text: str) -> None:
        super().__init__(text)
        self.at = at


class FunctionLimit(Exception):
    """The result would be too big."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter; its name is in error texts."""

    name: str
    type: Type
    allows_null: bool


@dataclass(frozen=True, slots=True)
class Function:
    """A function with its parameters; `variadic` takes all further arguments."""

    parameters: tuple[Parameter, ...]
    variadic: Parameter | None
    body: Callable[..., Value]
    needs_files: bool
    is_costly: bool

    def parameter(self, at: int) -> Parameter:
        """The parameter of the argument at a position."""
        if at < len(self.parameters):
            return self.parameters[at]
        assert self.variadic is not None
        return self.variadic

    def run(self, arguments: list[Value], shared: Shared) -> Value:
        """The result; raises `FunctionError`, `ArgumentError`, `FunctionLimit`."""
        if self.needs_files and not shared.reads_files:
            raise FunctionError("filesystem function disabled")
        return self.body(shared.budget, *arguments) if self.is_costly else self.body(*arguments)


FUNCTIONS: dict[str, Function] = {}


def function(name: str, *parameters: str, needs_files: bool = False, is_costly: bool = False) -> Callable[[Any], Any]:
    """Register a function. A parameter is `name:type`; `?` after it allows null, `...` takes any number.

    One that `is_costly` gets the budget as its first argument, to count its work itself.
    """

    def register(body: Callable[..., Value]) -> Callable[..., Value]:
        fixed: list[Parameter] = []
        variadic: Parameter | None = None
        for text in parameters:
            label, _, kind = text.rstrip("?.").partition(":")
            parameter = Parameter(label, _TYPES[kind], "?" in text)
            if text.endswith("..."):
                variadic = parameter
            else:
                fixed.append(parameter)
        FUNCTIONS[name] = Function(tuple(fixed), variadic, body, needs_files, is_costly)
        return body

    return register


def text_of(text: str) -> Value:
    """A string, if it is not too long."""
    return Value(STRING, normal(bounded_text(text)))


def bounded_text(text: str) -> str:
    """The text itself, if it is not too long."""
    check_text(len(text))
    return text


def check_text(length: int) -> None:
    """Refuse to make a text of so many characters."""
    if length > TEXT_MAX:
        raise FunctionLimit(f"the result would be longer than {TEXT_MAX} characters")


def check_count(count: int) -> None:
    """Refuse to make so many elements."""
    if count > ELEMENTS_MAX:
        raise FunctionLimit(f"the result would have more than {ELEMENTS_MAX} elements")


def whole(value: Value, at: int | None, what: str = "") -> int:
    """The argument as a whole number of 64 bits; raises `ArgumentError`, or `FunctionError` if `at` is None."""
    raw = value.raw
    if not raw.is_finite() or raw != raw.to_integral_value() or not INT64[0] <= raw <= INT64[1]:
        text = f"{what}value must be a whole number, between {INT64[0]} and {INT64[1]}"
        raise FunctionError(text) if at is None else ArgumentError(at, text)
    return int(raw)


def go_quoted(text: str) -> str:
    """The text in quotes, with the escapes of Go."""
    return json.dumps(text, ensure_ascii=False)
