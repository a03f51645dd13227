"""The scanner and the parser: what they make of good text, what they say of bad text, and that they always answer."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yurt.server.hcl.bodies import parse, parse_expression, parse_with_diagnostics
from yurt.server.hcl.diagnostics import HclError, LimitError, Range, Source, suggestion
from yurt.server.hcl.graphemes import clusters, count_clusters
from yurt.server.hcl.nodes import Binary, Conditional, Literal, Node, Template, Traversal
from yurt.server.hcl.scanner import Scanner

NEXT = ' To set an argument, use the equals sign "=" to introduce the argument value.'
SEVERAL = "If you intended to given an attribute name"
BAD = [
    ("a = 1 = 2", "1,7-8: Missing newline after argument; An argument definition must end with a newline."),
    ("a = 1, b = 2", "1,6-7: Unexpected comma after argument; Argument definitions must be separated by newlines"),
    ('"x" = 1', "1,1-2: Invalid argument name; Argument names must not be quoted."),
    ("type: 1", f"1,1-5: Argument or block definition required; An argument or block definition is required here.{NEXT}"),
    ("a.b = 1", "1,1-2: Argument or block definition required"),
    ("2a = 1", "1,1-2: Argument or block definition required; An argument or block definition is required here."),
    ("a b c\n", "1,6-2,1: Invalid block definition; A block definition must have block content delimited by"),
    ('a "b" = 1', '1,7-8: Invalid block definition; The equals sign "=" indicates an argument definition'),
    ('a "b" 5 {}', "1,7-8: Invalid block definition; Either a quoted string block label or an opening brace"),
    ('a "${b}" {}', '1,4-6: Invalid string literal; Template sequences are not allowed in this string. To include a literal "$", double it'),
    ("a { b = 1, c = 2 }", "1,10-11: Invalid single-argument block definition; Single-line block syntax can include only"),
    ("a { b = 1 c = 2 }", "1,11-12: Invalid single-argument block definition; A single-line block definition must end"),
    ("a { b = 1\n}", "1,10-2,1: Invalid single-argument block definition; An argument definition on the same line"),
    ("a { b {} }", '1,5-8: Argument definition required; A single-line block definition can contain only a single argument. If you meant to define argument "b"'),
    ("a {} b {}", "1,6-7: Missing newline after block definition; A block definition must end with a newline."),
    ("a {\n b {\n", "2,4-5: Unclosed configuration block"),
    ("a = 1\na = 2", '2,1-2: Attribute redefined; The argument "a" was already set at 1,1-2. Each argument may be set only once.'),
    ("a = ", "1,5-5: Missing expression; Expected the start of an expression, but found the end of the file."),
    ("a = -\n", "1,6-2,1: Invalid expression; Expected the start of an expression, but found an invalid expression token."),
    ("a = [1 2]", "1,8-9: Missing item separator; Expected a comma to mark the beginning of the next item."),
    ("a = {b = 1 c = 2}", "1,12-13: Missing attribute separator; Expected a newline or comma"),
    ("a = {b c = 1}", f'1,8-9: Missing key/value separator; Expected an equals sign ("=") to mark the beginning of the attribute value. {SEVERAL}'),
    ("a = {b\n}", '1,7-2,1: Missing attribute value; Expected an attribute value, introduced by an equals sign ("=").'),
    ("a = b ? c\n", "1,10-2,1: Missing false expression in conditional; The conditional operator (...?...:...) requires a false expression"),
    ("a = (1\n", "2,1-1: Unbalanced parentheses; Expected a closing parenthesis to terminate the expression."),
    ("a = b[1\n", '2,1-1: Missing close bracket on index; The index operator must end with a closing bracket ("]").'),
    ("a = b.\n", "1,7-2,1: Invalid attribute name; An attribute name is required after a dot."),
    ("a = b.0.1", "1,7-10: Invalid legacy index syntax"),
    ("a = 1.2.3", "1,5-10: Invalid number literal"),
    ("a = f(1", "1,5-7: Unterminated function call"),
    ("a = f(1 2)", "1,9-10: Missing argument separator; A comma is required"),
    ("a = f(b..., c)", "1,11-12: Missing closing parenthesis"),
    ("a = [for b]", "1,11-12: Invalid 'for' expression; For expression requires the 'in' keyword after its name declarations."),
    ("a = {for b in c : d}", "1,19-20: Invalid 'for' expression; Key expression is required when building an object."),
    ("a = [for b in c : d => e]", "1,21-23: Invalid 'for' expression; Key expression is not valid when building a tuple."),
    ('a = "x\n', "1,7-2,1: Invalid multi-line string; Quoted strings may not be split over multiple lines."),
    ('a = "x\\q"', '1,7-9: Invalid escape sequence; The symbol "q" is not a valid escape sequence selector.'),
    ('a = "\\u12"', "1,6-10: Invalid escape sequence; The \\u escape sequence must be followed by four hexadecimal digits."),
    ('a = "${b c}"', "1,10-11: Extra characters after interpolation expression; Expected a closing brace to end"),
    ('a = "${b:c}"', "1,9-10: Extra characters after interpolation expression; Template interpolation doesn't expect a colon"),
    ('a = "x${b"\n', "1,11-2,1: Invalid multi-line string"),
    ('a = "%{ if b }x"', "1,16-17: Unexpected end of template; The if directive at 1,6-15 is missing its corresponding endif directive."),
    ('a = "%{ endif }"', "1,6-16: Unexpected endif directive; The control directives within this template are unbalanced."),
    ('a = "%{ fi }"', '1,9-11: Invalid template control keyword; "fi" is not a valid template control keyword. Did you mean "if"?'),
    ("a = <<X\nfoo\n", "3,1-1: Unterminated template string; No closing marker was found for the string."),
    ("a = 'b'", '1,5-6: Invalid character; Single quotes are not valid. Use double quotes (") to enclose strings.'),
    ("a = `b`", '1,5-6: Invalid character; The "`" character is not valid. To create a multi-line string, use the "heredoc" syntax'),
    ("a = 1; b = 2", '1,6-7: Invalid character; The ";" character is not valid.'),
    ("a = b & c", '1,7-8: Unsupported operator; Bitwise operators are not supported. Did you mean boolean AND ("&&")?'),
    ("a = “b”", '1,5-6: Invalid character; "Curly quotes" are not valid here.'),
    ("a = @", "1,5-6: Invalid character; This character is not used within the language."),
    ("a = \udc80", "1,5-6: Invalid character encoding; All input files must be UTF-8 encoded."),
    ('a = ["日本", é] x', "1,15-16: Missing newline after argument"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "wanted"), BAD)
def test_bad_text_is_told_where_and_why(source: str, wanted: str) -> None:
    found = parse_with_diagnostics(Source(source, "f"))[1]
    assert wanted in str(found[0]).replace("f:", "")
    with pytest.raises(HclError) as caught:
        parse(Source(source, "f"))
    rest = len(found) - 1
    assert str(caught.value) == str(found[0]) + (f", and {rest} other diagnostic(s)" if rest else "")


def node(source: str) -> Node:
    return parse_expression(Source(source, "f"))


def test_operators_bind_by_precedence_and_to_the_left() -> None:
    tree = node("1 + 2 * 3 - 4 == 5 && !a || b")
    assert isinstance(tree, Binary) and tree.operator == "||"
    assert isinstance(tree.left, Binary) and tree.left.operator == "&&"
    equal = tree.left.left
    assert isinstance(equal, Binary) and equal.operator == "=="
    minus = equal.left
    assert isinstance(minus, Binary) and minus.operator == "-" and minus.range.text == "1 + 2 * 3 - 4"
    assert isinstance(minus.left, Binary) and minus.left.operator == "+"
    nested = node("a ? 1 : b ? 2 : 3")
    assert isinstance(nested, Conditional) and isinstance(nested.no, Conditional)


@pytest.mark.parametrize(
    ("source", "start"),
    [
        ("12", "12"), ('"abc"', "abc"), ('"${x}"', '"${x}"'), ("f(1)", "f("), ("[1]", "["), ("{a=1}", "{"),
        ("[for a in b : a]", "["), ("a[b]", "["), ("-a", "-"), ("a.b + 1", "a.b"), ("a.b ? 1 : 2", "a.b"),
        ("a[*].b", "[*]"), ('a["b"].c', 'a["b"].c'), ("(a)", "(a)"), ('"x${y}"', "x"),
    ],
)  # fmt: skip
def test_diagnostics_point_at_the_start_of_an_expression(source: str, start: str) -> None:
    assert node(source).start.text == start


def test_a_literal_index_is_part_of_the_name_and_a_string_a_template() -> None:
    tree = node('a.b["c"][0].d')
    assert isinstance(tree, Traversal) and [step.key for step in tree.steps] == ["b", "c", 0, "d"]
    text = node('"a\\tb"')
    assert isinstance(text, Template) and isinstance(text.parts[0], Literal) and text.parts[0].value == "a\tb"


def test_a_body_keeps_order_labels_and_ranges() -> None:
    body = parse(Source('a = 1\nb x "y" {\n  c = 2\n}\nb {}\n', "f"))
    assert list(body.attributes) == ["a"] and [one.labels for one in body.blocks] == [["x", "y"], []]
    assert str(body.blocks[0].header) == "f:2,1-8" and str(body.blocks[0].body.attributes["c"].range) == "f:3,3-8"


def test_columns_count_characters_as_people_see_them() -> None:
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert clusters(f"e\u0301{family}\U0001f1e9\U0001f1ea\U0001f1eb\r\n") == [
        "e\u0301", family, "\U0001f1e9\U0001f1ea", "\U0001f1eb", "\r\n",
    ]  # fmt: skip
    assert count_clusters("각가") == 2 and count_clusters("abc") == 3
    assert str(Range(Source(f'"{family}" x', "f"), 8, 9)) == "f:1,5-6"


def test_suggestions_are_the_first_near_name() -> None:
    assert suggestion("uper", ["upper", "super", "lower"]) == "super"
    assert suggestion("completely", ["upper"]) == ""


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "a = " + "(" * 100_000, "a = " + "a[0]" * 100_000, "a " + "{" * 100_000]
)
def test_depth_is_bounded(text: str) -> None:
    with pytest.raises(LimitError):
        parse(Source(text, "f"))


ALPHABET = st.sampled_from([*'ab1."{}[]()=,:?!-+*/<>\n\\$%~#& é', '"${', "%{ if ", "<<E\n", "\nE\n", "for ", " in ", "..."])  # fmt: skip
TEXTS = st.lists(ALPHABET, max_size=40).map("".join)


@given(TEXTS)
def test_tokens_cover_the_text_in_order(text: str) -> None:
    with contextlib.suppress(LimitError):
        at = 0
        for token in Scanner(Source(text, "f")).tokens():
            skipped = text[at : token.start]
            assert token.text == text[token.start : token.end] and token.start >= at
            assert not skipped.strip(" \t") or skipped.lstrip(" \t")[:1] in "#/"
            at = token.end
        assert at == len(text)


@given(TEXTS)
def test_any_text_is_read_or_told_what_is_wrong(text: str) -> None:
    with contextlib.suppress(HclError):
        parse(Source(text, "f"))
