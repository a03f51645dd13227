"""`for` expressions (spec jobspec-hcl §4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from yurt.server.hcl import nodes
from yurt.server.hcl.diagnostics import LimitError
from yurt.server.jobspec.convert import ConversionError, convert
from yurt.server.jobspec.scope import ELEMENTS_MAX, Scope
from yurt.server.jobspec.values import BOOL, STRING, UNKNOWN, Value, number, object_of, tuple_of

Evaluate = Callable[[nodes.Node, Scope], Value]


def elements(value: Value) -> Iterator[tuple[Value, Value]]:
    """Keys and values of a collection, in order; a set's keys are its values."""
    if isinstance(value.raw, dict):
        for name, one in value.raw.items():
            yield Value(STRING, name), one
    else:
        for at, one in enumerate(value.raw):
            yield (one if value.kind == "set" else number(at)), one


def loop(node: nodes.For, scope: Scope, evaluate: Evaluate) -> Value:
    """The tuple or object of a `for` expression."""
    over = evaluate(node.collection, scope)
    if not over.is_known and over.raw is None:
        return UNKNOWN
    if over.is_null:
        detail = "A null value cannot be used as the collection in a 'for' expression."
        scope.tell(node.collection.range, "Iteration over null value", detail)
        return UNKNOWN
    if not isinstance(over.raw, list | dict):
        detail = f"A value of type {over.type.name} cannot be used as the collection in a 'for' expression."
        scope.tell(node.collection.range, "Iteration over non-iterable value", detail)
        return UNKNOWN
    if len(over.raw) > ELEMENTS_MAX:
        raise LimitError(node.range, f"A collection has more than {ELEMENTS_MAX} elements.")
    return _Loop(node, scope, evaluate).run(over)


class _Loop:
    def __init__(self, node: nodes.For, scope: Scope, evaluate: Evaluate) -> None:
        self._node, self._scope, self._evaluate = node, scope, evaluate
        self._is_known = True
        self._items: list[Value] = []
        self._members: dict[str, Value] = {}
        self._groups: dict[str, list[Value]] = {}

    def run(self, over: Value) -> Value:
        node = self._node
        for key, value in elements(over):
            names = {node.value_name: value}
            if node.key_name:
                names[node.key_name] = key
            inner = self._scope.inside(names)
            if self._is_wanted(inner):
                self._add(inner)
        if not self._is_known:
            return UNKNOWN
        if node.key is None:
            return tuple_of(self._items)
        return object_of({name: tuple_of(items) for name, items in self._groups.items()} or self._members)

    def _is_wanted(self, scope: Scope) -> bool:
        condition = self._node.condition
        if condition is None:
            return True
        value = self._evaluate(condition, scope)
        if value.is_null:
            detail = "The value of the 'if' clause must not be null."
            scope.tell(condition.range, "Condition is null", detail)
            self._is_known = False
            return False
        if not value.is_known:
            self._is_known = False
            return False
        try:
            wanted: bool = convert(value, BOOL).raw
        except ConversionError as error:
            detail = f"The 'if' clause value is invalid: {error}."
            scope.tell(condition.range, "Invalid 'for' condition", detail)
            self._is_known = False
            return False
        return wanted

    def _add(self, scope: Scope) -> None:
        node = self._node
        if node.key is None:
            self._items.append(self._evaluate(node.value, scope))
            return
        key = self._evaluate(node.key, scope)
        value = self._evaluate(node.value, scope)
        if key.is_null:
            detail = "Key expression in 'for' expression must not produce a null value."
            scope.tell(node.key.range, "Invalid object key", detail)
            self._is_known = False
            return
        if not key.is_known:
            self._is_known = False
            return
        try:
            name: str = convert(key, STRING).raw
        except ConversionError as error:
            detail = f"The key expression produced an invalid result: {error}."
            scope.tell(node.key.range, "Invalid object key", detail)
            self._is_known = False
            return
        if node.groups:
            self._groups.setdefault(name, []).append(value)
        elif name in self._members:
            scope.tell(
                node.key.range, "Duplicate object key",
                f'Two different items produced the key "{name}" in this \'for\' expression. If duplicates are '
                "expected, use the ellipsis (...) after the value expression to enable grouping by key.",
            )  # fmt: skip
        else:
            self._members[name] = value
