"""JSON with source ranges."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from decimal import Decimal

from yurt.server.hcl.diagnostics import Diagnostic, HclError, LimitError, Range, Source
from yurt.server.hcl.scanner import DEPTH_MAX, SOURCE_BYTES_MAX, TOKENS_MAX

_TOKEN = re.compile(
    r'[ \t\r\n]*(?:(?P<string>"(?:[^"\\\n]|\\.)*")|(?P<number>-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)'
    r"|(?P<word>[A-Za-z_]+)|(?P<sign>[{}\[\],:])|(?P<bad>.)|(?P<end>\Z))",
    re.DOTALL,
)
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_START = "A JSON value must start with a brace, a bracket, a number, a string, or a keyword."


@dataclass(slots=True)
class JsonValue:
    """A value: `start` is its opening bracket or all of it."""

    kind: str
    range: Range
    start: Range
    plain: str | Decimal | bool | None = None
    items: list[JsonValue] = field(default_factory=list)
    object: JsonObject | None = None


@dataclass(slots=True)
class JsonObject:
    """The members of an object, in order, with the ranges of their names."""

    members: list[tuple[str, Range, JsonValue]] = field(default_factory=list)


def scan_json(source: Source) -> JsonValue:
    """The one value of a source; raises `HclError`."""
    if len(source.text) > SOURCE_BYTES_MAX:
        raise LimitError(None, f"The text is larger than {SOURCE_BYTES_MAX} bytes.")
    scan = _Scan(source)
    value = scan.value()
    kind, _, place = scan.take()
    if kind != "end":
        raise _error(place, "Extraneous data after value", "Extra characters appear after the JSON value.")
    return value


def _error(place: Range, summary: str, detail: str) -> HclError:
    return HclError([Diagnostic(place, summary, detail)])


class _Scan:
    def __init__(self, source: Source) -> None:
        self._source, self._at, self._depth, self._taken = source, 0, 0, 0

    def take(self) -> tuple[str, str, Range]:
        self._taken += 1
        if self._taken > TOKENS_MAX:
            detail = f"The text has more than {TOKENS_MAX} words and signs."
            raise LimitError(Range(self._source, self._at, self._at + 1), detail)
        match = _TOKEN.match(self._source.text, self._at)
        assert match is not None
        kind = str(match.lastgroup)
        self._at = match.end()
        return kind, match[kind], Range(self._source, match.start(kind), match.end(kind))

    def value(self) -> JsonValue:
        kind, text, place = self.take()
        if kind == "string":
            return JsonValue("string", place, place, self._text(text, place))
        if kind == "number":
            return JsonValue("number", place, place, Decimal(text))
        if kind == "word":
            if text not in _WORDS:
                detail = f'"{text}" is not a valid JSON keyword.'
                raise _error(place, "Invalid JSON keyword", detail)
            return JsonValue("null" if text == "null" else "bool", place, place, _WORDS[text])
        if kind == "sign" and text in "{[":
            self._depth += 1
            if self._depth > DEPTH_MAX:
                raise LimitError(place, f"Nested more than {DEPTH_MAX} deep.")
            found = self._object(place) if text == "{" else self._array(place)
            self._depth -= 1
            return found
        raise _error(place, "Missing JSON value", _START)

    def _text(self, literal: str, place: Range) -> str:
        try:
            found: str = json.loads(literal, strict=False)
        except json.JSONDecodeError:
            raise _error(place, "Invalid JSON string", "The string has an invalid escape sequence.") from None
        return found

    def _peek(self) -> str:
        before = self._at
        kind, text, _ = self.take()
        self._at = before
        return text if kind == "sign" else kind

    def _object(self, opening: Range) -> JsonValue:
        found = JsonObject()
        while self._peek() != "}":
            kind, text, place = self.take()
            if kind == "end":
                detail = "No closing brace was found for this JSON object."
                raise _error(opening, "Unclosed object", detail)
            if kind != "string":
                detail = "A JSON object must contain property names in double quotes."
                raise _error(place, "Invalid object property name", detail)
            sign, at = self.take()[1:]
            if sign != ":":
                detail = "A colon must separate an object property's name from its value."
                raise _error(at, "Missing property value colon", detail)
            found.members.append((self._text(text, place), place, self.value()))
            if not self._goes_on("}", opening, "object"):
                break
        end = self.take()[2]
        return JsonValue("object", opening.to(end), opening, object=found)

    def _array(self, opening: Range) -> JsonValue:
        items: list[JsonValue] = []
        while self._peek() != "]":
            items.append(self.value())
            if not self._goes_on("]", opening, "array"):
                break
        end = self.take()[2]
        return JsonValue("array", opening.to(end), opening, items=items)

    def _goes_on(self, closer: str, opening: Range, what: str) -> bool:
        """Whether a comma leads to another member; raises for anything else than the closer."""
        sign = self._peek()
        if sign == ",":
            self.take()
            if self._peek() == closer:
                place = self.take()[2]
                detail = f"JSON does not permit a trailing comma after the final item in an {what}."
                raise _error(place, f"Trailing comma in {what}", detail)
            return True
        if sign == closer:
            return False
        place = self.take()[2]
        if sign == "end":
            raise _error(opening, f"Unclosed {what}", f"No closing mark was found for this JSON {what}.")
        raise _error(place, "Missing comma", f"A comma must separate the items of an {what}.")
