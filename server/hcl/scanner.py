"""From HCL text to tokens (spec jobspec-hcl §2, §5). Templates are cut up too: their literals, markers and expressions.

Kinds: `ident`, `number`, `newline`, `end`; `oquote`, `cquote`, `lit` (a quoted string's text, escapes undecoded);
`oheredoc`, `cheredoc`, `strlit` (a heredoc's text, a line or less); `${`, `%{`, `seqend`; signs are their own kind;
`bad` is a character that the language does not have, `badline` the end of a line inside a quoted string.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from yurt.server.hcl.diagnostics import LimitError, Range, Source

SOURCE_BYTES_MAX = 1 << 20
TOKENS_MAX = 100_000
DEPTH_MAX = 64


class Token(NamedTuple):
    """A piece of the text from `start` to before `end`."""

    kind: str
    text: str
    start: int
    end: int


_NORMAL = re.compile(
    r"""(?P<space>[ \t]+)
      | (?P<newline>\r?\n)
      | (?P<comment>(?:\#|//)[^\n]*\n?|/\*.*?\*/)
      | (?P<ident>[^\W\d][\w-]*)
      | (?P<number>[0-9]+(?:(?:\.+|[eE][+-]?)[0-9]+)*)
      | (?P<oheredoc><<-?[^\W\d][\w-]*\r?\n)
      | (?P<oquote>")
      | (?P<sign>\.\.\.|&&|\|\||==|!=|>=|<=|=>|::|~\}|[-{}\[\]()+*/%=<>!?:,.])""",
    re.VERBOSE | re.DOTALL,
)
_QUOTED = re.compile(r'(?:[^"\\\n$%]|\\[^\n]|\$\$(?=\{)\{|%%(?=\{)\{|[$%](?!\{))+', re.DOTALL)
_LINE = re.compile(r"(?:[^\n$%]|\$\$(?=\{)\{|%%(?=\{)\{|[$%](?!\{))*\n?", re.DOTALL)
_OPENING = re.compile(r"[$%]\{~?")
_LINE_ENDS = re.compile(r"(?:\r?\n)+")


class Scanner:
    """Cuts one source into tokens; raises `LimitError` where it is too big or nested too deep."""

    def __init__(self, source: Source) -> None:
        self._source, self._text, self._at = source, source.text, 0
        self._tokens: list[Token] = []
        # Constructs around the scanner: `"`, a newline with a heredoc's marker, `{` or `${`; and open brackets.
        self._inside: list[str] = []
        self._brackets = 0
        if len(source.text) > SOURCE_BYTES_MAX or len(source.text.encode("utf-8", "replace")) > SOURCE_BYTES_MAX:
            raise LimitError(None, f"The text is larger than {SOURCE_BYTES_MAX} bytes.")

    def tokens(self, *, template: bool = False) -> list[Token]:
        """All tokens with an `end`. `template`: the text is what stands in a quoted string or heredoc."""
        if template:
            self._inside.append("\n")
        size = len(self._text)
        while self._at < size:
            if len(self._tokens) > TOKENS_MAX:
                raise self._limit(f"The text has more than {TOKENS_MAX} words and signs.")
            inside = self._inside[-1] if self._inside else ""
            if inside == '"':
                self._quoted()
            elif inside.startswith("\n"):
                self._heredoc(inside[1:])
            else:
                self._normal()
        self._add("end", size)
        return self._tokens

    def _limit(self, detail: str) -> LimitError:
        return LimitError(Range(self._source, self._at, self._at + 1), detail)

    def _add(self, kind: str, end: int) -> None:
        self._tokens.append(Token(kind, self._text[self._at : end], self._at, end))
        self._at = end

    def _enter(self, what: str) -> None:
        if what in "[(":
            self._brackets += 1
        else:
            self._inside.append(what)
        if len(self._inside) + self._brackets > DEPTH_MAX:
            raise self._limit(f"Nested more than {DEPTH_MAX} deep.")

    def _normal(self) -> None:
        match = _NORMAL.match(self._text, self._at)
        if match is None:
            self._add("bad", self._at + 1)
            return
        kind, end = str(match.lastgroup), match.end()
        if kind == "space":
            self._at = end
        elif kind == "comment":
            self._comment(match[0], end)
        elif kind == "sign":
            self._sign(match[0], end)
        else:
            if kind == "oquote":
                self._enter('"')
            elif kind == "oheredoc":
                self._enter("\n" + match[0].strip("<-\r\n"))
            elif kind == "ident" and not match[0].isascii() and not _is_identifier(match[0]):
                kind, end = "bad", self._at + 1
            self._add(kind, end)

    def _comment(self, text: str, end: int) -> None:
        if text.endswith("\n"):
            self._add("newline", end)
        self._at = end

    def _sign(self, sign: str, end: int) -> None:
        if sign in "{[(":
            self._enter(sign)
        elif sign in "])":
            self._brackets = max(0, self._brackets - 1)
        elif sign in ("}", "~}"):
            is_end = sign == "~}" or (bool(self._inside) and self._inside[-1] == "${")
            if is_end:
                if self._inside and self._inside[-1] == "${":
                    self._inside.pop()
                self._add("seqend", end)
                return
            if self._inside:
                self._inside.pop()
        self._add(sign, end)

    def _quoted(self) -> None:
        character = self._text[self._at]
        if character == '"':
            self._inside.pop()
            self._add("cquote", self._at + 1)
        elif character == "\n" or self._text.startswith("\r\n", self._at):
            lines = _LINE_ENDS.match(self._text, self._at)
            assert lines is not None
            self._add("badline", lines.end())
        elif opening := _OPENING.match(self._text, self._at):
            self._enter("${")
            self._add(opening[0][:2], opening.end())
        elif literal := _QUOTED.match(self._text, self._at):
            end = literal.end() - (1 if literal[0].endswith("\r") and self._text[literal.end() :][:1] == "\n" else 0)
            self._add("lit", end)
        else:
            self._add("lit", self._at + 1)

    def _heredoc(self, marker: str) -> None:
        """A piece of a heredoc, or its end if `marker` stands alone on the line."""
        starts_line = not self._tokens or self._text[self._at - 1 : self._at] == "\n"
        if starts_line and marker:
            end = self._text.find("\n", self._at)
            line = self._text[self._at : max(end, self._at)]
            if line.strip(" \t\r") == marker:
                self._inside.pop()
                self._add("cheredoc", self._at + len(line.rstrip(" \t\r")))
                self._at += len(line) - len(line.rstrip(" \t")) if not line.endswith("\r") else 0
                return
        if opening := _OPENING.match(self._text, self._at):
            self._enter("${")
            self._add(opening[0][:2], opening.end())
            return
        literal = _LINE.match(self._text, self._at)
        assert literal is not None
        self._add("strlit", literal.end())


def _is_identifier(text: str) -> bool:
    return text.replace("-", "").isidentifier()
