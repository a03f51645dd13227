"""Who may ask what of a server: every method that is served, with every kind of caller."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from yurt.server.cluster.peer_methods import PEER_METHODS
from yurt.server.raft.transport.callers import RAFT, Caller, kind_of, may_call

ROOT = Path(__file__).resolve().parents[3]
MEMBERS_ONLY = {
    "http", "keyring.get", "keyring.put", "keyring.status", "keyring.kek.get", "keyring.kek.put", "restore", "events",
}  # fmt: skip
MORE_THAN_MEMBERS = {
    RAFT: {Caller.JOINER, Caller.UNPROVED},
    "join": {Caller.JOINER},
    "pysyncobj.members": {Caller.JOINER},
}


@pytest.mark.parametrize("kind", Caller)
@pytest.mark.parametrize("method", sorted(PEER_METHODS))
def test_s5_each_method_is_for_the_kinds_that_need_it_alone(method: str, kind: Caller) -> None:
    expected = kind is Caller.MEMBER or kind in MORE_THAN_MEMBERS.get(method, ())
    assert may_call(PEER_METHODS, method, kind) is expected


@pytest.mark.parametrize("kind", Caller)
def test_a_method_without_a_row_is_for_nobody(kind: Caller) -> None:
    assert not may_call(PEER_METHODS, "keyring.steal", kind)


@pytest.mark.parametrize("is_listed", [True, False])
@pytest.mark.parametrize("is_proved", [True, False])
def test_the_kind_of_a_server(is_proved: bool, is_listed: bool) -> None:
    kind = kind_of("s1", members=("s1",) if is_listed else ("s2",), is_proved=is_proved)
    assert kind is (Caller.MEMBER if is_listed else Caller.JOINER if is_proved else Caller.UNPROVED)


def constants_of(tree: ast.Module) -> dict[str, object]:
    """The constants of a module, its own and those that it imports from the product, by name."""
    found: dict[str, object] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("yurt."):
            module = (ROOT / str(node.module).removeprefix("yurt.").replace(".", "/")).with_suffix(".py")
            names = {alias.name for alias in node.names if alias.name.isupper()}
            theirs = own_constants(ast.parse(module.read_text())) if names and module.exists() else {}
            found.update({name: theirs[name] for name in names & theirs.keys()})
    return found | own_constants(tree)


def own_constants(tree: ast.Module) -> dict[str, object]:
    """The constants that a module defines, by name."""
    found: dict[str, object] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            names, value = node.targets[0], node.value
            are_many = isinstance(names, ast.Tuple) and isinstance(value, ast.Tuple)
            pairs = zip(names.elts, value.elts, strict=True) if are_many else [(names, value)]  # type: ignore[attr-defined]
            for name, constant in pairs:
                if isinstance(name, ast.Name) and isinstance(constant, ast.Constant):
                    found[name.id] = constant.value
    return found


def served_methods() -> dict[str, str]:
    """Every method that a file of the server serves, by its name → the file."""
    found = {}
    for path in (ROOT / "server").rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                is_transport = ast.unparse(node.func.value).endswith("transport")
                if is_transport and node.func.attr in ("serve", "serve_asker"):
                    given = node.args[0]
                    method = constants_of(tree)[given.id] if isinstance(given, ast.Name) else ast.literal_eval(given)
                    found[str(method)] = path.name
    return found


def test_every_served_method_has_its_row_and_every_row_is_served() -> None:
    assert set(served_methods()) | {RAFT} == set(PEER_METHODS)
    assert set(PEER_METHODS) == MEMBERS_ONLY | set(MORE_THAN_MEMBERS)
