"""The grammar of filter expressions (spec jobs-api §2.9), as a parser into small nodes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

import orjson

LENGTH_MAX = 4096
DEPTH_MAX = 32
OPERATORS_MAX = 1000

_IDENTIFIER = re.compile(r"[a-zA-Z][a-zA-Z0-9_/]*")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?")
_SPACE = re.compile(r"[ \t\r\n]+")
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_RAW = re.compile(r"`[^`]*`")


class FilterError(ValueError):
    """A filter that cannot be read, or cannot be applied to a record; the text is the protocol's."""


@dataclass(frozen=True)
class Match:
    """`selector operator value`; `negated` for `!=` and `not`."""

    selector: tuple[str, ...]
    operator: str  # "==", "in", "matches", "empty", "nil"
    value: str = ""
    negated: bool = False


@dataclass(frozen=True)
class Not:
    """The opposite of an expression."""

    inner: Node


@dataclass(frozen=True)
class Both:
    """`and` (or `or`, if `either`)."""

    left: Node
    right: Node
    either: bool


@dataclass(frozen=True)
class Collection:
    """`any` or `all` members of a list or map; the names are empty where the expression gives none."""

    selector: tuple[str, ...]
    every: bool
    first: str
    second: str | None
    inner: Node


Node = Match | Not | Both | Collection


