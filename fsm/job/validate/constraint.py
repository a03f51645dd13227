"""The validation of constraints, affinities and spreads (spec job-model §5.6–5.8)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from yurt.fsm.job.multierror import multierror
from yurt.fsm.lang.regex import BadPattern, compile_pattern
from yurt.fsm.lang.strconv import parse_uint
from yurt.fsm.lang.version import TEXT_BYTES_MAX, parse_constraints
from yurt.fsm.structs.constraint import Affinity, Constraint, Spread

REMEMBERED_CHARACTERS_MAX = 256
DISTINCT = ("distinct_hosts", "distinct_property")
_SETS = ("set_contains", "set_contains_all", "set_contains_any")
_COMPARISONS = ("=", "==", "is", "!=", "not", "<", "<=", ">", ">=")
_NODE_TARGETS = ("${node.unique.id}", "${node.datacenter}", "${node.unique.name}", "${node.class}", "${node.pool}")
_TARGET_PREFIXES = ("${attr.", "${device.", "${meta.")


def constraint_list_errors(constraints: tuple[Constraint, ...] | None) -> Iterator[str]:
    """A bullet for each constraint that is wrong, numbered from 1."""
    for number, constraint in enumerate(constraints or (), start=1):
        if errors := constraint_errors(constraint):
            yield f"Constraint {number} validation failed: {multierror(errors)}"


def affinity_list_errors(affinities: tuple[Affinity, ...] | None, job_type: str) -> Iterator[str]:
    """A bullet for each affinity that is wrong; system jobs may have none."""
    if job_type == "system":
        if affinities:
            yield "System jobs may not have an affinity block"
        return
    for number, affinity in enumerate(affinities or (), start=1):
        if errors := list(affinity_errors(affinity)):
            yield f"Affinity {number} validation failed: {multierror(errors)}"


def spread_list_errors(spreads: tuple[Spread, ...] | None, job_type: str) -> Iterator[str]:
    """A bullet for each spread that is wrong; system jobs may have none."""
    if job_type == "system":
        if spreads:
            yield "System jobs may not have a spread block"
        return
    for number, spread in enumerate(spreads or (), start=1):
        if errors := list(spread_errors(spread)):
            yield f"Spread {number} validation failed: {multierror(errors)}"


def constraint_errors(constraint: Constraint) -> tuple[str, ...]:
    """Return the errors of one constraint, in order. Short ones are cached: nearly every job has the same few."""
    if len(constraint.ltarget) + len(constraint.rtarget) > REMEMBERED_CHARACTERS_MAX:
        return tuple(_constraint_errors(constraint))
    return _remembered_errors(constraint)


@lru_cache(1024)
def _remembered_errors(constraint: Constraint) -> tuple[str, ...]:
    return tuple(_constraint_errors(constraint))


def _constraint_errors(constraint: Constraint) -> Iterator[str]:
    operand = constraint.operand
    if not operand:
        yield "Missing constraint operand"
    if operand in _COMPARISONS:
        if not constraint.rtarget:
            yield f'Operator "{operand}" requires an RTarget'
    elif operand in _SETS:
        if not constraint.rtarget:
            yield "Set contains constraint requires an RTarget"
    elif operand in ("regexp", "version", "semver"):
        if error := _language_error(constraint, "Regular expression", "constraint"):
            yield error
    elif operand == "distinct_property":
        if error := _allowed_count_error(constraint.rtarget):
            yield error
    elif operand in ("is_set", "is_not_set"):
        if constraint.rtarget:
            yield f'Operator "{operand}" does not support an RTarget'
    elif operand != "distinct_hosts":
        yield f'Unknown constraint type "{operand}"'
    if operand != "distinct_hosts" and (error := _target_error(constraint.ltarget)):
        yield error


def affinity_errors(affinity: Affinity) -> Iterator[str]:
    """Yield the errors of one affinity, in order."""
    operand = affinity.operand
    if not operand:
        yield "Missing affinity operand"
    if operand in _COMPARISONS:
        if not affinity.rtarget:
            yield f'Operator "{operand}" requires an RTarget'
    elif operand in _SETS:
        if not affinity.rtarget:
            yield "Set contains operators require an RTarget"
    elif operand in ("regexp", "version", "semver"):
        if error := _language_error(affinity, "Regular expression", "affinity"):
            yield error
    else:
        yield f'Unknown affinity operator "{operand}"'
    if not affinity.ltarget:
        yield "No LTarget provided but is required"
    if affinity.weight == 0:
        yield "Affinity weight cannot be zero"
    elif not -100 <= affinity.weight <= 100:
        yield "Affinity weight must be within the range [-100,100]"


def spread_errors(spread: Spread) -> Iterator[str]:
    """Yield the errors of one spread, in order."""
    if not spread.attribute:
        yield "Missing spread attribute"
    if not 0 < spread.weight <= 100:
        yield "Spread block must have a positive weight from 0 to 100"
    seen: set[str] = set()
    total = 0
    for target in spread.spread_target or ():
        if target.value in seen:
            yield f'Spread target value "{target.value}" already defined'
        seen.add(target.value)
        if target.percent > 100:
            yield f'Spread target percentage for value "{target.value}" must be between 0 and 100'
        total += target.percent
    if total > 100:
        yield f"Sum of spread target percentages must not be greater than 100%; got {total}%"


def _language_error(rule: Any, pattern_name: str, kind: str) -> str:
    """The error of a rule whose RTarget is a pattern or a list of versions; empty if it has none."""
    if rule.operand == "regexp":
        try:
            compile_pattern(rule.rtarget)
        except BadPattern as error:
            return f"{pattern_name} failed to compile: {error}"
        return ""
    strict = rule.operand == "semver"
    for part in rule.rtarget.split(","):
        if len(part) > TEXT_BYTES_MAX or parse_constraints(part, strict=strict) is None:
            malformed = "Malformed" if strict else "malformed"
            return f"{rule.operand.capitalize()} {kind} is invalid: {malformed} constraint: {part}"
    return ""


def _allowed_count_error(rtarget: str) -> str:
    """`distinct_property` may say how many allocations share a value, at least one."""
    if not rtarget:
        return ""
    try:
        count = parse_uint(rtarget)
    except ValueError as error:
        return f'Failed to convert RTarget "{rtarget}" to uint64: {error}'
    return "" if count else f"Distinct Property must have an allowed count of 1 or greater: {count} < 1"


def _target_error(target: str) -> str:
    """Return the error of a target, empty if it is valid; a text without a leading `$` stands for itself."""
    if not target:
        return "no attribute provided but is required by operator"
    if target[0] != "$":
        return ""
    if not target.startswith("${"):
        return f'attribute "{target}" is missing an opening brace'
    if not target.endswith("}"):
        return f'attribute "{target}" is missing a closing brace'
    if target in _NODE_TARGETS or target.startswith(_TARGET_PREFIXES):
        return ""
    return f'unsupported attribute "{target}"'
