"""The parts of YAML that brackets, braces and quotes delimit."""

from __future__ import annotations

import re
from collections.abc import Callable

from yurt.server.jobspec.values import NULL, STRING, Value, object_of, text, tuple_of
from yurt.server.jobspec.yaml_scalars import plain_scalar

DEPTH_MAX = 64
_SPACE = re.compile(r"(?:\s|(?:^|(?<=\s))#[^\n]*)*")
_PLAIN = re.compile(r"(?:[^,\[\]{}:#\n]|:(?![\s,\[\]{}]|\Z)|(?<!\s)#)+")
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|\n[ \t]*|(.))", re.DOTALL)
_ESCAPES = {
    "0": "\0", "a": "\a", "b": "\b", "t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r", "e": "\x1b", " ": " ",
    '"': '"', "/": "/", "\\": "\\", "N": "\x85", "_": "\xa0", "L": "\u2028", "P": "\u2029",
}  # fmt: skip
_QUOTED = {'"': re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL), "'": re.compile(r"'((?:[^']|'')*)'")}
_BREAK = re.compile(r"[ \t]*\n\s*")


class YamlError(ValueError):
    """The text is no YAML that can be used."""


class Flow:
    """Reads one value from the start of a text; `at` is where it ends."""

    def __init__(self, source: str, alias: Callable[[str], Value]) -> None:
        self._source, self._alias = source, alias
        self.at = 0
        self._depth = 0

    def _peek(self) -> str:
        match = _SPACE.match(self._source, self.at)
        assert match is not None
        self.at = match.end()
        return self._source[self.at : self.at + 1]

    def value(self) -> Value:
        """Any value; raises `YamlError`."""
        sign = self._peek()
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise YamlError(f"nested more than {DEPTH_MAX} deep")
        found = self._list() if sign == "[" else self._map() if sign == "{" else self.scalar()
        self._depth -= 1
        return found

    def scalar(self) -> Value:
        """A quoted or plain scalar, or an alias."""
        sign = self._peek()
        if sign in _QUOTED and sign:
            match = _QUOTED[sign].match(self._source, self.at)
            if match is None:
                raise YamlError("found unexpected end of stream while scanning a quoted scalar")
            self.at = match.end()
            return text(_unescaped(match[1]) if sign == '"' else _folded(match[1].replace("''", "'")))
        match = _PLAIN.match(self._source, self.at)
        if match is None:
            return NULL
        self.at = match.end()
        word = match[0].strip()
        return self._alias(word[1:]) if word.startswith("*") else plain_scalar(word)

    def _list(self) -> Value:
        self.at += 1
        items: list[Value] = []
        while self._peek() != "]":
            one = self.value()
            if self._peek() == ":":
                self.at += 1
                one = object_of({_name(one): self.value()})
            items.append(one)
            self._separator("]")
        self.at += 1
        return tuple_of(items)

    def _map(self) -> Value:
        self.at += 1
        members: dict[str, Value] = {}
        while self._peek() != "}":
            name = _name(self.scalar())
            value = NULL
            if self._peek() == ":":
                self.at += 1
                value = NULL if self._peek() in ",}" else self.value()
            members[name] = value
            self._separator("}")
        self.at += 1
        return object_of(members)

    def _separator(self, closer: str) -> None:
        sign = self._peek()
        if sign == ",":
            self.at += 1
        elif sign != closer:
            raise YamlError(f"did not find expected ',' or '{closer}'")


def _name(value: Value) -> str:
    if value.type != STRING:
        raise YamlError("only string keys are allowed")
    name: str = value.raw
    return name


def _folded(given: str) -> str:
    def replace(match: re.Match[str]) -> str:
        return "\n" * (match[0].count("\n") - 1) or " "

    return _BREAK.sub(replace, given)


def _unescaped(given: str) -> str:
    def replace(match: re.Match[str]) -> str:
        code = match[1] or match[2] or match[3]
        if code:
            if int(code, 16) > 0x10FFFF:
                raise YamlError("found invalid Unicode character escape code")
            return chr(int(code, 16))
        if match[4] is None:
            return ""
        if match[4] not in _ESCAPES:
            raise YamlError("found unknown escape character")
        return _ESCAPES[match[4]]

    return _ESCAPE.sub(replace, _folded(given) if "\\\n" not in given else given)
