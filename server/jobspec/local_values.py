"""Locals: they may use each other in any order (spec jobspec-hcl §9)."""

from __future__ import annotations

from yurt.server.hcl import nodes
from yurt.server.hcl.diagnostics import Diagnostic
from yurt.server.jobspec.evaluate import evaluate
from yurt.server.jobspec.scope import Scope, Shared
from yurt.server.jobspec.values import Type, Value, object_of


def local_values(
    locals_: dict[str, nodes.Node], variables: Value, shared: Shared, diagnostics: list[Diagnostic]
) -> Value:
    """The object of all locals: one that fails is tried again as long as others succeed."""
    done = Value(Type("object", None, {}), {})
    waiting = list(locals_.items())
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
