"""Blocks whose JSON is not what they say word for word (spec jobspec-hcl §12, §13)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from yurt.server.hcl.nodes import Block, Node
from yurt.server.jobspec.attributes import fitted_or_reason
from yurt.server.jobspec.convert import ConversionError
from yurt.server.jobspec.evaluate import evaluate
from yurt.server.jobspec.schema import Argument
from yurt.server.jobspec.scope import Scope

_CONSTRAINT_WORDS = ("version", "semver", "regexp", "set_contains", "set_contains_all", "set_contains_any")
_AFFINITY_WORDS = ("version", "semver", "regexp", "set_contains_any", "set_contains_all", "set_contains")
_SCALED = {"cpu": "vertical_cpu", "mem": "vertical_mem"}


def placement_value(node: Node, argument: Argument, scope: Scope) -> Any:
    """An argument of a constraint or affinity: its errors have their own words, and null is as if not set."""
    value = evaluate(node, scope)
    if not value.is_known or value.raw is None:
        return argument.zero
    try:
        return fitted_or_reason(value, argument.kind)
    except ConversionError as error:
        detail = f'Inappropriate value for attribute "{argument.name}": {error}.'
        scope.tell(node.range, "Incorrect attribute value type", detail)
        return argument.zero


def _shorthands(found: dict[str, Any], words: tuple[str, ...]) -> None:
    for word in words:
        value = found.pop("_" + word)
        if value is not None:
            found["Operand"], found["RTarget"] = word, value


def _constraint(found: dict[str, Any], _block: Block, _scope: Scope) -> None:
    _shorthands(found, _CONSTRAINT_WORDS)
    hosts = found.pop("_distinct_hosts")
    if hosts is not None:
        found["Operand"], found["RTarget"] = "distinct_hosts", "true" if hosts else "false"
    distinct = found.pop("_distinct_property")
    if distinct is not None:
        found["Operand"], found["LTarget"] = "distinct_property", distinct
    for word in ("is_set", "is_not_set"):
        if found.pop("_" + word):
            found["Operand"] = word
    found["Operand"] = found["Operand"] or "="


def _affinity(found: dict[str, Any], _block: Block, _scope: Scope) -> None:
    _shorthands(found, _AFFINITY_WORDS)
    found["Operand"] = found["Operand"] or "="


def _network(found: dict[str, Any], _block: Block, _scope: Scope) -> None:
    """Ports with a fixed number go to the reserved ones."""
    ports = found["DynamicPorts"] or []
    fixed = [one for one in ports if one["Value"] > 0]
    found["DynamicPorts"] = [one for one in ports if one["Value"] <= 0] or None
    found["ReservedPorts"] = [*(found["ReservedPorts"] or []), *fixed] or None


def _group_scaling(found: dict[str, Any], block: Block, scope: Scope) -> None:
    given = found["Type"] or "horizontal"
    found["Type"] = given
    if given != "horizontal":
        detail = f'task group scaling policy had invalid type: "{given}"'
        scope.tell(block.header, "Invalid group scaling type", detail)


def _task_scaling(found: dict[str, Any], block: Block, scope: Scope) -> None:
    label = found.pop("_label")
    wanted = _SCALED.get(label.lower())
    if wanted is None:
        detail = 'scaling policy name must be "cpu" or "mem"'
        scope.tell(block.label_ranges[0], "Invalid scaling policy name", detail)
        return
    if found["Type"] not in ("", wanted):
        detail = f'Invalid policy type, expected "{wanted}" but found "{found["Type"]}"'
        scope.tell(block.header, "Invalid scaling policy type", detail)
    found["Type"] = wanted


def _task(found: dict[str, Any], block: Block, scope: Scope) -> None:
    _scaled_once(found, block, scope)
    for template in found["Templates"] or ():
        _template(template)
    if found["Vault"] is not None:
        vault_defaults(found["Vault"])
    for at, identity in enumerate(found["Identities"] or ()):
        if identity["Name"] in ("", "default"):
            found["Identity"] = found["Identities"].pop(at)
            break
    if found["CSIPluginConfig"] is None:
        del found["CSIPluginConfig"]


def _scaled_once(found: dict[str, Any], block: Block, scope: Scope) -> None:
    seen: set[str] = set()
    places = [one for one in block.body.blocks if one.kind == "scaling"]
    for at, policy in enumerate(found["ScalingPolicies"] or ()):
        kind = policy["Type"].removeprefix("vertical_")
        if kind in seen and at < len(places):
            detail = f'Only one scaling "{kind}" block is allowed.'
            scope.tell(places[at].header, f'Duplicate scaling "{kind}" block', detail)
        seen.add(kind)


def _template(found: dict[str, Any]) -> None:
    defaults = {"ChangeMode": "restart", "Perms": "0644", "Splay": 5_000_000_000, "ErrMissingKey": False}
    _fill(found, defaults)
    if found["ChangeScript"] is not None:
        script = {"Args": [], "Timeout": 5_000_000_000, "FailOnError": False, "RunOnFirstRender": False}
        _fill(found["ChangeScript"], script)


def _fill(found: dict[str, Any], defaults: dict[str, Any]) -> None:
    for name, value in defaults.items():
        if found[name] is None:
            found[name] = value


def vault_defaults(found: dict[str, Any]) -> None:
    """Fill in the defaults of a vault block."""
    _fill(found, {"Env": True, "DisableFile": False, "ChangeMode": "restart"})


def _vaulted(found: dict[str, Any], _block: Block, _scope: Scope) -> None:
    if found["_vault"] is not None:
        vault_defaults(found["_vault"])


def _periodic(found: dict[str, Any], _block: Block, _scope: Scope) -> None:
    if found["Spec"] or found["Specs"]:
        found["SpecType"] = "cron"


AFTER: dict[str, Callable[[dict[str, Any], Block, Scope], None]] = {
    "constraint": _constraint,
    "affinity": _affinity,
    "network": _network,
    "group_scaling": _group_scaling,
    "task_scaling": _task_scaling,
    "task": _task,
    "job": _vaulted,
    "group": _vaulted,
    "periodic": _periodic,
}
