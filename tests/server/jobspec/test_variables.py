"""Variables and locals: where values come from, which one wins, and what is said of bad ones."""

from __future__ import annotations

from typing import Any

import pytest

from yurt.server.hcl.diagnostics import HclError
from yurt.server.jobspec.parse import Inputs, parse_file, parse_job

UNSET = 'Unset variable "{}"; A used variable must be set or have a default value; see https://developer.hashicorp.com/nomad/docs/reference/hcl2/variables  for details.'


def name_of(source: str, **inputs: Any) -> Any:
    """The name that a source gives to its job."""
    return parse_job(source + '\njob "j" {\n  name = local.n\n}\n', "f", Inputs(**inputs))["Name"]


def lines(source: str, **inputs: Any) -> list[str]:
    """What is wrong with a source."""
    with pytest.raises(HclError) as caught:
        parse_job(source + '\njob "j" {}\n', "f", Inputs(**inputs))
    return str(caught.value).split("\n")


DECLARED = 'variable "n" { default = "default" }\nlocals { n = var.n }'
SOURCES = {
    "environment": {"n": "environment"},
    "files": [("first", 'n = "first file"'), ("second", 'n = "second file"')],
    "flags": [("n", "flag"), ("n", "last flag")],
}


@pytest.mark.parametrize(
    ("used", "wanted"),
    [([], "default"), (["environment"], "environment"), (["environment", "files"], "second file"),
     (["environment", "files", "flags"], "last flag")],
)  # fmt: skip
def test_later_sources_win(used: list[str], wanted: str) -> None:
    assert name_of(DECLARED, **{key: SOURCES[key] for key in used}) == wanted


@pytest.mark.parametrize(
    ("declared", "text", "wanted"),
    [
        ("type = number", "4", "4"), ("type = bool", "true", "true"), ("", "[1]", "[1]"), ("type = string", "08", "08"),
        ("type = list(number)", '["1", 2]', "1-2"), ("type = map(string)\ndefault = {}", '{ a = "x" }', "x"),
        ("type = set(string)", '["b", "a", "b"]', "a-b"), ("type = object({ a = number, b = string })", '{ a = "1", b = 2 }', "1-2"),
        ("type = tuple([string, number])", '[1, "2"]', "1-2"),
    ],
)  # fmt: skip
def test_types_convert_what_flags_give(declared: str, text: str, wanted: str) -> None:
    local = "var.v" if "(" not in declared else 'join("-", [for one in var.v : "${one}"])'
    assert name_of(f'variable "v" {{\n{declared}\n}}\nlocals {{\n  n = {local}\n}}', flags=[("v", text)]) == wanted


def test_json_files_and_variables_blocks() -> None:
    source = 'variables {\n  a = 1\n  b = 2\n}\nlocals {\n  n = "${var.a}${var.b}"\n}'
    assert name_of(source, files=[("v", '{"b": 3}')]) == "13"


def test_locals_use_each_other_in_any_order_and_later_blocks_win() -> None:
    source = 'locals {\n  n = "${local.c}!"\n  c = upper(local.b)\n}\nlocals { b = "x" }\nlocals { b = "y" }'
    assert name_of(source) == "Y!"
    assert lines("locals {\n  a = local.b\n  b = local.a\n}") == [
        'f:2,12-14: Unsupported attribute; This object does not have an attribute named "b".',
        'f:3,12-14: Unsupported attribute; This object does not have an attribute named "a".',
    ]


