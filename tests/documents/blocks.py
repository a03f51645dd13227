"""The code blocks of README.md and docs/, in order."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.wheel import ROOT

_BLOCK = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block: its document below the root, its language, its 1-based line, and its text."""

    document: str
    language: str
    line: int
    text: str

    @property
    def place(self) -> str:
        """`docs/acl.md:6`, as errors name it."""
        return f"{self.document}:{self.line}"


def documents() -> list[str]:
    """Return the documents that readers follow, README first."""
    return ["README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))]


def blocks_of(document: str, *languages: str) -> list[Block]:
    """Return the document's blocks in the given languages."""
    text = (ROOT / document).read_text()
    return [
        Block(document, match[1], text.count("\n", 0, match.start()) + 1, match[2])
        for match in _BLOCK.finditer(text)
        if match[1] in languages
    ]
