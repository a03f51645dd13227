"""HCL documents of constants: what they say, and what is said of bad ones."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yurt.server.hcl.diagnostics import HclError
from yurt.server.hcl.document import load_document

GOOD: list[tuple[str, dict[str, Any]]] = [
    ("", {}),
    ('a = "b"', {"a": "b"}),
    ('a = "x\\n\\"y\\u00e9"', {"a": 'x\n"yé'}),
    ("a = 1\nb = -2.5 # x\n// y\n/* and\none */c = true\nd = null", {"a": 1, "b": -2.5, "c": True, "d": None}),
    ('server {\n  on = true\n  j { r = ["a", "b",] }\n}', {"server": {"on": True, "j": {"r": ["a", "b"]}}}),
    ('plugin "raw_exec" { config { enabled = true } }', {"plugin": {"raw_exec": {"config": {"enabled": True}}}}),
    ("meta = {\n  a = 1\n  \"b c\" : [1,\n2]\n}", {"meta": {"a": 1, "b c": [1, 2]}}),
    ("a { x = 1 }\na { y = 2 }", {"a": {"x": 1, "y": 2}}),
    ("t = <<EOT\none\n  two\nEOT\n", {"t": "one\n  two\n"}),
    ("t = <<-EOT\n    one\n      two\n    EOT\n", {"t": "one\n  two\n"}),
]  # fmt: skip

BAD = [
    ("a = ", "1,5-5: Missing expression"),
    ("a {", "1,3-4: Unclosed configuration block"),
    ('a = "b', "1,7-7: Unterminated template string"),
    ("a = 1\na = 2", '2,1-2: Attribute redefined; The argument "a" was already set at test.hcl:1,1-2.'),
    ("a = 1 b = 2", "1,7-8: Missing newline after argument"),
    ("a = [1 2]", "1,8-9: Missing item separator"),
    ("a = b", "1,5-6: Constant required"),
    ('a = "${b}"', "1,5-11: Constant required"),
    ("a = <<EOT\nx", "2,2-2: Unterminated template string"),
    ("a = ?", "1,5-6: Invalid expression"),
    ("a = 1\nb = @", "2,5-6: Invalid character"),
    ("{" * 100, "1,65-66: Limit exceeded; Nested more than 64 deep"),
    ("a = " + "[" * 100, "1,69-70: Limit exceeded; Nested more than 64 deep"),
]


@pytest.mark.parametrize(("source", "wanted"), GOOD)
def test_constants_are_read(source: str, wanted: dict[str, Any]) -> None:
    assert load_document(source, "test.hcl") == wanted


@pytest.mark.parametrize(("source", "wanted"), BAD)
def test_errors_name_the_place(source: str, wanted: str) -> None:
    with pytest.raises(HclError) as caught:
        load_document(source, "test.hcl")
    assert wanted in str(caught.value)
    assert str(caught.value).startswith("test.hcl:")


@given(st.text(alphabet='ab="{}[]<\n\\$ 1,.#/*-', max_size=60))
def test_any_text_is_read_or_refused(source: str) -> None:
    with contextlib.suppress(HclError):
        assert isinstance(load_document(source, "test.hcl"), dict)
