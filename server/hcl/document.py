"""HCL as data: attributes and blocks of constants, as the agent's configuration is written.

A block is a dictionary under its name; labels nest (`plugin "raw_exec" { … }` is {"plugin": {"raw_exec": {…}}}); a
block that is repeated without a label merges, later members win. Expressions other than constants are refused.
"""

from __future__ import annotations

from typing import Any

from yurt.server.hcl.scanner import HclError, Scanner, Token

__all__ = ["HclError", "load_document"]

DEPTH_MAX = 64
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None}


def load_document(source: str, file: str) -> dict[str, Any]:
    """The document's attributes and blocks; raises `HclError` with the place."""
    return _Parser(Scanner(source, file)).document()


class _Parser:
    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner
        self._tokens = scanner.tokens()
        self._at = 0
        self._depth = 0

    def document(self) -> dict[str, Any]:
        body = self._body("end")
        self._expect("end")
        return body

    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _fail(self, token: Token, message: str) -> HclError:
        return self._scanner.error(token.line, token.column, message)

    def _expect(self, kind: str) -> Token:
        token = self._take()
        if token.kind != kind:
            raise self._fail(token, f'Expected "{kind}", found {_shown(token)}')
        return token

    def _lines(self) -> None:
        while self._next().kind == "newline":
            self._at += 1

    def _body(self, end: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        attributes: set[str] = set()
        self._lines()
        while self._next().kind != end:
            name = self._take()
            if name.kind == "end":
                raise self._fail(name, "Unclosed configuration block")
            if name.kind not in ("name", "string"):
                raise self._fail(name, f"Expected an attribute or a block, found {_shown(name)}")
            if self._next().kind == "=":
                self._at += 1
                if name.text in attributes:
                    raise self._fail(name, f'Attribute "{name.text}" was already set')
                attributes.add(name.text)
                found[name.text] = self._value()
            else:
                _merge(found, [name.text, *self._labels()], self._block())
            token = self._next()
            if token.kind not in ("newline", end, "end"):
                raise self._fail(token, "Expected a newline after this")
            self._lines()
        return found

    def _labels(self) -> list[str]:
        labels = []
        while self._next().kind in ("string", "name"):
            labels.append(self._take().text)
        return labels

    def _block(self) -> dict[str, Any]:
        self._deeper(self._expect("{"))
        body = self._body("}")
        self._expect("}")
        self._depth -= 1
        return body

    def _deeper(self, token: Token) -> None:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise self._fail(token, f"Nested more than {DEPTH_MAX} deep")

    def _value(self) -> Any:
        token = self._take()
        match token.kind:
            case "string":
                return token.text
            case "number":
                return int(token.text) if token.text.lstrip("-").isdigit() else float(token.text)
            case "name" if token.text in _WORDS:
                return _WORDS[token.text]
            case "[":
                return self._list(token)
            case "{":
                return self._object(token)
        raise self._fail(token, f"Expected a constant, found {_shown(token)}")

    def _list(self, opening: Token) -> list[Any]:
        self._deeper(opening)
        items: list[Any] = []
        self._lines()
        while self._next().kind != "]":
            items.append(self._value())
            self._lines()
            if self._next().kind == ",":
                self._at += 1
                self._lines()
            elif self._next().kind != "]":
                raise self._fail(self._next(), 'Expected "," or "]"')
        self._at += 1
        self._depth -= 1
        return items

    def _object(self, opening: Token) -> dict[str, Any]:
        self._deeper(opening)
        found: dict[str, Any] = {}
        self._lines()
        while self._next().kind != "}":
            key = self._take()
            if key.kind not in ("name", "string", "number"):
                raise self._fail(key, f"Expected a key, found {_shown(key)}")
            sign = self._take()
            if sign.kind not in ("=", ":"):
                raise self._fail(sign, f'Expected "=", found {_shown(sign)}')
            found[key.text] = self._value()
            if self._next().kind == ",":
                self._at += 1
            self._lines()
        self._at += 1
        self._depth -= 1
        return found


def _shown(token: Token) -> str:
    return (
        "the end of the file" if token.kind == "end" else "a newline" if token.kind == "newline" else repr(token.text)
    )


def _merge(into: dict[str, Any], path: list[str], body: dict[str, Any]) -> None:
    for step in path[:-1]:
        below = into.setdefault(step, {})
        if not isinstance(below, dict):
            below = into[step] = {}
        into = below
    old = into.get(path[-1])
    into[path[-1]] = {**old, **body} if isinstance(old, dict) else body
