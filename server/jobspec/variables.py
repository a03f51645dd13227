"""Variables: how they are declared, where their values come from, whether those are valid (spec jobspec-hcl §8)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from yurt.server.hcl import nodes
from yurt.server.hcl.bodies import parse_expression
from yurt.server.hcl.diagnostics import Diagnostic, HclError, Range, Source
from yurt.server.jobspec.content import Placed, Shape, content
from yurt.server.jobspec.convert import ConversionError, convert
from yurt.server.jobspec.evaluate import evaluate
from yurt.server.jobspec.json_source import JsonBody
from yurt.server.jobspec.references import traversals
from yurt.server.jobspec.scope import Scope, Shared
from yurt.server.jobspec.types import type_of
from yurt.server.jobspec.values import BOOL, Type, Value, object_of

_SHAPE = Shape({"type": False, "default": False, "description": False}, {"validation": ()})
_VALIDATION = Shape({"condition": True, "error_message": True}, {})
_NAME = re.compile(r"[^\W\d][\w-]*\Z")
_NAME_RULE = (
    "A name must start with a letter or underscore and may contain only letters, digits, underscores, and dashes."
)
_DOCUMENTATION = "https://developer.hashicorp.com/nomad/docs/reference/hcl2/variables"


@dataclass(frozen=True, slots=True)
class Assigned:
    """A value with the place it was written at and where it came from: `default`, `env`, `varfile` or `cmd`."""

    value: Value
    place: Range | str | None
    source: str


@dataclass(frozen=True, slots=True)
class Validation:
    """A rule for a variable's values."""

    condition: nodes.Node
    message: str
    place: Range


@dataclass(slots=True)
class Variable:
    """A declared variable; `type` is None where any value will do."""

    name: str
    type: Type | None = None
    value: Assigned | None = None
    validations: list[Validation] = field(default_factory=list)

    @property
    def is_simple(self) -> bool:
        """Whether a flag's text is its value, and no expression."""
        return self.type is None or self.type.is_primitive


