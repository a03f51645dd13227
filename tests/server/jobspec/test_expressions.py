"""Expressions: operators, conversions, templates, names for the node, and the text of every error."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.jobspec.evaluation import good, wrong

VALUES: list[tuple[str, Any]] = [
    ("1 + 2 * 3 - 4 / 8", 6.5), ("(1 + 2) * 3", 9), ("7 % 3", 1), ("-7 % 3", -1), ("7 % -3", 1), ("7 % 2.5", 2),
    ("0.1 + 0.2 == 0.3", True), ('"5" * "2"', 10), ('-"3"', -3), ('!"true"', False), ("1 < 2 && 2 <= 2 || false", True),
    ('1 == "1"', False), ("[1, 2] == [1, 2]", True), ("{ a = 1 } == { a = 1 }", True), ("null == null", True),
    ("1 != null", True), ('true ? 1 : "x"', "1"), ("false ? 1 : null", None), ("true ? [1] : [1, 2]", [1]),
    ("true ? { a = 1 } : { b = 2 }", {"a": 1}), ('true ? [1] : ["a"]', ["1"]), ("1 / 0 > 5", True),
    ("08 + 1.50 + 1e2", 109.5), ("100000000000000000001 - 1", 100000000000000000000),
    ("[for v in [1, 2, 3] : v * 2 if v != 2]", [2, 6]), ("[for k, v in { b = 1, a = 2 } : \"${k}${v}\"]", ["a2", "b1"]),
    ("{ for v in [\"a\"] : v => 1 }", {"a": 1}), ("{ for k, v in [\"a\"] : k => v }", {"0": "a"}),
    ('{ for v in ["ab", "ac", "b"] : substr(v, 0, 1) => v... }', {"a": ["ab", "ac"], "b": ["b"]}),
    ("[{ a = 1 }, { a = 2 }][*].a", [1, 2]), ("[{ a = 1 }].*.a", [1]), ("{ a = 1 }[*].a", [1]), ("null[*].a", []),
    ("[[1], [2]][*][0]", [1, 2]), ("[1, 2][\"1\"]", 2), ("[1, 2].1", 2), ("{ \"a.b\" = 1 }[\"a.b\"]", 1),
    ("{ a = 1, a = 2 }", {"a": 2}), ("{ \"k\" : 1, (\"x${1}\") = 2, true = 3 }", {"k": 1, "x1": 2, "true": 3}),
    ("max([1, 5]...)", 5), ('"a${1.0}b${true}"', "a1btrue"), ('"${[1]}"', [1]), ('"$${x} %%{y} $$ % $"', "${x} %{y} $$ % $"),
    ('"%{ if 1 == 1 }y%{ else }n%{ endif }"', "y"), ('"%{ for i, v in ["a", "b"] }${i}${v} %{ endfor }"', "0a 1b "),
    ('"a  %{~ if true ~}  b  %{~ endif ~}  c"', "abc"), ('"\\u00e9\\n\\"\\\\"', 'é\n"\\'),
    ("<<E\n  a\\n\n${1}\nE\n", "  a\\n\n1\n"), ("<<-E\n    a\n\n      b\n    E\n", "a\n\n  b\n"),
    ("<<-E\n  %{ for x in [1, 2] ~}\n  - ${x}\n  %{ endfor ~}\n  E\n", "  - 1\n  - 2\n"),
    ("node.class", "${node.class}"), ('"${ node.class }"', "${ node.class }"), ('"a${meta.x-y}b"', "a${meta.x-y}b"),
    ('"${env["HOME"]}"', '${env["HOME"]}'), ("upper(node.dc)", "${NODE.DC}"), ('"{${a.b}}"', "{${a.b}}}"),
    ('"{{ ${a.b} }}"', "{{ ${a.b} } }} }}"), ("try(a.b, 1)", "${a.b}"), ("can(local.x)", False), ("try(local.x, 1)", 1),
    ('convert({ a = "1" }, object({ a = number }))', {"a": 1}), ("1e21", 10**21), ('"x${1e21}"', "x1000000000000000000000"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "wanted"), VALUES)
def test_values(source: str, wanted: Any) -> None:
    assert good(source) == wanted


ERRORS = [
    ('"a" < "b"', "1,1-4: Invalid operand; Unsuitable value for left operand: a number is required."),
    ("!1", "1,2-3: Invalid operand; Unsuitable value for unary operand: bool required, but have number."),
    ("1 + null", "1,1-9: Operation failed; Error during operation: argument must not be null."),
    ("0 / 0", "1,1-6: Operation failed"),
    ("1 ? 2 : 3", "1,1-2: Incorrect condition type; The condition expression must be of type bool."),
    ("null ? 2 : 3", "1,1-5: Null condition; The condition value is null. Conditions must either be true or false."),
    ("true ? 1 : [1]", "1,8-15: Inconsistent conditional result types; The true and false result expressions must have consistent types. The 'true' value is number, but the 'false' value is tuple."),
    ('"x${null}"', "1,5-9: Invalid template interpolation value; The expression result is null. Cannot include a null value in a string template."),
    ('"x${[1]}"', "1,5-8: Invalid template interpolation value; Cannot include the given value in a string template: string required, but have tuple."),
    ("local.x", '1,6-8: Unsupported attribute; This object does not have an attribute named "x".'),
    ("convert({ a = 1 }, map(number)).b", '1,32-34: Missing map element; This map does not have an element with the key "b".'),
    ("{ a = 1 }[\"b\"]", "1,10-15: Invalid index; The given key does not identify an element in this collection value."),
    ("[1][2]", "1,4-7: Invalid index; The given key does not identify an element in this collection value: the given index is greater than or equal to the length of the collection."),
    ("[1][0.5]", "1,4-9: Invalid index; The given key does not identify an element in this collection value: indexing a sequence requires a whole number, but the given index (0.5) has a fractional part."),
    ("x.*.b", "1,4-6: Unsupported attribute; Can't access attributes on a primitive-typed value (string)."),
    ("[1].b", "1,4-6: Unsupported attribute; This value does not have any attributes."),
    ("[for x in \"a\" : x]", "1,11-14: Iteration over non-iterable value; A value of type string cannot be used as the collection in a 'for' expression."),
    ("[for x in null : x]", "1,11-15: Iteration over null value; A null value cannot be used as the collection in a 'for' expression."),
    ('{ for x in ["a", "a"] : x => 1 }', "1,25-26: Duplicate object key; Two different items produced the key \"a\" in this 'for' expression. If duplicates are expected, use the ellipsis (...) after the value expression to enable grouping by key."),
    ("{ a.b = 1 }", "1,3-6: Ambiguous attribute key"),
    ('uper("x")', '1,1-5: Call to unknown function; There is no function named "uper". Did you mean "upper"?'),
    ("a::b(1)", "1,1-5: Call to unknown function"),
    ('split(",")', '1,10-11: Not enough function arguments; Function "split" expects 2 argument(s). Missing value for "str".'),
    ("format()", '1,8-9: Not enough function arguments; Function "format" expects at least 1 argument(s). Missing value for "format".'),
    ('upper("a", "b")', '1,13-14: Too many function arguments; Function "upper" expects only 1 argument(s).'),
    ("upper([1])", '1,7-8: Invalid function argument; Invalid value for "str" parameter: string required, but have tuple.'),
    ("upper(null)", '1,7-11: Invalid function argument; Invalid value for "str" parameter: argument must not be null.'),
    ("max(1...)", "1,5-6: Invalid expanding argument value; The expanding argument (indicated by ...) must be of a tuple, list, or set type."),
    ('file("x")', '1,1-6: Error in function call; Call to function "file" failed: filesystem function disabled.'),
    ("convert(1, integer)", '1,12-19: Invalid type specification; The keyword "integer" is not a valid type specification.'),
    ("convert([\"a\"], list(number))", '1,9-10: Invalid function argument; Invalid value for "value" parameter: a number is required.'),
    ("convert({ a = [1] }, map(string))", 'Invalid value for "value" parameter: element "a": string required, but have tuple.'),
    ("convert({}, object({ a = string }))", 'Invalid value for "value" parameter: attribute "a" is required.'),
    ('convert("True", bool)', 'a bool is required; to convert from string, use lowercase "true".'),
]  # fmt: skip


@pytest.mark.parametrize(("source", "wanted"), ERRORS)
def test_errors(source: str, wanted: str) -> None:
    assert wanted in wrong(source)
