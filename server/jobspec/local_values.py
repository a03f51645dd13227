"""Locals: they may use each other in any order (spec jobspec-hcl §9)."""

from __future__ import annotations

from yurt.server.hcl import nodes
from yurt.server.hcl.diagnostics import Diagnostic
from yurt.server.jobspec.evaluate import evaluate
from yurt.server.jobspec.references import traversals
from yurt.server.jobspec.scope import Scope, Shared
from yurt.server.jobspec.values import Type, Value, object_of


def local_values(
    locals_: dict[str, nodes.Node], variables: Value, shared: Shared, diagnostics: list[Diagnostic]
) -> Value:
    """The object of all locals: one that fails is tried again as long as others succeed."""
    done = Value(Type("object", None, {}), {})
    waiting = [(name, locals_[name]) for name in _ordered(locals_)]
    while waiting:
        failed: list[tuple[str, nodes.Node]] = []
        errors: list[Diagnostic] = []
        for name, node in waiting:
            scope = Scope(shared, {"var": variables, "local": done}, [])
            value = evaluate(node, scope)
            if scope.diagnostics or not value.is_known:
                failed.append((name, node))
                errors += scope.diagnostics
                continue
            done.raw[name] = value
            done.type.members[name] = value.type
        if len(failed) == len(waiting):
            diagnostics += errors
            break
        waiting = failed
    return object_of(done.raw)


def _ordered(locals_: dict[str, nodes.Node]) -> list[str]:
    """The names, those that others mention before them; in a circle as they are written."""
    needs = {name: _mentioned(node, locals_) for name, node in locals_.items()}
    found: dict[str, None] = {}
    entered: set[str] = set()
    for first in locals_:
        waiting = [first]
        while waiting:
            name = waiting[-1]
            missing = [] if name in entered else [one for one in needs[name] if one not in found]
            entered.add(name)
            if missing:
                waiting += reversed(missing)
            else:
                found[waiting.pop()] = None
    return list(found)


def _mentioned(node: nodes.Node, locals_: dict[str, nodes.Node]) -> list[str]:
    names = [one.steps[0].key for one in traversals(node) if one.root == "local" and one.steps]
    return [name for name in dict.fromkeys(names) if isinstance(name, str) and name in locals_]
