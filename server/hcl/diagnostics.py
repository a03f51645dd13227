"""Diagnostics: errors in a source and their places, `file:2,3-9: Summary; Detail` (spec jobspec-hcl §16)."""

from __future__ import annotations

import bisect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from yurt.fsm.errors import YurtError
from yurt.server.hcl.graphemes import count_clusters


class Source:
    """A text with the name it has in diagnostics."""

    __slots__ = ("_starts", "file", "text")

    def __init__(self, text: str, file: str) -> None:
        self.text, self.file = text, file
        self._starts: list[int] = []

    def place(self, at: int) -> tuple[int, int]:
        """Line and column of an offset, both from 1; columns count grapheme clusters."""
        if not self._starts:
            self._starts = [0, *(match.end() for match in re.finditer("\n", self.text))]
        line = bisect.bisect_right(self._starts, at)
        return line, count_clusters(self.text[self._starts[line - 1] : at]) + 1

    def line(self, number: int) -> str:
        """A line's text, without its end."""
        return self.text.split("\n")[number - 1].rstrip()


class Range(NamedTuple):
    """A stretch of a source: offsets in code points, the end is exclusive."""

    source: Source
    start: int
    end: int

    def __str__(self) -> str:
        line, column = self.source.place(self.start)
        end_line, end_column = self.source.place(self.end)
        tail = f"{end_column}" if line == end_line else f"{end_line},{end_column}"
        return f"{self.source.file}:{line},{column}-{tail}"

    @property
    def text(self) -> str:
        """The stretch itself."""
        return self.source.text[self.start : self.end]

    def to(self, end: Range) -> Range:
        """From here to the end of another range."""
        return Range(self.source, self.start, end.end)

    def at_start(self) -> Range:
        """The empty range at the beginning."""
        return Range(self.source, self.start, self.start)


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem. `place` is a range, a text that stands for one, or None where no place is known."""

    place: Range | str | None
    summary: str
    detail: str
    is_warning: bool = False

    def __str__(self) -> str:
        return f"{'<nil>' if self.place is None else self.place}: {self.summary}; {self.detail}"


class HclError(YurtError):
    """The text is no HCL that can be used here: at least one diagnostic.

    `whole` prints all, one a line; else the first and how many more there are.
    """

    def __init__(self, diagnostics: Sequence[Diagnostic], *, whole: bool = False) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__(self._lines() if whole else self._first())

    def _lines(self) -> str:
        return "\n".join(str(one) for one in self.diagnostics)

    def _first(self) -> str:
        rest = len(self.diagnostics) - 1
        return str(self.diagnostics[0]) + (f", and {rest} other diagnostic(s)" if rest else "")

    def with_line(self) -> str:
        """The first diagnostic with the line it is about, for people who edit a file."""
        place = self.diagnostics[0].place
        if not isinstance(place, Range):
            return str(self)
        line = place.source.place(place.start)[0]
        return f"{self}\n\n  {line}: {place.source.line(line)}"


class LimitError(HclError):
    """The text asks for more than is allowed: size, depth, elements or work."""

    def __init__(self, place: Range | None, detail: str) -> None:
        super().__init__([Diagnostic(place, "Limit exceeded", detail)], whole=True)


def suggestion(given: str, candidates: Sequence[str]) -> str:
    """The first candidate in alphabetical order fewer than three edits away; empty if there is none."""
    return next((one for one in sorted(candidates) if _distance(given, one) < 3), "")


def _distance(left: str, right: str) -> int:
    if abs(len(left) - len(right)) > 2:
        return 3
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(right, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]
