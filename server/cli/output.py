"""How the command line writes: aligned tables, times, colour on a terminal only."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn

import click
import orjson

SHORT_ID = 8


def fail(text: str, code: int = 1) -> NoReturn:
    """Write one error to stderr and end the command."""
    click.echo(paint(text, "red", stream=sys.stderr), err=True)
    raise SystemExit(code)


def paint(text: str, colour: str, *, stream: Any = None, bold: bool = False) -> str:
    """`text` in a colour if the stream is a terminal and nobody asked for plain text."""
    target = stream or sys.stdout
    if os.environ.get("NO_COLOR") or os.environ.get("NOMAD_CLI_NO_COLOR") or not target.isatty():
        return text
    return click.style(text, fg=colour, bold=bold)


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Columns two spaces apart, as wide as their widest cell."""
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells)


def pairs(rows: Sequence[tuple[str, Any]]) -> str:
    """`key = value` lines with the equal signs below each other."""
    width = max(len(key) for key, _ in rows)
    return "\n".join(f"{key.ljust(width)} = {value}" for key, value in rows)


def missing_keys(servers: Sequence[dict[str, Any]], name: str) -> str:
    """A paragraph that says which servers lack which root keys; empty if none does. `name`: the member of the name."""
    rows = [(server[name], ", ".join(server["MissingKeys"])) for server in servers if server.get("MissingKeys")]
    return f"\n{table(('Server', 'Missing Root Keys'), rows)}" if rows else ""


def date(unix_nanoseconds: int) -> str:
    """A local time to the second, `<none>` for zero."""
    if not unix_nanoseconds:
        return "<none>"
    return datetime.fromtimestamp(unix_nanoseconds / 1e9).astimezone().isoformat(timespec="seconds")


def ago(unix_nanoseconds: int) -> str:
    """How long ago: `3m12s ago`."""
    return span(max(0.0, time.time() - unix_nanoseconds / 1e9)) + " ago"


def span(length_seconds: float) -> str:
    """A time span in its two largest units: `3m12s`."""
    seconds = int(length_seconds)
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        if seconds >= size or (unit == "s" and not parts):
            parts.append(f"{seconds // size}{unit}")
            seconds %= size
    return "".join(parts[:2])


def short(identifier: str, verbose: bool = False) -> str:
    """The first eight characters of a UUID, or all of it."""
    return identifier if verbose else identifier[:SHORT_ID]


def print_json(value: Any) -> None:
    """Indented JSON on standard output."""
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def now_text() -> str:
    """The present, as monitors print it."""
    return datetime.now(UTC).astimezone().isoformat(timespec="seconds")
