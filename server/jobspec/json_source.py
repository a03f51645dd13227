"""HCL in JSON: properties are arguments and blocks, as the schema says (spec jobspec-hcl §17)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from yurt.server.hcl.bodies import parse_template
from yurt.server.hcl.diagnostics import HclError, Range, Source, suggestion
from yurt.server.hcl.nodes import Attribute, Block, Body, Literal, Node, ObjectCons, Paren, Template, TupleCons
from yurt.server.jobspec.json_scan import JsonObject, JsonValue, scan_json
from yurt.server.jobspec.scope import Scope

_TYPE = "Incorrect JSON value type"


class JsonBody(Body):
    """A body whose properties become arguments or blocks when its schema is known."""

    def __init__(self, objects: list[JsonObject], place: Range) -> None:
        super().__init__(place.at_start())
        self._objects = objects
        self.place = place

    def _properties(self) -> Iterator[tuple[str, Range, JsonValue]]:
        for one in self._objects:
            for name, place, value in one.members:
                if name != "//":
                    yield name, place, value

    def plain(self) -> Body:
        """The body with every property as an argument."""
        found = Body(self.missing)
        for name, place, value in self._properties():
            found.attributes[name] = Attribute(name, place, place.to(value.range), node_of(value, is_wrapped=False))
        return found

    def shaped(self, arguments: Iterable[str], blocks: Mapping[str, tuple[str, ...]], scope: Scope) -> Body:
        """The body with the properties as the schema has them; others become diagnostics."""
        found = Body(self.missing)
        known = [*arguments, *blocks]
        for name, place, value in self._properties():
            if name in arguments:
                found.attributes[name] = Attribute(name, place, place.to(value.range), node_of(value))
            elif name in blocks:
                found.blocks += _blocks(name, value, blocks[name], [], scope)
            else:
                meant = suggestion(name, known)
                hint = f' Did you mean "{meant}"?' if meant else ""
                detail = f'No argument or block type is named "{name}".{hint}'
                scope.tell(place, "Extraneous JSON object property", detail)
        return found


def _blocks(kind: str, value: JsonValue, names: tuple[str, ...], labels: list[str], scope: Scope) -> Iterator[Block]:
    if len(labels) < len(names):
        yield from _labelled(kind, value, names, labels, scope)
        return
    objects = value.items if value.kind == "array" else [value]
    for one in objects:
        if one.kind == "null":
            continue
        if one.object is None:
            detail = f'Either a JSON object or a JSON array is required, representing the contents of one or more "{kind}" blocks.'  # fmt: skip  # noqa: E501
            scope.tell(one.start, _TYPE, detail)
            continue
        opening = one.start
        yield Block(kind, opening, labels, [opening] * len(labels), opening, JsonBody([one.object], opening))


def _labelled(kind: str, value: JsonValue, names: tuple[str, ...], labels: list[str], scope: Scope) -> Iterator[Block]:
    name = names[len(labels)]
    objects = value.items if value.kind == "array" else [value]
    count = 0
    for one in objects:
        if one.object is None:
            detail = f"Either a JSON object or JSON array of objects is required here, to specify {name} labels for this block."  # fmt: skip  # noqa: E501
            scope.tell(one.start, _TYPE, detail)
            continue
        for label, _, inner in one.object.members:
            if label != "//":
                count += 1
                yield from _blocks(kind, inner, names, [*labels, label], scope)
    if not count:
        detail = f"At least one object property is required, whose name represents the {kind} block's {name}."
        scope.tell(value.start, "Missing block label", detail)


def node_of(value: JsonValue, *, is_wrapped: bool = True) -> Node:
    """The expression of a value: strings are templates. Not `is_wrapped`: an object is not taken for a block."""
    place, start = value.range, value.start
    if value.kind == "string":
        return _string(str(value.plain), place)
    if value.object is not None:
        members = [(_string(name, at), node_of(inner)) for name, at, inner in value.object.members]
        found = ObjectCons(place, start, members)
        return found if is_wrapped else Paren(place, start, found)
    if value.kind == "array":
        return TupleCons(place, start, [node_of(one) for one in value.items])
    return Literal(place, place, value.plain)


def _string(text: str, place: Range) -> Node:
    if "{" not in text:
        return Template(place, place, [Literal(place, place, text)])
    node = parse_template(Source(text, place.source.file))
    node.range = node.start = place
    return node


def parse_json(source: Source) -> JsonBody:
    """The body of a JSON source; raises `HclError`."""
    value = scan_json(source)
    if value.object is None:
        from yurt.server.hcl.diagnostics import Diagnostic

        detail = "The root of a JSON document must be an object."
        raise HclError([Diagnostic(value.start, "Root value must be object", detail)])
    return JsonBody([value.object], value.start)
