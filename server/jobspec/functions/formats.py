"""`format` and `formatlist`: verbs `%v %#v %s %q %d %b %o %x %X %e %E %f %g %G %t %%` with flags and widths."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from yurt.server.hcl.graphemes import clusters, count_clusters
from yurt.server.jobspec.convert import ConversionError, convert
from yurt.server.jobspec.functions.signature import (
    ArgumentError,
    FunctionError,
    FunctionLimit,
    check_count,
    check_text,
    function,
    text_of,
)
from yurt.server.jobspec.jsontext import JsonError, json_text, quoted
from yurt.server.jobspec.number_text import general_text
from yurt.server.jobspec.values import BOOL, NUMBER, STRING, Value, list_of

WIDTH_MAX = 1024
_VERB = re.compile(r"%(?P<flags>[-+ 0#]*)(?:\[(?P<index>[0-9]+)\])?(?P<width>[0-9]*)(?:\.(?P<precision>[0-9]*))?(?P<mode>.?)", re.DOTALL)  # fmt: skip  # noqa: E501
_INTEGERS = {"d": "d", "b": "b", "o": "o", "x": "x", "X": "X"}


@dataclass(frozen=True, slots=True)
class Verb:
    """One `%…` of a format."""

    text: str
    offset: int
    flags: str
    width: int
    precision: int | None
    mode: str


@function("format", "format:string", "args:any?...")
def _format(text: Value, *arguments: Value) -> Value:
    return text_of(formatted(text.raw, arguments))


@function("formatlist", "format:string", "args:any?...")
def _formatlist(text: Value, *arguments: Value) -> Value:
    lengths = {len(one.raw) for one in arguments if isinstance(one.raw, list)}
    if len(lengths) > 1:
        shown = [len(one.raw) for one in arguments if isinstance(one.raw, list)]
        raise FunctionError(f"all list arguments must have the same length, got {shown[0]} and {shown[1]}")
    count = lengths.pop() if lengths else 1
    check_count(count)
    found = []
    size = 0
    for at in range(count):
        row = [one.raw[at] if isinstance(one.raw, list) else one for one in arguments]
        found.append(Value(STRING, formatted(text.raw, row)))
        size += len(found[-1].raw)
        check_text(size)
    return list_of(STRING, found)


def formatted(text: str, arguments: Sequence[Value]) -> str:
    """The text with its verbs replaced."""
    parts: list[str] = []
    at = used = highest = size = 0
    while (start := text.find("%", at)) >= 0:
        parts.append(text[at:start])
        match = _VERB.match(text, start)
        assert match is not None
        at = match.end()
        if match["mode"] == "%":
            parts.append("%")
            continue
        verb = _verb(match, start)
        if match["index"] is not None:
            used = int(match["index"]) - 1 if len(match["index"]) < 6 else 10**6
        if not 0 <= used < len(arguments):
            raise FunctionError(
                f'not enough arguments for "{verb.text}" at {verb.offset}: need index {used + 1} '
                f"but have {len(arguments)} total"
            )
        parts.append(_rendered(verb, arguments[used]))
        size += len(parts[-1])
        check_text(size)
        used += 1
        highest = max(highest, used)
    if highest < len(arguments):
        why = f"only {highest} used by format string" if highest else "no verbs in format string"
        raise ArgumentError(highest + 1, f"too many arguments; {why}")
    return "".join([*parts, text[at:]])


def _verb(match: re.Match[str], offset: int) -> Verb:
    width, precision = match["width"] or "0", match["precision"]
    if len(width) > 4 or len(precision or "") > 4 or int(width) > WIDTH_MAX or int(precision or 0) > WIDTH_MAX:
        raise FunctionLimit(f"a width of {match[0]!r} is over {WIDTH_MAX}")
    mode = match["mode"]
    if not mode:
        raise FunctionError(f"unterminated format verb at offset {offset}")
    if mode not in "vsqtdboxXeEfgG":
        raise FunctionError(f"unsupported format verb '{mode}' in \"{match[0]}\" at offset {offset}")
    number = None if precision is None else int(precision or 0)
    return Verb(match[0], offset, match["flags"], int(width), number, mode)


def _rendered(verb: Verb, value: Value) -> str:
    mode = verb.mode
    try:
        if mode == "v":
            return _padded(verb, _any(verb, value))
        if value.raw is None:
            raise ConversionError("null value cannot be formatted")
        if mode == "t":
            return _padded(verb, "true" if convert(value, BOOL).raw else "false")
        if mode in "sq" or (mode in "xX" and value.kind == "string"):
            return _string(verb, convert(value, STRING).raw)
        return _number(verb, convert(value, NUMBER).raw)
    except ConversionError as error:
        raise FunctionError(f'unsupported value for "{verb.text}" at {verb.offset}: {error}') from None


def _any(verb: Verb, value: Value) -> str:
    if "#" not in verb.flags:
        if value.kind == "string" and value.raw is not None:
            return _cut(verb, value.raw)
        if value.kind == "number" and value.raw is not None:
            return general_text(value.raw)
    try:
        return json_text(value)
    except JsonError as error:
        raise FunctionError(str(error)) from None


def _cut(verb: Verb, text: str) -> str:
    return text if verb.precision is None else "".join(clusters(text)[: verb.precision])


def _string(verb: Verb, text: str) -> str:
    if verb.mode in "xX":
        text = text.encode().hex()
        return _padded(verb, text.upper() if verb.mode == "X" else text)
    text = _cut(verb, text)
    return _padded(verb, quoted(text) if verb.mode == "q" else text)


def _number(verb: Verb, value: Decimal) -> str:
    sign = "+" if "+" in verb.flags else " " if " " in verb.flags else ""
    if not value.is_finite():
        return _padded(verb, "-Inf" if value < 0 else "+Inf")
    if verb.mode in _INTEGERS:
        whole = int(value)
        digits = format(abs(whole), ("#" if "#" in verb.flags and verb.mode != "d" else "") + _INTEGERS[verb.mode])
        prefix = "-" if whole < 0 else sign
    else:
        digits, prefix = _float(verb, value), "-" if value < 0 else sign
    if "0" in verb.flags and "-" not in verb.flags:
        digits = digits.rjust(max(verb.width - len(prefix), 0), "0")
    return _padded(verb, prefix + digits)


def _float(verb: Verb, value: Decimal) -> str:
    value = value.copy_abs()
    if verb.mode in "fF":
        return format(value, f".{6 if verb.precision is None else verb.precision}f")
    if verb.mode in "eE":
        text = format(value, f".{6 if verb.precision is None else verb.precision}{verb.mode}")
    elif verb.precision is None:
        text = general_text(value) if verb.mode == "g" else general_text(value).upper()
    else:
        text = format(float(value), f".{max(verb.precision, 1)}{verb.mode}")
    return re.sub(r"([eE][+-])(\d)$", r"\g<1>0\2", text)


def _padded(verb: Verb, text: str) -> str:
    missing = " " * max(verb.width - count_clusters(text), 0)
    return text + missing if "-" in verb.flags else missing + text