class Variables:
    """All declared variables of a job file."""

    def __init__(self, shared: Shared, diagnostics: list[Diagnostic]) -> None:
        self._shared, self._diagnostics = shared, diagnostics
        self.declared: dict[str, Variable] = {}
        self._constant = Scope(shared, {}, diagnostics, is_runtime=False, has_names=False, has_functions=False)

    def declare(self, placed: Placed) -> None:
        """A `variable` block."""
        block = placed.block
        scope = self._constant
        name = block.labels[0]
        attributes, validations = content(block.body, _SHAPE, scope)
        if not _NAME.match(name):
            scope.tell(block.label_ranges[0], "Invalid variable name", _NAME_RULE)
        found = Variable(name)
        if "type" in attributes:
            found.type = type_of(_type_node(attributes["type"].value), scope)
            if found.type is None:
                return
        if "default" in attributes and not self._default(found, attributes["default"].value):
            return
        for one in validations:
            self._validation(found, one)
        self._add(found)

    def declare_all(self, body: nodes.Body) -> None:
        """A `variables` block: names with their defaults."""
        body = body.plain() if isinstance(body, JsonBody) else body
        for block in body.blocks:
            detail = "Blocks are not allowed here."
            self._constant.tell(block.kind_range, f'Unexpected "{block.kind}" block', detail)
        for name, attribute in body.attributes.items():
            found = Variable(name)
            if self._default(found, attribute.value):
                self._add(found)

    def _add(self, variable: Variable) -> None:
        if variable.name in self.declared:
            detail = f"Duplicate {variable.name} variable definition found."
            self._constant.tell(None, "Duplicate variable", detail)
        else:
            self.declared[variable.name] = variable

    def _default(self, variable: Variable, node: nodes.Node) -> bool:
        """Whether the default has a value at all; it then is the variable's."""
        value = evaluate(node, self._constant)
        if not value.is_known:
            return False
        if variable.type is None:
            variable.type = value.type if value.raw is not None else None
        else:
            try:
                value = convert(value, variable.type)
            except ConversionError as error:
                detail = f"This default value is not compatible with the variable's type constraint: {error}."
                self._constant.tell(node.range, "Invalid default value for variable", detail)
        variable.value = Assigned(value, node.range, "default")
        return True

    def _validation(self, variable: Variable, placed: Placed) -> None:
        scope, name = self._constant, variable.name
        attributes, _ = content(placed.block.body, _VALIDATION, scope)
        if len(attributes) < 2:
            return
        condition, message = attributes["condition"].value, attributes["error_message"].value
        before = len(self._diagnostics)
        mentions = 0
        for one in traversals(condition):
            if one.root == "var" and one.steps and one.steps[0].key == name:
                mentions += 1
            else:
                detail = f'The condition for variable "{name}" can only refer to the variable itself, using var.{name}.'
                scope.tell(one.range, "Invalid reference in variable validation", detail)
        if not mentions and len(self._diagnostics) == before:
            detail = f'The condition for variable "{name}" must refer to var.{name} in order to test incoming values.'
            scope.tell(condition.range, "Invalid variable validation condition", detail)
        text = evaluate(message, scope)
        if text.is_known and (not isinstance(text.raw, str) or not text.raw.strip()):
            detail = "An empty string is not a valid nor useful error message."
            scope.tell(message.range, "Invalid validation error message", detail)
        if len(self._diagnostics) == before:
            variable.validations.append(Validation(condition, text.raw, placed.block.kind_range))

    def assign(self, name: str, node: nodes.Node, source: str) -> None:
        """A value from a file of variables, as an expression."""
        value = evaluate(node, self._constant)
        if value.is_known:
            self.assign_value(name, value, node.range, source)

    def assign_value(self, name: str, value: Value, place: Range | str | None, source: str) -> None:
        """A value for a declared variable, converted to its type."""
        variable = self.declared[name]
        if variable.type is not None:
            try:
                value = convert(value, variable.type)
            except ConversionError as error:
                self._diagnostics.append(_wrong_type(name, place, source, error))
        variable.value = Assigned(value, place, source)

    def assign_text(self, name: str, text: str, source: str) -> None:
        """A value from the environment or a flag: itself for simple types, else an expression."""
        if self.declared[name].is_simple:
            place = ":0,0-0" if source == "cmd" else None
            self.assign_value(name, Value(_STRING, text), place, source)
            return
        where = "arguments" if source == "cmd" else "env"
        try:
            node = parse_expression(Source(text, f"<value for var.{name} from {where}>"))
        except HclError as error:
            self._diagnostics += error.diagnostics
            return
        self.assign(name, node, source)

    def values(self) -> Value:
        """The object of all values, each checked; what is wrong becomes diagnostics."""
        found: dict[str, Value] = {}
        for name, variable in self.declared.items():
            if variable.value is None:
                detail = f"A used variable must be set or have a default value; see {_DOCUMENTATION}  for details."
                self._constant.tell(None, f'Unset variable "{name}"', detail)
                continue
            found[name] = variable.value.value
            for rule in variable.validations:
                self._check(variable, variable.value, rule)
        return object_of(found)

    def _check(self, variable: Variable, assigned: Assigned, rule: Validation) -> None:
        names = {"var": object_of({variable.name: assigned.value})}
        scope = Scope(self._shared, names, self._diagnostics, is_runtime=False)
        result = evaluate(rule.condition, scope)
        if not result.is_known:
            return
        summary = "Invalid variable validation result"
        if result.raw is None:
            scope.tell(rule.condition.range, summary, "Validation condition expression must return either true or false, not null.")  # fmt: skip  # noqa: E501
            return
        try:
            is_valid = convert(result, BOOL).raw
        except ConversionError as error:
            scope.tell(rule.condition.range, summary, f"Invalid validation condition result value: {error}.")
            return
        if not is_valid:
            detail = f"{rule.message}\n\nThis was checked by the validation rule at {rule.place}."
            self._diagnostics.append(
                Diagnostic(assigned.place, f"Invalid value for {assigned.source} variable", detail)
            )


_STRING = Type("string")


def _wrong_type(name: str, place: Range | str | None, source: str, error: ConversionError) -> Diagnostic:
    constraint = f"is not compatible with the variable's type constraint: {error}."
    if source == "cmd" and not isinstance(place, Range):
        return Diagnostic(place, "Invalid argument value for -var variable", f"The received arg value for {name} {constraint}")  # fmt: skip  # noqa: E501
    return Diagnostic(place, "Invalid value for variable", f"The value for {name} {constraint}")


def _type_node(node: nodes.Node) -> nodes.Node:
    """The type expression; in JSON it is written in a string."""
    if isinstance(node, nodes.Template) and len(node.parts) == 1 and node.range.source.text[:1] == "{":
        part = node.parts[0]
        if isinstance(part, nodes.Literal) and isinstance(part.value, str):
            return parse_expression(Source(part.value, node.range.source.file))
    return node
