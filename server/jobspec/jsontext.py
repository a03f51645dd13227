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
        at = _first_wrong(text, error.pos) if error.msg == "Expecting value" else error.pos
        if at >= len(text):
            raise JsonError("EOF" if not text.strip() else "unexpected EOF") from None
        if error.msg == "Extra data":
            raise JsonError("extraneous data after JSON object") from None
        raise JsonError(f"invalid character '{text[at]}'") from None
    return from_plain(plain, _number)


class _Digits(str):
    """A number's digits, kept as they are written."""

    __slots__ = ()


def _refuse(name: str) -> Any:
    raise json.JSONDecodeError("constant", name, 0)


def _first_wrong(text: str, at: int) -> int:
    """Where a word that is nearly `true`, `false` or `null` goes wrong."""
    for word in ("true", "false", "null"):
        if at < len(text) and text[at] == word[0]:
            same = 0
            while same < len(word) and text[at + same : at + same + 1] == word[same]:
                same += 1
            return at + same
    return at
