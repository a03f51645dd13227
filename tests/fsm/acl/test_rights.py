"""What rules allow: exact names before globs, the closest glob, deny before everything (spec acl §2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yurt.fsm.acl.capabilities import NAMESPACE_CAPABILITIES
from yurt.fsm.acl.rights import ALL, NONE, Labels, Rights
from yurt.fsm.lang.glob import matches_glob
from yurt.server.acl.policy_text import parse_rules


def rights(*texts: str) -> Rights:
    return Rights(parse_rules(text) for text in texts)


LABELS = [
    # rules (label → capabilities), name, what applies
    ({"a": ["x"], "a*": ["y"]}, "a", {"x"}),
    ({"a": [], "a*": ["y"]}, "a", set()),
    ({"a*": ["x"], "*": ["y"]}, "ab", {"x"}),
    ({"a*": ["x"], "*": ["y"]}, "b", {"y"}),
    ({"*-prod": ["x"], "web-*": ["y"]}, "web-prod", {"x"}),
    ({"web-*": ["y"], "*-production": ["x"]}, "web-production", {"x"}),
    ({"a*b*": ["x"], "a*": ["y"]}, "ab", {"x"}),
    ({"a*": ["deny", "x"], "*": ["y"]}, "ab", set()),
    ({"b*": ["x"]}, "a", set()),
    ({"*a*": ["x"], "a*": ["y"]}, "a", {"x"}),
]


@pytest.mark.parametrize(("rules", "name", "expected"), LABELS)
def test_which_label_applies(rules: dict[str, list[str]], name: str, expected: set[str]) -> None:
    assert Labels(rules.items()).of(name) == expected


words = st.text("ab*-", min_size=1, max_size=5)


@given(st.dictionaries(words, st.sets(st.sampled_from(["x", "y", "deny"])), max_size=5), st.text("ab-", max_size=5))
def test_labels_grant_only_what_a_fitting_rule_says(rules: dict[str, set[str]], name: str) -> None:
    found = Labels(rules.items()).of(name)
    if name in rules:
        assert found == (set() if "deny" in rules[name] else rules[name])
        return
    fitting = [said for glob, said in rules.items() if "*" in glob and matches_glob(glob, name)]
    assert found in [set() if "deny" in said else said for said in fitting] if fitting else found == frozenset()


def test_the_same_label_of_several_policies_unites_and_deny_empties() -> None:
    read, submit = 'namespace "a" { policy = "read" }', 'namespace "a" { capabilities = ["submit-job"] }'
    both = rights(read, submit)
    assert both.in_namespace("a", "submit-job") and both.in_namespace("a", "read-job")
    denied = rights(read, submit, 'namespace "a" { policy = "deny" }')
    assert not any(denied.in_namespace("a", one) for one in NAMESPACE_CAPABILITIES)
    assert not denied.sees_namespace("a")


def test_any_of_several_capabilities_is_enough() -> None:
    one = rights('namespace "a" { capabilities = ["purge-job"] }')
    assert one.in_namespace("a", "submit-job", "purge-job") and not one.in_namespace("a", "submit-job")
    assert one.in_namespace("*", "purge-job") and not one.in_namespace("*", "submit-job")
    assert not one.in_namespace("b", "purge-job")


@pytest.mark.parametrize(
    ("texts", "reads", "writes"),
    [
        (['node { policy = "read" }'], True, False),
        (['node { policy = "write" }'], True, True),
        (['node { policy = "read" }', 'node { policy = "write" }'], True, True),
        (['node { policy = "write" }', 'node { policy = "deny" }'], False, False),
        (['node { policy = "scale" }'], False, False),
        (['agent { policy = "write" }'], False, False),
        ([""], False, False),
    ],
)
def test_nodes(texts: list[str], reads: bool, writes: bool) -> None:
    one = rights(*texts)
    assert (one.with_cluster("node", "read"), one.with_cluster("node", "write")) == (reads, writes)


def test_operators() -> None:
    one = rights('operator { policy = "read" capabilities = ["snapshot-save"] }')
    allowed = [
        word
        for word in ("read", "write", "snapshot-save", "keyring-read", "keyring-rotate")
        if one.with_cluster("operator", word)
    ]
    assert allowed == ["read", "snapshot-save", "keyring-read"]
    assert not rights('operator { capabilities = ["deny", "keyring-read"] }').with_cluster("operator", "keyring-read")


def test_pools_and_volumes() -> None:
    one = rights(
        'node_pool "gpu" { policy = "read" }',
        'node_pool "*" { policy = "write" }',
        'host_volume "d*" { policy = "read" }',
    )
    assert not one.with_pool("gpu", "write") and one.with_pool("gpu", "read") and one.with_pool("x", "delete")
    assert one.with_volume("data", "mount-readonly") and not one.with_volume("data", "mount-readwrite")
    assert one.with_any_pool() and not NONE.with_any_pool()


def test_variables() -> None:
    one = rights(
        """
        namespace "default" { variables {
          path "app/*" { capabilities = ["read"] }
          path "app/secret" { capabilities = ["deny"] }
          path "app/own/*" { capabilities = ["write", "destroy"] }
        } }
        namespace "t-*" { variables { path "*" { capabilities = ["list"] } } }
        """
    )
    assert one.with_variable("default", "app/x", "read") and one.with_variable("default", "app/x", "list")
    assert not one.with_variable("default", "app/secret", "read")
    assert one.with_variable("default", "app/own/a", "write") and not one.with_variable("default", "app/own/a", "read")
    assert one.with_variable("t-1", "anything/at/all", "list") and not one.with_variable("t-1", "a", "read")
    assert one.with_any_variable() and not one.with_variable("other", "app/x", "read")


def test_management_and_nobody() -> None:
    assert ALL.in_namespace("x", "read-job") and ALL.with_cluster("operator", "write") and ALL.with_pool("x", "read")
    assert not NONE.in_namespace("*", *NAMESPACE_CAPABILITIES) and not NONE.with_any_variable()
