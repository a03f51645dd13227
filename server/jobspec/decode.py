"""From a job's block to its JSON, by the schema's table (spec jobspec-hcl §11, §12)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from yurt.server.hcl.diagnostics import Diagnostic
from yurt.server.hcl.nodes import Attribute, Block, Body
from yurt.server.jobspec.attributes import argument_value
from yurt.server.jobspec.content import Placed, Shape, content
from yurt.server.jobspec.free_form import free_form
from yurt.server.jobspec.json_source import JsonBody
from yurt.server.jobspec.schema import BLOCK_TYPES, Argument, BlockType, Child
from yurt.server.jobspec.scope import Scope
from yurt.server.jobspec.special import AFTER, placement_value

_STRING = Argument("", "", "s", is_nullable=False, is_required=False, zero="")
_STRINGS = Argument("", "", "[s]", is_nullable=True, is_required=False, zero=None)
_MAP = Argument("", "", "{s}", is_nullable=True, is_required=False, zero=None)


def _shape(type_: BlockType) -> Shape:
    arguments = {name: one.is_required for name, one in type_.arguments.items()}
    arguments |= {name: False for name, child in type_.children.items() if child.how == "strings|"}
    blocks: dict[str, tuple[str, ...]] = {}
    for name, child in type_.children.items():
        below = BLOCK_TYPES.get(child.type)
        blocks[name] = (below.label_name,) if below is not None and below.label is not None else ()
    return Shape(arguments, blocks, is_dynamic=True)


SHAPES = {name: _shape(type_) for name, type_ in BLOCK_TYPES.items()}


def _template(type_: BlockType) -> dict[str, Any]:
    """The block with nothing set."""
    found: dict[str, Any] = {one.field: one.zero for one in type_.arguments.values()}
    found |= {child.field: None for child in type_.children.values()}
    if type_.label is not None:
        found[type_.label] = ""
    return found | type_.constants


_TEMPLATES = {name: _template(type_) for name, type_ in BLOCK_TYPES.items()}


class Decoder:
    """Decodes blocks; what is wrong in free-form bodies is kept apart, a list a body."""

    def __init__(self) -> None:
        self.free_errors: list[list[Diagnostic]] = []

    def block(self, type_name: str, placed: Placed) -> dict[str, Any]:
        """The JSON of a block; diagnostics go to its scope."""
        block, scope = placed.block, placed.scope
        type_ = BLOCK_TYPES[type_name]
        found = copy.copy(_TEMPLATES[type_name])
        attributes, blocks = content(block.body, SHAPES[type_name], scope)
        if type_.label is not None and block.labels:
            found[type_.label] = block.labels[0]
        value_of = placement_value if type_name in ("constraint", "affinity") else argument_value
        for name, attribute in attributes.items():
            argument = type_.arguments.get(name)
            if argument is not None:
                found[argument.field] = value_of(attribute.value, argument, scope)
        by_name: dict[str, list[Placed]] = {}
        for one in blocks:
            by_name.setdefault(one.block.kind, []).append(one)
        for name in dict.fromkeys([*by_name, *attributes]):
            child = type_.children.get(name)
            if child is not None:
                given, attribute_ = by_name.get(name, []), attributes.get(name)
                found[child.field] = self._child(child, given, attribute_, scope, in_job=type_name == "job")
        after = AFTER.get(type_name)
        if after is not None:
            after(found, block, scope)
        return found

    def _child(
        self, child: Child, given: list[Placed], attribute: Attribute | None, scope: Scope, *, in_job: bool
    ) -> Any:
        if child.how == "list":
            return [self.block(child.type, one) for one in given]
        if child.how == "map":
            return {one.block.labels[0]: self.block(child.type, one) for one in given}
        if attribute is not None:
            if given:
                _tell_twice(given[0].block, str(attribute.range), scope)
            return argument_value(attribute.value, _MAP, scope)
        first = given[0]
        for other in given[1:]:
            if child.how == "strings|":
                _tell_twice(other.block, str(first.block.header), scope)
            else:
                _tell_duplicate(first.block, other.block, scope, is_vault=in_job and child.type == "vault")
        if child.how in _BODIES:
            return _BODIES[child.how](self, first.block.body, first.scope)
        return self.block(child.type, first)

    def _free(self, body: Body, scope: Scope) -> dict[str, Any]:
        apart = scope.apart()
        found = free_form(body, apart)
        if apart.diagnostics:
            self.free_errors.append(apart.diagnostics)
        return found

    def _strings(self, body: Body, scope: Scope) -> dict[str, str]:
        return {name: argument_value(one.value, _STRING, scope) for name, one in _just_arguments(body, scope)}

    def _header(self, body: Body, scope: Scope) -> dict[str, list[str]]:
        return {name: argument_value(one.value, _STRINGS, scope) for name, one in _just_arguments(body, scope)}


_BODIES: dict[str, Callable[[Decoder, Body, Scope], Any]] = {
    "free": Decoder._free,
    "strings": Decoder._strings,
    "strings|": Decoder._strings,
    "header": Decoder._header,
}


def _just_arguments(body: Body, scope: Scope) -> list[tuple[str, Attribute]]:
    if isinstance(body, JsonBody):
        body = body.plain()
    for block in body.blocks:
        detail = "Blocks are not allowed here."
        scope.tell(block.kind_range, f'Unexpected "{block.kind}" block', detail)
    return list(body.attributes.items())


def _tell_twice(block: Block, earlier: str, scope: Scope) -> None:
    kind = block.kind
    detail = f"{kind} may not be defined more than once. Another definition is defined at {earlier}."
    scope.tell(block.header, f"Duplicate {kind} block", detail)


def _tell_duplicate(first: Block, other: Block, scope: Scope, *, is_vault: bool) -> None:
    kind = other.kind
    detail = f"Only one {kind} block is allowed. Another was defined at {first.header}."
    if is_vault:
        detail = f'Only one block of type "{kind}" is allowed. Previous definition was at {first.header}.'
    scope.tell(other.header, f"Duplicate {kind} block", detail)


def empty_block(type_name: str) -> dict[str, Any]:
    """A block of a type with nothing set."""
    return dict(_TEMPLATES[type_name])
