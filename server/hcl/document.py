"""HCL as data: attributes and blocks of constants, as the agent's configuration is written.

A block is a dictionary under its name; labels nest (`plugin "raw_exec" { … }` is {"plugin": {"raw_exec": {…}}}); a
block that is repeated without a label merges, later members win. Expressions other than constants are refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from yurt.server.hcl.bodies import LenientParser, parse
from yurt.server.hcl.diagnostics import Diagnostic, HclError, Range, Source
from yurt.server.hcl.nodes import Body, Literal, Node, ObjectCons, Template, TupleCons, Unary


def load_document(text: str, file: str) -> dict[str, Any]:
    """The document's attributes and blocks; raises `HclError` with the place."""
    return _members(parse(Source(text, file), LenientParser))


def _members(body: Body) -> dict[str, Any]:
    found = {name: _constant(attribute.value) for name, attribute in body.attributes.items()}
    for block in body.blocks:
        _merge(found, [block.kind, *block.labels], _members(block.body))
    return found


def _texts(parts: Iterable[Node]) -> list[str]:
    """Return the parts of a template that are plain text."""
    return [one.value for one in parts if isinstance(one, Literal) and isinstance(one.value, str)]


def _constant(node: Node) -> Any:
    match node:
        case Literal(value=value):
            return _number(value) if isinstance(value, Decimal) else value
        case Template(parts=parts) if len(texts := _texts(parts)) == len(parts):
            return "".join(texts)
        case Unary(operator="-", operand=Literal(value=Decimal() as value)):
            return _number(-value)
        case TupleCons(items=items):
            return [_constant(one) for one in items]
        case ObjectCons(items=members):
            return {_key(key): _constant(value) for key, value in members}
    raise _refused(node.range)


def _key(node: Node) -> str:
    found = _constant(node)
    if not isinstance(found, str | int | float) or isinstance(found, bool):
        raise _refused(node.range)
    return str(found)


def _refused(place: Range) -> HclError:
    return HclError([Diagnostic(place, "Constant required", "Only constants may be used here.")])


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() and abs(value) < 2**63 else float(value)


def _merge(into: dict[str, Any], path: list[str], body: dict[str, Any]) -> None:
    for step in path[:-1]:
        below = into.setdefault(step, {})
        if not isinstance(below, dict):
            below = into[step] = {}
        into = below
    old = into.get(path[-1])
    into[path[-1]] = {**old, **body} if isinstance(old, dict) else body
