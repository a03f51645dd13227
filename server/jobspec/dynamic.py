"""`dynamic` blocks: one block for every element of a collection (spec jobspec-hcl §10)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from yurt.server.hcl.nodes import Attribute, Block, Traversal, TupleCons
from yurt.server.jobspec.convert import ConversionError, convert
from yurt.server.jobspec.evaluate import evaluate
from yurt.server.jobspec.loops import elements
from yurt.server.jobspec.scope import Scope
from yurt.server.jobspec.values import STRING, Value, object_of

_ARGUMENTS = ("for_each", "iterator", "labels")


def expand(blocks: list[Block], known: Mapping[str, tuple[str, ...]], scope: Scope) -> Iterator[tuple[Block, Scope]]:
    """The blocks in order, each with its scope; a dynamic block gives way to those it makes."""
    for block in blocks:
        if block.kind == "dynamic" and known:
            yield from _generated(block, known, scope)
        else:
            yield block, scope


def _generated(block: Block, known: Mapping[str, tuple[str, ...]], scope: Scope) -> Iterator[tuple[Block, Scope]]:
    if len(block.labels) != 1:
        detail = "All dynamic blocks must have 1 labels (type)."
        place = block.label_ranges[1] if block.labels else block.open
        scope.tell(place, "Missing type for dynamic" if not block.labels else "Extraneous label for dynamic", detail)
        return
    kind = block.labels[0]
    if kind not in known:
        detail = f'Blocks of type "{kind}" are not expected here.'
        scope.tell(block.label_ranges[0], "Unsupported block type", detail)
        return
    inner = _content_of(block, scope, needs_labels=bool(known[kind]))
    if inner is None:
        return
    over = evaluate(block.body.attributes["for_each"].value, scope)
    place = block.body.attributes["for_each"].value.range
    if over.is_null or (over.is_known and not isinstance(over.raw, list | dict)):
        detail = "Cannot use a null value in for_each."
        if not over.is_null:
            detail = f"Cannot use a {over.type.name} value in for_each. An iterable collection is required."
        scope.tell(place, "Invalid dynamic for_each value", detail)
        return
    name = _iterator_name(block.body.attributes.get("iterator"), kind, scope)
    if not over.is_known or name is None:
        return
    scope.shared.budget.step(place, len(over.raw))
    labels = block.body.attributes.get("labels")
    for key, value in elements(over):
        scope.shared.budget.block(place)
        below = scope.inside({name: object_of({"key": key, "value": value})})
        found = _labels(labels, kind, len(known[kind]), below)
        if found is not None:
            ranges = [labels.value.range] * len(found) if labels is not None else []
            yield Block(kind, block.label_ranges[0], found, ranges, inner.open, inner.body), below


def _content_of(block: Block, scope: Scope, *, needs_labels: bool) -> Block | None:
    """The `content` block, if everything that a dynamic block needs is there."""
    body = block.body
    before = len(scope.diagnostics)
    for name in ("for_each", "labels") if needs_labels else ("for_each",):
        if name not in body.attributes:
            detail = f'The argument "{name}" is required, but no definition was found.'
            scope.tell(body.missing, "Missing required argument", detail)
    for name, attribute in body.attributes.items():
        if name not in _ARGUMENTS or (name == "labels" and not needs_labels):
            detail = f'An argument named "{name}" is not expected here.'
            scope.tell(attribute.name_range, "Unsupported argument", detail)
    contents = [one for one in body.blocks if one.kind == "content"]
    for one in body.blocks:
        if one.kind != "content":
            detail = f'Blocks of type "{one.kind}" are not expected here.'
            scope.tell(one.kind_range, "Unsupported block type", detail)
    if len(scope.diagnostics) > before:
        return None
    if not contents:
        detail = (
            'A dynamic block must have a nested block of type "content" to describe the body of each generated block.'
        )
        scope.tell(body.missing, "Missing dynamic content block", detail)
        return None
    if len(contents) > 1:
        detail = "Only one nested content block is allowed for each dynamic block."
        scope.tell(contents[1].header, "Extraneous dynamic content block", detail)
        return None
    return contents[0]


def _iterator_name(attribute: Attribute | None, kind: str, scope: Scope) -> str | None:
    if attribute is None:
        return kind
    value = attribute.value
    if isinstance(value, Traversal) and not value.steps:
        return value.root
    detail = "Dynamic iterator must be a single variable name."
    scope.tell(value.range, "Invalid dynamic iterator name", detail)
    return None


def _labels(attribute: Attribute | None, kind: str, count: int, scope: Scope) -> list[str] | None:
    if attribute is None:
        return []
    node = attribute.value
    items = node.items if isinstance(node, TupleCons) else [node]
    if len(items) != count:
        word = "Extraneous" if len(items) > count else "Insufficient"
        place = items[count].range if len(items) > count else node.range
        detail = f'Blocks of type "{kind}" require {count} label(s).'
        scope.tell(place, f"{word} dynamic block labels", detail)
        return None
    found: list[str] = []
    for item in items:
        label = _label(evaluate(item, scope))
        if isinstance(label, str):
            found.append(label)
        else:
            if label is not None:
                scope.tell(item.range, "Invalid dynamic block label", str(label))
            return None
    return found


def _label(value: Value) -> str | ConversionError | None:
    if not value.is_known:
        return None
    if value.raw is None:
        return ConversionError("Cannot use a null value as a dynamic block label.")
    try:
        found: str = convert(value, STRING).raw
    except ConversionError as error:
        return ConversionError(f"Cannot use this value as a dynamic block label: {error}.")
    return found
