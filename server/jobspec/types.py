"""Type expressions: `string`, `list(number)`, `object({ a = bool })` (spec jobspec-hcl §8)."""

from __future__ import annotations

from yurt.server.hcl import nodes
from yurt.server.jobspec.scope import Scope
from yurt.server.jobspec.values import BOOL, NUMBER, STRING, Type

_PRIMITIVES = {"string": STRING, "number": NUMBER, "bool": BOOL}
_COLLECTIONS = ("list", "set", "map")
_SUMMARY = "Invalid type specification"
_EXPECTED = "A type specification is either a primitive type keyword (bool, number, string) or a complex type constructor call, like list(string)."  # fmt: skip  # noqa: E501
_ANY = 'The keyword "any" cannot be used in this type specification: an exact type is required.'


def type_of(node: nodes.Node, scope: Scope) -> Type | None:
    """The type that an expression spells; None after a diagnostic."""
    if isinstance(node, nodes.Traversal) and not node.steps:
        return _keyword(node, scope)
    if isinstance(node, nodes.Call):
        return _constructor(node, scope)
    scope.tell(node.range, _SUMMARY, _EXPECTED)
    return None


def _keyword(node: nodes.Traversal, scope: Scope) -> Type | None:
    word = node.root
    if word in _PRIMITIVES:
        return _PRIMITIVES[word]
    if word == "any":
        detail = _ANY
    elif word in _COLLECTIONS:
        detail = f"The {word} type constructor requires one argument specifying the element type."
    elif word == "object":
        detail = "The object type constructor requires one argument specifying the attribute types and values as a map."
    elif word == "tuple":
        detail = "The tuple type constructor requires one argument specifying the element types as a list."
    else:
        detail = f'The keyword "{word}" is not a valid type specification.'
    scope.tell(node.range, _SUMMARY, detail)
    return None


def _constructor(node: nodes.Call, scope: Scope) -> Type | None:
    name = node.name
    if name in _PRIMITIVES:
        scope.tell(node.start, _SUMMARY, f'Primitive type keyword "{name}" does not expect arguments.')
        return None
    if name == "any":
        scope.tell(node.start, _SUMMARY, 'Type constraint keyword "any" does not expect arguments.')
        return None
    if name == "optional":
        detail = "Optional attribute modifier is only for type constraints, not for exact types."
        scope.tell(node.name_range, _SUMMARY, detail)
        return None
    if name not in (*_COLLECTIONS, "object", "tuple"):
        scope.tell(node.name_range, _SUMMARY, f'Keyword "{name}" is not a valid type constructor.')
        return None
    if len(node.arguments) != 1:
        return _keyword(nodes.Traversal(node.range, node.range, name, node.name_range, []), scope)
    inner = node.arguments[0]
    if name in _COLLECTIONS:
        element = type_of(inner, scope)
        return None if element is None else Type(name, element)
    return _object(inner, scope) if name == "object" else _tuple(inner, scope)


def _object(node: nodes.Node, scope: Scope) -> Type | None:
    if not isinstance(node, nodes.ObjectCons):
        detail = "Object type constructor requires a map whose keys are attribute names and whose values are the corresponding attribute types."  # fmt: skip  # noqa: E501
        scope.tell(node.range, _SUMMARY, detail)
        return None
    members: dict[str, Type] = {}
    is_sound = True
    for key, value in node.items:
        if not isinstance(key, nodes.Literal) or not isinstance(key.value, str):
            detail = "Object constructor map keys must be attribute names."
            scope.tell(key.range, _SUMMARY, detail)
            is_sound = False
            continue
        found = type_of(value, scope)
        if found is None:
            is_sound = False
        else:
            members[key.value] = found
    return Type("object", None, {name: members[name] for name in sorted(members)}) if is_sound else None


def _tuple(node: nodes.Node, scope: Scope) -> Type | None:
    if not isinstance(node, nodes.TupleCons):
        scope.tell(node.range, _SUMMARY, "Tuple type constructor requires a list of element types.")
        return None
    found = [type_of(one, scope) for one in node.items]
    return None if None in found else Type("tuple", None, found)