RULE = 'variable "v" {\n  type = number\n  validation {\n    condition = var.v > 5\n    error_message = "too low"\n  }\n}\n'
CHECKED = ["", "This was checked by the validation rule at f:3,3-13."]
BAD: list[tuple[str, dict[str, Any], list[str]]] = [
    ('variable "v" {}', {}, ["<nil>: " + UNSET.format("v")]),
    ('variable "v" { default = 1 }\nvariable "v" { default = 2 }', {}, ["<nil>: Duplicate variable; Duplicate v variable definition found."]),
    ('variable "9" { default = 1 }', {}, ["f:1,10-13: Invalid variable name; A name must start with a letter or underscore and may contain only letters, digits, underscores, and dashes."]),
    ('variable "v" { default = upper("a") }', {}, ["f:1,26-36: Function calls not allowed; Functions may not be called here."]),
    ('variable "v" { default = var.a }', {}, ["f:1,26-31: Variables not allowed; Variables may not be used here."]),
    ('variable "v" { type = any }', {}, ['f:1,23-26: Invalid type specification; The keyword "any" cannot be used in this type specification: an exact type is required.']),
    ('variable "v" { type = optional(string) }', {}, ["f:1,23-31: Invalid type specification; Optional attribute modifier is only for type constraints, not for exact types."]),
    ('variable "v" { type = string() }', {}, ['f:1,23-30: Invalid type specification; Primitive type keyword "string" does not expect arguments.']),
    ('variable "v" { type = list }', {}, ["f:1,23-27: Invalid type specification; The list type constructor requires one argument specifying the element type."]),
    ('variable "v" {\n  type = number\n  default = "x"\n}', {}, ["f:3,13-16: Invalid default value for variable; This default value is not compatible with the variable's type constraint: a number is required."]),
    ('variable "v" {\n  default = 1\n  nullable = true\n}', {}, ['f:3,3-11: Unsupported argument; An argument named "nullable" is not expected here.']),
    (RULE, {"files": [("v", "v = 2")]}, ["v:1,5-6: Invalid value for varfile variable; too low", *CHECKED]),
    (RULE, {"flags": [("v", "2")]}, [":0,0-0: Invalid value for cmd variable; too low", *CHECKED]),
    (RULE, {"environment": {"v": "2"}}, ["<nil>: Invalid value for env variable; too low", *CHECKED]),
    (RULE, {"flags": [("v", "x")]}, [":0,0-0: Invalid argument value for -var variable; The received arg value for v is not compatible with the variable's type constraint: a number is required."]),
    (RULE, {"files": [("v", 'v = "x"')]}, ["v:1,5-8: Invalid value for variable; The value for v is not compatible with the variable's type constraint: a number is required."]),
    (RULE.replace("var.v > 5", "true"), {"flags": [("v", "6")]}, ['f:4,17-21: Invalid variable validation condition; The condition for variable "v" must refer to var.v in order to test incoming values.']),
    (RULE.replace("var.v > 5", "var.v > local.x"), {"flags": [("v", "6")]}, ['f:4,25-32: Invalid reference in variable validation; The condition for variable "v" can only refer to the variable itself, using var.v.']),
    ("", {"flags": [("zz", "1")], "is_strict": True}, ['<nil>: Undefined -var variable; A "zz" variable was passed in the command line but was not found in known variables. To declare variable "zz", place this block in your job file']),
    ("", {"files": [("v", "zz = 1")], "is_strict": True}, ['<nil>: Undefined variable; A "zz" variable was set but was not found in known variables. To declare variable "zz", place this block in your job files']),
    ("", {"files": [("v", "zz = \n")]}, ["unable to parse var content: v:1,6-2,1: Invalid expression; Expected the start of an expression, but found an invalid expression token."]),
    ("locals { a = local.b }", {}, ['f:1,19-21: Unsupported attribute; This object does not have an attribute named "b".']),
    ('service "x" {}', {}, ['f:1,1-8: Unsupported block type; Blocks of type "service" are not expected here.']),
    ('job "i" {}', {}, ['f:2,1-8: Duplicate job block; Only one block of type "job" is allowed. Previous definition was at f:1,1-8.']),
]  # fmt: skip


@pytest.mark.parametrize(("source", "inputs", "wanted"), BAD)
def test_what_is_wrong(source: str, inputs: dict[str, Any], wanted: list[str]) -> None:
    assert lines(source, **inputs)[: len(wanted)] == wanted


def test_an_undeclared_name_is_a_warning_unless_strict() -> None:
    assert name_of('locals { n = "x" }', files=[("v", "zz = 1")], flags=[("yy", "1")]) == "x"
    found = lines('variable "v" {}', files=[("v", "zz = 1")])
    assert found[0].startswith('<nil>: Undefined variable; A "zz"') and found[1] == "<nil>: " + UNSET.format("v")


def test_variables_are_known_by_kind() -> None:
    source = (
        'variable "s" { default = "x" }\nvariable "l" { default = ["x"] }\nvariable "u" { default = null }\njob "j" {}'
    )
    parsed = parse_file(source, "f", Inputs())
    assert parsed.simple_variables == {"s", "u"} and parsed.complex_variables == {"l"}
