"""A body seen through a schema: its arguments and blocks, or diagnostics (spec jobspec-hcl §10, §16)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from yurt.server.hcl.diagnostics import suggestion
from yurt.server.hcl.nodes import Attribute, Block, Body
from yurt.server.jobspec.dynamic import expand
from yurt.server.jobspec.json_source import JsonBody
from yurt.server.jobspec.scope import Scope


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape of a body: its arguments (required or not), and its blocks with the names of their labels.

    `is_dynamic`: `dynamic` blocks may stand for them.
    """

    arguments: Mapping[str, bool]
    blocks: Mapping[str, tuple[str, ...]]
    is_dynamic: bool = False


@dataclass(frozen=True, slots=True)
class Placed:
    """A block and the scope of its body."""

    block: Block
    scope: Scope


def content(body: Body, shape: Shape, scope: Scope) -> tuple[dict[str, Attribute], list[Placed]]:
    """The arguments and blocks that fit the shape; the rest becomes diagnostics."""
    if isinstance(body, JsonBody):
        body = body.shaped(shape.arguments, shape.blocks, scope)
    for name, is_required in shape.arguments.items():
        if is_required and name not in body.attributes:
            detail = f'The argument "{name}" is required, but no definition was found.'
            scope.tell(body.missing, "Missing required argument", detail)
    given = expand(body.blocks, shape.blocks, scope) if shape.is_dynamic else ((one, scope) for one in body.blocks)
    placed = [
        Placed(block, inner)
        for block, inner in given
        if block.kind in shape.blocks and _has_labels(block, shape.blocks[block.kind], scope)
    ]
    _tell_unsupported(body, shape, scope)
    return {name: one for name, one in body.attributes.items() if name in shape.arguments}, placed


def _has_labels(block: Block, names: tuple[str, ...], scope: Scope) -> bool:
    if len(block.labels) > len(names):
        place = block.label_ranges[len(names)]
        detail = f"No labels are expected for {block.kind} blocks."
        if names:
            detail = f"Only {len(names)} labels ({', '.join(names)}) are expected for {block.kind} blocks."
        scope.tell(place, f"Extraneous label for {block.kind}", detail)
        return False
    if len(block.labels) < len(names):
        missing = names[len(block.labels)]
        detail = f"All {block.kind} blocks must have {len(names)} labels ({', '.join(names)})."
        scope.tell(block.open, f"Missing {missing} for {block.kind}", detail)
        return False
    return True


def _tell_unsupported(body: Body, shape: Shape, scope: Scope) -> None:
    for name, attribute in body.attributes.items():
        if name in shape.arguments:
            continue
        meant = suggestion(name, [one for one in shape.arguments if one not in body.attributes])
        hint = f' Did you mean "{meant}"?' if meant else ""
        if not meant and name in shape.blocks:
            hint = f' Did you mean to define a block of type "{name}"?'
        detail = f'An argument named "{name}" is not expected here.{hint}'
        scope.tell(attribute.name_range, "Unsupported argument", detail)
    for block in body.blocks:
        if block.kind in shape.blocks or (block.kind == "dynamic" and shape.is_dynamic and shape.blocks):
            continue
        meant = suggestion(block.kind, list(shape.blocks))
        hint = f' Did you mean "{meant}"?' if meant else ""
        if not meant and block.kind in shape.arguments:
            hint = f' Did you mean to define argument "{block.kind}"? If so, use the equals sign to assign it a value.'
        detail = f'Blocks of type "{block.kind}" are not expected here.{hint}'
        scope.tell(block.kind_range, "Unsupported block type", detail)
