"""JSON for people: indented by four spaces."""

from __future__ import annotations

import msgspec


def indented(body: bytes, level: int = 0) -> bytes:
    """A JSON text with a line for each value, the lines but the first moved in by some levels.

    It is made in C: the loop stands still for some 5 µs a KB.
    """
    text = msgspec.json.format(body, indent=4)
    return text.replace(b"\n", b"\n" + b"    " * level) if level else text
