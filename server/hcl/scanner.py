"""From HCL text to tokens, each with its place."""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass

from yurt.fsm.errors import YurtError

SOURCE_BYTES_MAX = 1 << 20


class HclError(YurtError):
    """The text is no HCL that can be used here; the message has file, line and column, and the line itself."""


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of text: `name`, `number`, `string` (its value), `newline`, `end`, or a sign."""

    kind: str
    text: str
    line: int
    column: int


_TOKEN = re.compile(
    r"""(?P<space>[ \t\r]+)
      | (?P<comment>\#[^\n]*|//[^\n]*|/\*.*?\*/)
      | (?P<newline>\n)
      | (?P<heredoc><<-?[A-Za-z_][A-Za-z0-9_]*[ \t\r]*\n)
      | (?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
      | (?P<name>[A-Za-z_][A-Za-z0-9_-]*)
      | (?P<string>")
      | (?P<sign>[{}\[\](),=:.])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


class Scanner:
    """Cuts one source into tokens."""

    def __init__(self, source: str, file: str) -> None:
        self._source, self._file, self._at = source, file, 0
        if len(source) > SOURCE_BYTES_MAX:
            raise HclError(f"{file}: larger than {SOURCE_BYTES_MAX} bytes")
        self._starts = [0, *(match.end() for match in re.finditer("\n", source))]

    def place(self, at: int) -> tuple[int, int]:
        """Line and column of an offset, both from 1."""
        line = bisect.bisect_right(self._starts, at)
        return line, at - self._starts[line - 1] + 1

    def error(self, line: int, column: int, message: str) -> HclError:
        """An error at a place, with the line it is about."""
        text = self._source.split("\n")[line - 1].rstrip()
        return HclError(f"{self._file}:{line},{column}: {message}\n\n  {line}: {text}")

    def tokens(self) -> list[Token]:
        """All tokens, with an `end`; raises `HclError`."""
        found: list[Token] = []
        while self._at < len(self._source):
            line, column = self.place(self._at)
            match = _TOKEN.match(self._source, self._at)
            if match is None:
                raise self.error(line, column, f"Invalid character {self._source[self._at]!r}")
            self._at = match.end()
            kind = str(match.lastgroup)
            if kind in ("space", "comment"):
                continue
            text = match[0]
            if kind == "string":
                text = self._string(line, column)
            elif kind == "heredoc":
                kind, text = "string", self._heredoc(text, line, column)
            found.append(Token(text if kind == "sign" else kind, text, line, column))
        line, column = self.place(len(self._source))
        return [*found, Token("end", "", line, column)]

    def _string(self, line: int, column: int) -> str:
        parts: list[str] = []
        while self._at < len(self._source):
            character = self._source[self._at]
            if character == '"':
                self._at += 1
                return "".join(parts)
            if character == "\n":
                break
            if self._source.startswith("${", self._at) and not self._source.startswith("$${", self._at - 1):
                raise self.error(*self.place(self._at), "Interpolation is not available here")
            if character == "\\":
                parts.append(self._escape())
                continue
            parts.append(character)
            self._at += 1
        raise self.error(line, column, "Unterminated string literal")

    def _escape(self) -> str:
        follow = self._source[self._at + 1 : self._at + 2]
        if follow in _ESCAPES:
            self._at += 2
            return _ESCAPES[follow]
        digits = {"u": 4, "U": 8}.get(follow, 0)
        code = self._source[self._at + 2 : self._at + 2 + digits]
        if digits and re.fullmatch(f"[0-9a-fA-F]{{{digits}}}", code) and int(code, 16) < 0x110000:
            self._at += 2 + digits
            return chr(int(code, 16))
        raise self.error(*self.place(self._at), "Invalid escape sequence")

    def _heredoc(self, opening: str, line: int, column: int) -> str:
        word = opening.strip("<- \t\r\n")
        end = re.compile(rf"^[ \t]*{re.escape(word)}[ \t\r]*$", re.MULTILINE).search(self._source, self._at)
        if end is None:
            raise self.error(line, column, "Unterminated heredoc")
        body = self._source[self._at : end.start()]
        self._at = end.end()
        if opening.startswith("<<-"):
            lines = body.split("\n")
            indents = [len(one) - len(one.lstrip()) for one in lines if one.strip()]
            body = "\n".join(one[min(indents, default=0) :] for one in lines)
        return body