class Parser:
    """Recursive descent over one expression."""

    def __init__(self, text: str) -> None:
        self._text, self._at, self._depth, self._operators = text, 0, 0, 0

    def parse(self) -> Node:
        """The whole expression; raises `FilterError`."""
        if len(self._text) > LENGTH_MAX:
            raise FilterError(f"the expression is longer than {LENGTH_MAX} characters")
        self._space()
        node = self._or()
        self._space()
        if self._at < len(self._text):
            self._fail('"and", "or", [ \\t\\r\\n] or EOF')
        return node

    # --- pieces

    def _fail(self, expected: str) -> NoReturn:
        raise FilterError(f"{self._position()}: no match found, expected: {expected}")

    def _rule(self, rule: str, text: str) -> NoReturn:
        raise FilterError(f'{self._position()}: rule "{rule}": {text}')

    def _position(self) -> str:
        line = self._text.count("\n", 0, self._at) + 1
        column = self._at - (self._text.rfind("\n", 0, self._at) + 1) + 1
        return f"{line}:{column} ({self._at})"

    def _space(self) -> bool:
        found = _SPACE.match(self._text, self._at)
        if found:
            self._at = found.end()
        return found is not None

    def _take(self, pattern: re.Pattern[str]) -> str | None:
        found = pattern.match(self._text, self._at)
        if found is None:
            return None
        self._at = found.end()
        return found[0]

    def _word(self, word: str) -> bool:
        end = self._at + len(word)
        following = self._text[end : end + 1]
        if self._text[self._at : end] == word and not (following.isalnum() or following in ("_", "/", ".")):
            self._at = end
            return True
        return False

    def _spaced(self, word: str) -> bool:
        """White space, the word, white space; nothing is taken otherwise."""
        start = self._at
        if self._space() and self._word(word) and self._space():
            return True
        self._at = start
        return False

    # --- expressions

    def _or(self) -> Node:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise FilterError(f"the expression is nested more than {DEPTH_MAX} deep")
        left = self._and()
        node = Both(left, self._or(), either=True) if self._spaced("or") else left
        self._depth -= 1
        return node

    def _and(self) -> Node:
        left = self._not()
        self._operators += 1
        if self._operators > OPERATORS_MAX:
            raise FilterError(f"the expression has more than {OPERATORS_MAX} operators")
        self._depth += 1
        if self._depth > DEPTH_MAX * 4:
            raise FilterError(f"the expression is nested more than {DEPTH_MAX * 4} deep")
        node = Both(left, self._and(), either=False) if self._spaced("and") else left
        self._depth -= 1
        return node

    def _not(self) -> Node:
        start = self._at
        if self._word("not") and self._space():
            self._depth += 1
            if self._depth > DEPTH_MAX:
                raise FilterError(f"the expression is nested more than {DEPTH_MAX} deep")
            node = Not(self._not())
            self._depth -= 1
            return node
        self._at = start
        if self._text[self._at : self._at + 1] == "(":
            self._at += 1
            self._space()
            inner = self._or()
            self._space()
            if self._text[self._at : self._at + 1] != ")":
                self._rule("grouping", "Unmatched parentheses")
            self._at += 1
            return inner
        for word in ("any", "all"):
            if self._word(word) and self._space():
                return self._collection(every=word == "all")
            self._at = start
        return self._match()

    def _collection(self, *, every: bool) -> Node:
        selector = self._selector()
        if selector is None:
            self._fail('"\\"" or [a-zA-Z]')
        if not self._spaced("as"):
            self._fail('"as"')
        names = [self._take(_IDENTIFIER) or self._take(re.compile("_")) or ""]
        self._space()
        if self._text[self._at : self._at + 1] == ",":
            self._at += 1
            self._space()
            names.append(self._take(_IDENTIFIER) or self._take(re.compile("_")) or "")
            self._space()
        if not all(names) or self._text[self._at : self._at + 1] != "{":
            self._fail('"{"')
        self._at += 1
        self._space()
        inner = self._or()
        self._space()
        if self._text[self._at : self._at + 1] != "}":
            self._fail('"}"')
        self._at += 1
        second = names[1] if len(names) > 1 else None
        return Collection(selector, every, names[0], second, inner)

    def _match(self) -> Node:
        start = self._at
        selector = self._selector()
        if selector is not None and (node := self._after_selector(selector)) is not None:
            return node
        end = self._at
        self._at = start
        value = self._value()
        if value is None:
            self._fail('"(", "-", "0", "\\"", "`", "all", "any", "not", [ \\t\\r\\n], [1-9] or [a-zA-Z]')
        negated = self._spaced_not("in")
        if negated is None:
            self._at = max(end, self._at)
            self._fail('"!=", "==", "contains", "in", "is", "matches", "not" or [ \\t\\r\\n]')
        target = self._selector()
        if target is None:
            self._rule("match", "Invalid selector")
        return Match(target, "in", value, negated)

    def _spaced_not(self, word: str) -> bool | None:
        """False for ` word `, True for ` not word `, None for neither."""
        start = self._at
        if self._spaced(word):
            return False
        if self._space() and self._word("not") and self._spaced(word):
            return True
        self._at = start
        return None

    def _after_selector(self, selector: tuple[str, ...]) -> Node | None:
        start = self._at
        self._space()
        sign = self._text[self._at : self._at + 2]
        if sign in ("==", "!="):
            self._at += 2
            self._space()
            return Match(selector, "==", self._needed_value(), sign == "!=")
        self._at = start
        for word, operator in (("contains", "in"), ("matches", "matches")):
            negated = self._spaced_not(word)
            if negated is not None:
                return Match(selector, operator, self._needed_value(), negated)
        if self._spaced("is"):
            negated = self._word("not") and self._space()
            for word in ("empty", "nil"):
                if self._word(word):
                    return Match(selector, word, "", negated)
            self._fail('"empty", "nil" or "not"')
        self._at = start
        return None

    def _needed_value(self) -> str:
        value = self._value()
        if value is None:
            self._fail('"-", "0", "\\"", "`", [ \\t\\r\\n], [1-9] or [a-zA-Z]')
        return value

    def _value(self) -> str | None:
        first = self._text[self._at : self._at + 1]
        if first in ('"', "`"):
            return self._string()
        if first == "-" or first.isdigit():
            number = self._take(_NUMBER)
            following = self._text[self._at : self._at + 1]
            if number is None or following.isalnum() or following in ("_", "."):
                self._rule("number", "Invalid number literal")
            return number
        selector = self._selector()
        return None if selector is None else ".".join(selector)

    def _string(self) -> str:
        quoted = self._take(_STRING if self._text[self._at] == '"' else _RAW)
        if quoted is None:
            self._at = len(self._text)
            self._rule("string", "Unterminated string literal")
        if quoted[0] == "`":
            return quoted[1:-1]
        try:
            text: str = orjson.loads(quoted)
        except orjson.JSONDecodeError:
            self._rule("string", "invalid syntax")
        return text

    def _selector(self) -> tuple[str, ...] | None:
        if self._text[self._at : self._at + 2] == '"/':
            return tuple(part for part in self._string().split("/")[1:])
        first = self._take(_IDENTIFIER)
        if first is None:
            return None
        parts = [first]
        while True:
            start = self._at
            if self._text[self._at : self._at + 1] == ".":
                self._at += 1
                part = self._take(_IDENTIFIER) or self._take(re.compile(r"\d+"))
                if part is None:
                    self._at = start
                    break
                parts.append(part)
            elif self._text[self._at : self._at + 2] in ('["', "[`"):
                self._at += 1
                parts.append(self._string())
                if self._text[self._at : self._at + 1] != "]":
                    self._fail('"]"')
                self._at += 1
            else:
                break
        return tuple(parts)
