"""The value of an expression (spec jobspec-hcl §4, §5); errors become diagnostics and an unknown value."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from yurt.server.hcl import nodes
from yurt.server.hcl.diagnostics import Range
from yurt.server.jobspec.calls import call
from yurt.server.jobspec.convert import ConversionError, convert, unify
from yurt.server.jobspec.loops import loop
from yurt.server.jobspec.operators import binary, unary
from yurt.server.jobspec.scope import Scope
from yurt.server.jobspec.steps import index, runtime_name, step
from yurt.server.jobspec.values import BOOL, NUMBERS, STRING, UNKNOWN, Value, object_of, primitive, tuple_of

_TEMPLATE = "Invalid template interpolation value"


def evaluate(node: nodes.Node, scope: Scope) -> Value:
    """The value of a node."""
    scope.shared.budget.step(node.range)
    return _EVALUATE[type(node)](node, scope)


def _literal(node: nodes.Literal, _scope: Scope) -> Value:
    value = node.value
    return primitive(NUMBERS.plus(value) if isinstance(value, Decimal) else value)


def _inner(node: nodes.Wrap | nodes.Paren, scope: Scope) -> Value:
    return evaluate(node.inner, scope)


def _traversal(node: nodes.Traversal, scope: Scope) -> Value:
    value = scope.names.get(node.root)
    if value is None:
        if not scope.has_names:
            scope.tell(node.range, "Variables not allowed", "Variables may not be used here.")
            return UNKNOWN
        if scope.is_runtime:
            text = runtime_name(node.range)
            scope.shared.budget.characters(node.range, len(text))
            return Value(STRING, text)
        scope.tell(node.root_range, "Unknown variable", f'There is no variable named "{node.root}".')
        return UNKNOWN
    return _steps(value, node.steps, scope)


def _steps(value: Value, steps: list[nodes.Step], scope: Scope) -> Value:
    for one in steps:
        value = step(value, one, scope)
        if value is UNKNOWN:
            return UNKNOWN
    return value


def _relative(node: nodes.Relative, scope: Scope) -> Value:
    return _steps(evaluate(node.source, scope), node.steps, scope)


def _index(node: nodes.Index, scope: Scope) -> Value:
    collection, key = evaluate(node.collection, scope), evaluate(node.key, scope)
    return index(collection, key, node.start.to(node.range), scope)


def _splat(node: nodes.Splat, scope: Scope) -> Value:
    source = evaluate(node.source, scope)
    if source is UNKNOWN:
        return UNKNOWN
    if source.is_null:
        return tuple_of([])
    items = source.raw if isinstance(source.raw, list) else [source]
    found = []
    for value in items:
        for one in node.path:
            scope.shared.budget.step(node.range)
            if isinstance(one, nodes.Step):
                value = step(value, one, scope)
            else:
                value = index(value, evaluate(one, scope), node.range, scope)
        found.append(value)
    return tuple_of(found)


def _conditional(node: nodes.Conditional, scope: Scope) -> Value:
    yes_scope, no_scope = scope.apart(), scope.apart()
    yes, no = evaluate(node.yes, yes_scope), evaluate(node.no, no_scope)
    wanted = unify([yes.type, no.type])
    if wanted is None:
        scope.tell(
            node.yes.range.to(node.no.range), "Inconsistent conditional result types",
            "The true and false result expressions must have consistent types. "
            f"The 'true' value is {yes.type.name}, but the 'false' value is {no.type.name}.",
        )  # fmt: skip
        return UNKNOWN
    condition = evaluate(node.condition, scope)
    if condition.is_null:
        detail = "The condition value is null. Conditions must either be true or false."
        scope.tell(node.condition.range, "Null condition", detail)
        return UNKNOWN
    if not condition.is_known:
        return UNKNOWN
    try:
        chosen = convert(condition, BOOL).raw
    except ConversionError:
        detail = "The condition expression must be of type bool."
        scope.tell(node.condition.range, "Incorrect condition type", detail)
        return UNKNOWN
    value = yes if chosen else no
    scope.diagnostics += (yes_scope if chosen else no_scope).diagnostics
    return value if wanted.kind == "dynamic" or not value.is_known else convert(value, wanted)


def _binary(node: nodes.Binary, scope: Scope) -> Value:
    """Operators of one chain are worked off in a loop, however long it is."""
    chain = [node]
    while isinstance(chain[-1].left, nodes.Binary):
        chain.append(chain[-1].left)
    left = evaluate(chain[-1].left, scope)
    for one in reversed(chain):
        scope.shared.budget.step(one.range)
        left = binary(one, left, evaluate(one.right, scope), scope)
    return left


def _unary(node: nodes.Unary, scope: Scope) -> Value:
    return unary(node, evaluate(node.operand, scope), scope)


def _tuple(node: nodes.TupleCons, scope: Scope) -> Value:
    return tuple_of([evaluate(one, scope) for one in node.items])


def _object(node: nodes.ObjectCons, scope: Scope) -> Value:
    found: dict[str, Value] = {}
    is_known = True
    for key_node, value_node in node.items:
        if isinstance(key_node, nodes.Traversal) and key_node.steps:
            scope.tell(key_node.range, "Ambiguous attribute key", _AMBIGUOUS)
            is_known = False
            continue
        key, value = evaluate(key_node, scope), evaluate(value_node, scope)
        if key.is_null:
            scope.tell(key_node.range, "Null value as key", "Can't use a null value as a key.")
            is_known = False
        elif not key.is_known:
            is_known = False
        else:
            try:
                found[convert(key, STRING).raw] = value
            except ConversionError as error:
                scope.tell(key_node.range, "Incorrect key type", f"Can't use this value as a key: {error}.")
                is_known = False
    return object_of(found) if is_known else UNKNOWN


_AMBIGUOUS = (
    "If this expression is intended to be a reference, wrap it in parentheses. If it's instead intended as a literal "
    "name containing periods, wrap it in quotes to create a string literal."
)


def _template(node: nodes.Template, scope: Scope) -> Value:
    texts: list[str] = []
    is_known = True
    for part in node.parts:
        if isinstance(part, nodes.Literal) and isinstance(part.value, str):
            texts.append(part.value)
            continue
        value = evaluate(part, scope)
        if value.is_null:
            detail = "The expression result is null. Cannot include a null value in a string template."
            scope.tell(part.range, _TEMPLATE, detail)
        elif not value.is_known:
            is_known = False
        else:
            text = _text_of(value, part.range, scope, "the given value")
            texts.append(text)
    if not is_known:
        return UNKNOWN
    found = "".join(texts)
    scope.shared.budget.characters(node.range, len(found))
    return Value(STRING, found)


def _text_of(value: Value, place: Range, scope: Scope, what: str) -> str:
    try:
        found: str = convert(value, STRING).raw
    except ConversionError as error:
        scope.tell(place, _TEMPLATE, f"Cannot include {what} in a string template: {error}.")
        return ""
    return found


def _join(node: nodes.Join, scope: Scope) -> Value:
    items = evaluate(node.loop, scope)
    if not items.is_known:
        return UNKNOWN
    texts: list[str] = []
    for one in items.raw:
        if one.is_null:
            detail = "An iteration result is null. Cannot include a null value in a string template."
            scope.tell(node.range, _TEMPLATE, detail)
            return UNKNOWN
        texts.append(_text_of(one, node.range, scope, "one of the interpolation results"))
    found = "".join(texts)
    scope.shared.budget.characters(node.range, len(found))
    return Value(STRING, found)


def _for(node: nodes.For, scope: Scope) -> Value:
    return loop(node, scope, evaluate)


def _call(node: nodes.Call, scope: Scope) -> Value:
    return call(node, scope, evaluate)


Evaluator = Callable[[Any, Scope], Value]
_EVALUATE: dict[type[nodes.Node], Evaluator] = {
    nodes.Literal: _literal,
    nodes.Template: _template,
    nodes.Wrap: _inner,
    nodes.Paren: _inner,
    nodes.Join: _join,
    nodes.Traversal: _traversal,
    nodes.Relative: _relative,
    nodes.Index: _index,
    nodes.Splat: _splat,
    nodes.Call: _call,
    nodes.Conditional: _conditional,
    nodes.Binary: _binary,
    nodes.Unary: _unary,
    nodes.TupleCons: _tuple,
    nodes.ObjectCons: _object,
    nodes.For: _for,
}
