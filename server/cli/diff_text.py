"""A structured diff as text: `+` added, `-` deleted, `+/-` edited, in colour on a terminal (spec job-model §7).

Siblings leave room for the widest marker of theirs or above them, so that names stand below each other:

    +/- Job: "web"
    +/- Task Group: "main" (1 create, 2 in-place update)
      +/- Count: "2" => "3" (forces create)
          Task: "nginx"
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from yurt.server.cli.output import paint

Diff = dict[str, Any]
_MARKERS = {"Added": "+ ", "Deleted": "- ", "Edited": "+/- ", "None": ""}
_COLOURS = {"Added": "green", "Deleted": "red", "Edited": "bright_yellow"}
_EFFECTS = {"create": "green", "destroy": "red", "ignore": "", "create/destroy update": "bright_yellow"}


def job_diff(diff: Diff, *, verbose: bool = False) -> str:
    """The text of a job's diff. A whole job, group or task that is added or deleted shows its members if verbose."""
    groups, shown = diff["TaskGroups"] or [], _is_shown(diff, verbose)
    width = _width([diff, *(_members(diff) if shown else []), *groups])
    lines = [_head(diff, f"Job: {quoted(diff['ID'])}", 0, width)]
    if shown:
        lines.extend(_body(diff, 0, width))
    for group in groups:
        lines.extend(_group(group, width, verbose))
    return "\n".join(lines)


def printable(text: str) -> str:
    """`text` without anything that a terminal would obey."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def quoted(text: str) -> str:
    """`text` in double quotes, on one line."""
    return printable(orjson.dumps(text).decode())


def _is_shown(diff: Diff, verbose: bool) -> bool:
    return verbose or diff["Type"] == "Edited"


def _group(group: Diff, width: int, verbose: bool) -> Iterator[str]:
    title = f"Task Group: {quoted(group['Name'])}"
    counts = [_effect(f"{number} {what}", what) for what, number in sorted((group["Updates"] or {}).items())]
    yield _head(group, title + _in_brackets(counts), 0, width)
    tasks = group["Tasks"] or []
    shown = _is_shown(group, verbose)
    inner = _width([*(_members(group) if shown else []), *tasks])
    if shown:
        yield from _body(group, 2, inner)
    for task in tasks:
        yield _head(task, f"Task: {quoted(task['Name'])}" + _annotations(task), 2, inner)
        if _is_shown(task, verbose):
            yield from _body(task, 4, max(inner, _width(_members(task))))


def _members(diff: Diff) -> list[Diff]:
    return [*(diff["Fields"] or ()), *(diff["Objects"] or ())]


def _width(siblings: Iterable[Diff]) -> int:
    return max((len(_MARKERS[one["Type"]]) for one in siblings), default=0)


def _head(diff: Diff, text: str, indent: int, width: int) -> str:
    marker = _MARKERS[diff["Type"]].ljust(width)
    return " " * indent + (paint(marker, _COLOURS[diff["Type"]]) if marker.strip() else marker) + text


def _body(diff: Diff, indent: int, width: int) -> Iterator[str]:
    """Fields with their values below each other, then blocks in braces."""
    fields, objects = diff["Fields"] or (), diff["Objects"] or ()
    longest = max((len(printable(one["Name"])) for one in fields), default=0)
    for one in fields:
        name = f"{printable(one['Name'])}:".ljust(longest + 2)
        yield _head(one, name + _value(one) + _annotations(one), indent, width)
    for one in objects:
        yield _head(one, f"{printable(one['Name'])} {{", indent, width)
        yield from _body(one, indent + 2, max(width, _width(_members(one))))
        yield " " * (indent + width) + "}"


def _value(field: Diff) -> str:
    if field["Type"] == "Edited":
        return f"{quoted(field['Old'])} => {quoted(field['New'])}"
    return quoted(field["Old"] if field["Type"] == "Deleted" else field["New"])


def _annotations(diff: Diff) -> str:
    return _in_brackets([_effect(text, text.removeprefix("forces ")) for text in diff["Annotations"] or ()])


def _effect(text: str, effect: str) -> str:
    colour = _EFFECTS.get(effect, "cyan")
    return paint(printable(text), colour) if colour else printable(text)


def _in_brackets(texts: list[str]) -> str:
    return f" ({', '.join(texts)})" if texts else ""
