"""Function calls: arguments checked and converted, errors told where they belong (spec jobspec-hcl §15, §16)."""

from __future__ import annotations

from collections.abc import Callable

from yurt.server.hcl import nodes
from yurt.server.hcl.diagnostics import LimitError, suggestion
from yurt.server.jobspec.convert import ConversionError, convert
from yurt.server.jobspec.functions.registry import FUNCTIONS
from yurt.server.jobspec.functions.signature import ArgumentError, Function, FunctionError, FunctionLimit
from yurt.server.jobspec.scope import Scope
from yurt.server.jobspec.types import type_of
from yurt.server.jobspec.values import FALSE, TRUE, UNKNOWN, Value

Evaluate = Callable[[nodes.Node, Scope], Value]
_EXPANDING = "Invalid expanding argument value"


def call(node: nodes.Call, scope: Scope, evaluate: Evaluate) -> Value:
    """The result of a call."""
    if not scope.has_functions:
        scope.tell(node.range, "Function calls not allowed", "Functions may not be called here.")
        return UNKNOWN
    if node.name in _LAZY and not node.expands:
        count, parameter, run = _LAZY[node.name]
        if count and len(node.arguments) != count:
            return _wrong_count(node, scope, [parameter] * count)
        return run(node, scope, evaluate)
    function = FUNCTIONS.get(node.name)
    if function is None:
        _tell_unknown(node, scope)
        return UNKNOWN
    places, values = _evaluated(node, scope, evaluate)
    if values is None:
        return UNKNOWN
    names = [one.name for one in function.parameters]
    if len(values) < len(names):
        return _missing(node, scope, names[len(values)], len(names), " at least" if function.variadic else "")
    if len(values) > len(names) and function.variadic is None:
        return _extra(node, scope, places[len(names)], len(names))
    return _applied(function, node, places, values, scope)


def _tell_unknown(node: nodes.Call, scope: Scope) -> None:
    if "::" in node.name:
        namespace = node.name.rpartition("::")[0]
        detail = f'There are no functions in namespace "{namespace}::".'
    else:
        meant = suggestion(node.name, [*FUNCTIONS, *_LAZY])
        detail = f'There is no function named "{node.name}".' + (f' Did you mean "{meant}"?' if meant else "")
    scope.tell(node.name_range, "Call to unknown function", detail)


def _missing(node: nodes.Call, scope: Scope, name: str, count: int, qualifier: str) -> Value:
    detail = f'Function "{node.name}" expects{qualifier} {count} argument(s). Missing value for "{name}".'
    scope.tell(node.close, "Not enough function arguments", detail)
    return UNKNOWN


def _extra(node: nodes.Call, scope: Scope, place: nodes.Node, count: int) -> Value:
    detail = f'Function "{node.name}" expects only {count} argument(s).'
    scope.tell(place.start, "Too many function arguments", detail)
    return UNKNOWN


def _wrong_count(node: nodes.Call, scope: Scope, names: list[str]) -> Value:
    given = len(node.arguments)
    if given < len(names):
        return _missing(node, scope, names[given], len(names), "")
    return _extra(node, scope, node.arguments[len(names)], len(names))


def _evaluated(node: nodes.Call, scope: Scope, evaluate: Evaluate) -> tuple[list[nodes.Node], list[Value] | None]:
    """The argument each value came from, and the values; None for them if the last cannot stand for many."""
    values = [evaluate(one, scope) for one in node.arguments]
    places = list(node.arguments)
    if not node.expands:
        return places, values
    last, place = values.pop(), places.pop()
    if last.is_null:
        detail = "The expanding argument (indicated by ...) must not be null."
        scope.tell(place.range, _EXPANDING, detail)
        return places, None
    if not last.is_known and last.raw is None:
        return places, None
    if not isinstance(last.raw, list):
        detail = "The expanding argument (indicated by ...) must be of a tuple, list, or set type."
        scope.tell(place.range, _EXPANDING, detail)
        return places, None
    return places + [place] * len(last.raw), values + last.raw


def _applied(
    function: Function, node: nodes.Call, places: list[nodes.Node], values: list[Value], scope: Scope
) -> Value:
    arguments: list[Value] = []
    is_sound = True
    for at, value in enumerate(values):
        parameter = function.parameter(at)
        try:
            if value.is_null and not parameter.allows_null:
                raise ConversionError("argument must not be null")
            converted = convert(value, parameter.type)
            is_sound = is_sound and converted.is_known
            arguments.append(converted)
        except ConversionError as error:
            _tell_argument(scope, places[at], parameter.name, str(error))
            is_sound = False
    if not is_sound:
        return UNKNOWN
    budget = scope.shared.budget
    budget.step(node.range, 1 + len(arguments))
    try:
        found = function.run(arguments, scope.shared)
    except ArgumentError as error:
        _tell_argument(scope, places[error.at], function.parameter(error.at).name, str(error))
        return UNKNOWN
    except FunctionError as error:
        scope.tell(node.start, "Error in function call", f'Call to function "{node.name}" failed: {error}.')
        return UNKNOWN
    except FunctionLimit as error:
        raise LimitError(node.start, f'Call to function "{node.name}": {error}.') from None
    if isinstance(found.raw, str):
        budget.characters(node.range, len(found.raw))
    elif isinstance(found.raw, list | dict):
        budget.step(node.range, len(found.raw))
    return found


def _tell_argument(scope: Scope, place: nodes.Node, name: str, text: str) -> None:
    detail = f'Invalid value for "{name}" parameter: {text}.'
    scope.tell(place.start, "Invalid function argument", detail)


def _try(node: nodes.Call, scope: Scope, evaluate: Evaluate) -> Value:
    told: list[str] = []
    for one in node.arguments:
        apart = scope.apart()
        value = evaluate(one, apart)
        if not apart.diagnostics:
            return value
        first = apart.diagnostics[0]
        told.append(f"- {first.summary} (at {first.place})\n  {first.detail}")
    if not told:
        text = "at least one argument is required"
    else:
        text = "no expression succeeded:\n" + "\n".join(told)
        text += "\n\nAt least one expression must produce a successful result"
    scope.tell(node.start, "Error in function call", f'Call to function "try" failed: {text}.')
    return UNKNOWN


def _can(node: nodes.Call, scope: Scope, evaluate: Evaluate) -> Value:
    apart = scope.apart()
    evaluate(node.arguments[0], apart)
    return FALSE if apart.diagnostics else TRUE


def _convert(node: nodes.Call, scope: Scope, evaluate: Evaluate) -> Value:
    value = evaluate(node.arguments[0], scope)
    wanted = type_of(node.arguments[1], scope)
    if wanted is None or not value.is_known:
        return UNKNOWN
    try:
        return convert(value, wanted)
    except ConversionError as error:
        _tell_argument(scope, node.arguments[0], "value", str(error))
        return UNKNOWN


# name → (number of arguments or 0 for any, the name of the first parameter, what it does)
_LAZY: dict[str, tuple[int, str, Callable[[nodes.Call, Scope, Evaluate], Value]]] = {
    "try": (0, "expressions", _try),
    "can": (1, "expression", _can),
    "convert": (2, "value", _convert),
}
