"""The names that an expression mentions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from yurt.server.hcl.nodes import Node, Traversal


def traversals(root: Node) -> Iterator[Traversal]:
    """All names with their steps, in the order they are written."""
    waiting: list[Any] = [root]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Traversal):
            yield one
        elif isinstance(one, list) or type(one) is tuple:
            waiting.extend(reversed(one))
        elif isinstance(one, Node):
            waiting.extend(getattr(one, name) for name in _parts(type(one)))


def _parts(kind: type[Node]) -> tuple[str, ...]:
    """The fields of a node that can hold nodes, the last first."""
    found = _known.get(kind)
    if found is None:
        found = tuple(one.name for one in reversed(fields(kind)) if "Node" in str(one.type))
        _known[kind] = found
    return found


_known: dict[type[Node], tuple[str, ...]] = {}
