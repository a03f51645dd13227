"""Bodies that no schema knows: `config`, `policy` (spec jobspec-hcl §12)."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from yurt.server.hcl.nodes import Block, Body, Node, ObjectCons
from yurt.server.jobspec.evaluate import evaluate
from yurt.server.jobspec.json_source import JsonBody
from yurt.server.jobspec.scope import Scope
from yurt.server.jobspec.values import Value, plain_number


def free_form(body: Body, scope: Scope) -> dict[str, Any]:
    """The body as JSON: nested blocks become lists of objects, and so does an object that is written out."""
    if isinstance(body, JsonBody):
        body = body.plain()
    found: dict[str, Any] = {}
    for name, attribute in body.attributes.items():
        node = attribute.value
        value = _value(node, scope)
        if value is not None:
            found[name] = [value] if isinstance(node, ObjectCons) else value
    for block in body.blocks:
        inner = _labelled(block, free_form(block.body, scope))
        earlier = found.get(block.kind)
        if isinstance(earlier, list) and block.kind not in body.attributes:
            earlier.append(inner)
        else:
            found[block.kind] = [inner]
    return found


def _labelled(block: Block, inner: dict[str, Any]) -> dict[str, Any]:
    for label in reversed(block.labels):
        inner = {label: [inner]}
    return inner


def _value(node: Node, scope: Scope) -> Any:
    value = evaluate(node, scope)
    if not value.is_known:
        scope.tell(node.start, "Unsuitable value type", "Unsuitable value: value must be known")
        return None
    try:
        return plain(value, scope)
    except OverflowError:
        scope.tell(node.start, "Unsuitable value type", "Unsuitable value: a finite number is required")
        return None


def plain(value: Value, scope: Scope) -> Any:
    """The value as JSON; raises OverflowError for a number that JSON cannot have."""
    scope.shared.budget.step(None)
    raw = value.raw
    if isinstance(raw, Decimal):
        number = plain_number(raw)
        if not math.isfinite(number):
            raise OverflowError
        return number
    if isinstance(raw, list):
        return [plain(one, scope) for one in raw]
    if isinstance(raw, dict):
        return {name: plain(one, scope) for name, one in raw.items()}
    return raw
