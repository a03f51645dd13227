"""Values as JSON text and back (spec jobspec-hcl §15): sorted keys, `<`, `>` and `&` escaped."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from yurt.server.jobspec.convert import from_plain
from yurt.server.jobspec.number_text import plain_text
from yurt.server.jobspec.values import NUMBERS, Value, number

_UNSAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
PARTS_MAX = 100_000


class JsonError(ValueError):
    """The text is no JSON."""


def json_text(value: Value) -> str:
    """The value as JSON; raises JsonError if it has too many parts."""
    parts: list[str] = []
    _write(value, parts)
    return "".join(parts)


def _write(value: Value, parts: list[str]) -> None:
    if len(parts) > PARTS_MAX:
        raise JsonError("the value has too many parts")
    raw = value.raw
    if raw is None:
        parts.append("null")
    elif isinstance(raw, str):
        parts.append(quoted(raw))
    elif isinstance(raw, bool):
        parts.append("true" if raw else "false")
    elif isinstance(raw, Decimal):
        parts.append(plain_text(raw))
    elif isinstance(raw, list):
        for at, one in enumerate(raw):
            parts.append("," if at else "[")
            _write(one, parts)
        parts.append("]" if raw else "[]")
    else:
        for at, (name, one) in enumerate(raw.items()):
            parts.append(("," if at else "{") + quoted(name) + ":")
            _write(one, parts)
        parts.append("}" if raw else "{}")


def quoted(text: str) -> str:
    """A string in JSON's quotes."""
    found = json.dumps(text, ensure_ascii=False)
    for character, escape in _UNSAFE.items():
        found = found.replace(character, escape)
    return found


def _number(text: Any) -> Value:
    if len(text) > 1024:
        raise JsonError("a number is too long")
    return number(NUMBERS.create_decimal(text))


def from_json(text: str) -> Value:
    """The value of a JSON text; raises `JsonError` or RecursionError."""
    try:
        plain = json.loads(text, parse_float=_Digits, parse_int=_Digits, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise JsonError(_go_text(text, error)) from None
    return from_plain(plain, _number)


class _Digits(str):
    """A number's digits, kept as they are written."""

    __slots__ = ()


def _refuse(name: str) -> Any:
    raise json.JSONDecodeError("constant", name, 0)


# The standard library's message, and how the message of the wire protocol's library ends.
_AFTER = {
    "Expecting value": "looking for beginning of value",
    "Expecting ',' delimiter": "after array element",
    "Expecting ':' delimiter": "after object key",
    "Expecting property name enclosed in double quotes": "",
    "Illegal trailing comma before end of array": "looking for beginning of value",
}


def _go_text(text: str, error: json.JSONDecodeError) -> str:
    """Return the error text that users of the wire protocol know for a broken text."""
    at = error.pos
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    if error.msg == "Extra data":
        return "extraneous data after JSON object"
    if error.msg.startswith("Unterminated") or (0 < at >= len(text) and text[-1:].isalnum()):
        return "unexpected EOF"
    if at >= len(text):
        return "EOF"
    context = _AFTER.get(error.msg, "in string literal")
    if error.msg == "Expecting ',' delimiter" and _is_in_object(text[:at]):
        context = "after object key:value pair"
    for word in ("true", "false", "null"):
        if error.msg == "Expecting value" and text[at] == word[0]:
            same = next((n for n, one in enumerate(word) if text[at + n : at + n + 1] != one), len(word))
            if at + same >= len(text):
                return "unexpected EOF"
            return f"invalid character '{text[at + same]}' in literal {word} (expecting '{word[same]}')"
    return f"invalid character '{text[at]}' {context}".rstrip()


def _is_in_object(before: str) -> bool:
    return before.count("{") - before.count("}") > 0 and before.rfind("{") > before.rfind("[")
