"""The first version of HCL, in which policies are written: objects of keys, constants and objects (spec acl §2).

Unlike the second version it needs no line ends between members. JSON is read into the same form.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import orjson

TEXT_BYTES_MAX = 1 << 20
DEPTH_MAX = 16
DIGITS_MAX = 400
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+|\#[^\n]*|//[^\n]*|/\*.*?\*/)
      | (?P<heredoc><<(?P<dash>-?)(?P<marker>\w+)\r?\n(?P<lines>.*?)^[ \t]*(?P=marker)[ \t]*$)
      | (?P<string>"(?:[^"\\\n]|\\.)*")
      | (?P<number>-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)
      | (?P<ident>[^\W\d][\w.-]*)
      | (?P<sign>[{}\[\]=,])""",
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)


class Hcl1Error(ValueError):
    """The text is not of the language; the message names the place."""


class Member(NamedTuple):
    """A key with its labels, and a constant, a list, or the members of an object."""

    keys: tuple[str, ...]
    value: Any


Object = list[Member]


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def read(text: str) -> Object:
    """The members of a text; raises `Hcl1Error`."""
    if len(text) > TEXT_BYTES_MAX:
        raise Hcl1Error(f"the text is larger than {TEXT_BYTES_MAX} bytes")
    if text.lstrip().startswith("{"):
        return _read_json(text)
    return _Reader(text).members("")


def _read_json(text: str) -> Object:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Hcl1Error(str(error)) from None
    return _object(value, 0)


def _object(value: Any, depth: int) -> Object:
    """A JSON object; a list of objects repeats its key, as blocks do."""
    if depth > DEPTH_MAX:
        raise Hcl1Error("the text is nested too deep")
    found: Object = []
    for key, given in value.items():
        for one in given if isinstance(given, list) and all(isinstance(each, dict) for each in given) else (given,):
            found.append(Member((key,), _object(one, depth + 1) if isinstance(one, dict) else one))
    return found


class _Reader:
    def __init__(self, text: str) -> None:
        self._text, self._at, self._depth = text, 0, 0
        self._next = self._scan()

    def _scan(self) -> _Token:
        while self._at < len(self._text):
            found = _TOKEN.match(self._text, self._at)
            if found is None:
                raise Hcl1Error(f"At {self._place(self._at)}: illegal character")
            start, self._at = self._at, found.end()
            kind = found.lastgroup or ""
            if found["heredoc"] is not None:
                return _Token("string", found["lines"], start)
            if kind == "space":
                continue
            text = found[0]
            if kind == "string":
                try:
                    text = orjson.loads(text)
                except orjson.JSONDecodeError:
                    raise Hcl1Error(f"At {self._place(start)}: literal not terminated") from None
            return _Token(kind, text, start)
        return _Token("end", "", len(self._text) + 1)

    def _place(self, at: int) -> str:
        before = self._text[: min(at, len(self._text))]
        column = at - (before.rfind("\n") + 1) + 1
        return f"{before.count(chr(10)) + 1}:{column}"

    def _take(self) -> _Token:
        taken, self._next = self._next, self._scan() if self._next.kind != "end" else self._next
        return taken

    def members(self, end: str) -> Object:
        """Up to the closing sign, or the end of the text."""
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise Hcl1Error("the text is nested too deep")
        found: Object = []
        while True:
            token = self._take()
            if (token.kind == "end" and not end) or (token == (token.kind, end, token.at) and token.kind == "sign"):
                self._depth -= 1
                return found
            if token.kind == "sign" and token.text == "," and end:
                continue
            if token.kind not in ("ident", "string"):
                unexpected = "object expected closing RBRACE got: EOF"
                if token.kind != "end":
                    unexpected = f"unexpected token {token.text}"
                raise Hcl1Error(f"At {self._place(token.at)}: {unexpected}")
            found.append(self._member(token))

    def _member(self, first: _Token) -> Member:
        keys = [first.text]
        while True:
            token = self._take()
            if token.kind in ("ident", "string"):
                keys.append(token.text)
            elif token.kind == "sign" and token.text == "{":
                return Member(tuple(keys), self.members("}"))
            elif token.kind == "sign" and token.text == "=" and len(keys) == 1:
                return Member((keys[0],), self._value())
            else:
                named = " ".join(keys)
                raise Hcl1Error(
                    f"At {self._place(token.at)}: key '{named}' expected start of object ('{{') or assignment ('=')"
                )

    def _value(self) -> Any:
        token = self._take()
        if token.kind == "string":
            return token.text
        if token.kind == "number":
            if len(token.text) > DIGITS_MAX:
                raise Hcl1Error(f"At {self._place(token.at)}: a number of {len(token.text)} characters is too long")
            return float(token.text) if set(token.text) & set(".eE") else int(token.text)
        if token.kind == "ident" and token.text in ("true", "false"):
            return token.text == "true"
        if token.kind == "sign" and token.text == "{":
            return self.members("}")
        if token.kind == "sign" and token.text == "[":
            return self._list()
        raise Hcl1Error(f"At {self._place(token.at)}: unknown token: {token.text or 'EOF'}")

    def _list(self) -> list[Any]:
        found: list[Any] = []
        while True:
            if self._next.kind == "sign" and self._next.text == "]":
                self._take()
                return found
            if self._next.kind == "sign" and self._next.text == "[":
                raise Hcl1Error(f"At {self._place(self._next.at)}: lists of lists are not used here")
            found.append(self._value())
            token = self._take()
            if token.kind == "sign" and token.text == "]":
                return found
            if token.kind != "sign" or token.text != ",":
                raise Hcl1Error(f"At {self._place(token.at)}: error parsing list, expected comma or list end")
