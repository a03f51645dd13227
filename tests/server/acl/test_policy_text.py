"""Policies from text; the refusals' exact words are recorded by the conformance kit."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yurt.fsm.structs.base import to_builtins
from yurt.server.acl.hcl1 import Hcl1Error, read
from yurt.server.acl.policy_text import RulesError, parse_rules

SAME = [
    ('node { policy = "read" }', '{"node": {"policy": "read"}}'),
    ('node{policy="read"}', '{"node": [{"policy": "read"}]}'),
    ('# a\nnode { // b\n policy = /* c */ "read"\n}', '{"node": {"policy": "read"}}'),
    ('namespace "a" { policy = "write" }', '{"namespace": {"a": {"policy": "write"}}}'),
    ('namespace "a" { policy = "write" }\nnamespace "b" { policy = "read" }',
     '{"namespace": {"a": {"policy": "write"}, "b": {"policy": "read"}}}'),
    ('namespace "a" { variables { path "x" { capabilities = ["read", "write",] } } }',
     '{"namespace": {"a": {"variables": {"path": {"x": {"capabilities": ["read", "write"]}}}}}}'),
    ('namespace a { capabilities = ["alloc-exec"] }', '{"namespace": {"a": {"capabilities": ["alloc-exec"]}}}'),
    ('operator = { policy = "read" }', '{"operator": {"policy": "read"}}'),
]  # fmt: skip


@pytest.mark.parametrize(("hcl", "text"), SAME)
def test_hcl_and_json_say_the_same(hcl: str, text: str) -> None:
    first, second = to_builtins(parse_rules(hcl)), to_builtins(parse_rules(text))
    assert first.pop("Raw") == hcl and second.pop("Raw") == text
    assert first == second


BAD = [
    'namespace "a" {', 'namespace "a" { policy = }', 'node "', 'node { policy = read }', "}", "= 1", "node { policy = 1 }",
    'namespace "a" { capabilities = "read-job" }', '{"node": ', '{"namespace": {"a": {"capabilities": [1]}}}', "[1]",
    'namespace "a" { variables { path = 3 } }', '{"namespace": {"a": {"variables": {"path": {"x": 1}}}}}', "node = 3",
    'quota { policy = "list" }', 'node { policy = "read" }\nnode { policy = "write" }', 'a "b" "c" = 1', "node {{{{",
    'namespace "x" { capabilities = [["a"]] }', "\x00", "é = 1",
]  # fmt: skip


@pytest.mark.parametrize("text", BAD)
def test_refused(text: str) -> None:
    with pytest.raises(RulesError):
        parse_rules(text)


def test_nesting_has_a_limit() -> None:
    with pytest.raises(Hcl1Error):
        read("a {" * 100 + "}" * 100)
    with pytest.raises(RulesError):
        parse_rules(json.dumps({"node": json.loads('{"a":' * 60 + "1" + "}" * 60)}))


pieces = st.sampled_from(
    ['namespace "default"', "node", "{", "}", "=", "policy", '"read"', "capabilities", "[", "]", ",", "variables", "path",
     '"x/*"', "\n", "# c\n", '"a', "1", "true", "<<E\nx\nE\n", "operator"]
)  # fmt: skip


@given(st.lists(pieces, max_size=14).map(" ".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(RulesError):
        assert parse_rules(text).raw == text
