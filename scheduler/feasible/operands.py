"""The operands of constraints and affinities, and the node targets they compare (spec scheduling §11.1, §11.2)."""

from __future__ import annotations

from yurt.fsm.lang.regex import BadPattern, found_in
from yurt.fsm.lang.version import meets
from yurt.fsm.structs.constraint import Affinity, Constraint
from yurt.fsm.structs.node import Node

DISTINCT_HOSTS, DISTINCT_PROPERTY = "distinct_hosts", "distinct_property"
ESCAPING = ("${node.unique.", "${attr.unique.", "${meta.unique.", "${unique.")
_ORDERED = {"<", "<=", ">", ">="}


def resolve(target: str, node: Node) -> str | None:
    """The value of a target on a node, None if it is not there; a text without `${` stands for itself."""
    if not target.startswith("${"):
        return target
    name = target[2:].removesuffix("}")
    if name.startswith("attr."):
        return (node.attributes or {}).get(name[5:])
    if name.startswith("meta."):
        return (node.meta or {}).get(name[5:])
    if not name.startswith("node."):
        return None
    fixed = {
        "node.unique.id": node.id,
        "node.unique.name": node.name,
        "node.datacenter": node.datacenter,
        "node.class": node.node_class,
        "node.pool": node.node_pool,
    }
    return fixed.get(name)


def escapes(condition: Constraint | Affinity) -> bool:
    """Whether a condition may differ between nodes of one class."""
    return condition.ltarget.startswith(ESCAPING) or condition.rtarget.startswith(ESCAPING)


def node_meets(condition: Constraint | Affinity, node: Node) -> bool:
    """Whether a node meets a constraint or matches an affinity (not the distinct ones)."""
    return holds(condition.operand, resolve(condition.ltarget, node), resolve(condition.rtarget, node))


def holds(operand: str, left: str | None, right: str | None) -> bool:
    """Whether an operand holds between two values of which each may be missing."""
    if operand in ("!=", "not"):
        return left != right
    if operand == "is_set":
        return left is not None
    if operand == "is_not_set":
        return left is None
    if left is None or right is None:
        return False
    if operand in ("=", "==", "is"):
        return left == right
    if operand in _ORDERED:
        return _ordered(operand, left, right)
    if operand in ("version", "semver"):
        return meets(left, right, strict=operand == "semver")
    if operand == "regexp":
        try:
            return found_in(right, left)
        except BadPattern:
            return False
    if operand in ("set_contains", "set_contains_all", "set_contains_any"):
        has = frozenset(one.strip() for one in left.split(","))
        wanted = [one.strip() for one in right.split(",")]
        some = operand == "set_contains_any"
        return any(one in has for one in wanted) if some else all(one in has for one in wanted)
    return False


def _ordered(operand: str, left: str, right: str) -> bool:
    """As integers if both are, else as numbers if both are, else by their bytes."""
    for kind in (_integer, _number):
        one, other = kind(left), kind(right)
        if one is not None and other is not None:
            return compares(operand, (one > other) - (one < other))
    one_bytes, other_bytes = left.encode(), right.encode()
    return compares(operand, (one_bytes > other_bytes) - (one_bytes < other_bytes))


def compares(operand: str, order: int) -> bool:
    """Whether an order of -1, 0 or 1 is what `<`, `<=`, `>` or `>=` asks for."""
    return (order == 0 and operand.endswith("=")) or order == (-1 if operand[0] == "<" else 1)


def _integer(text: str) -> int | None:
    return int(text) if text.lstrip("+-").isdigit() and text.isascii() and len(text) < 20 else None


def _number(text: str) -> float | None:
    try:
        return float(text) if "_" not in text else None
    except ValueError:
        return None


def is_distinct_hosts(constraint: Constraint) -> bool:
    """Whether it is a distinct_hosts that is switched on (what cannot be read is on)."""
    return constraint.operand == DISTINCT_HOSTS and constraint.rtarget.lower() not in ("false", "f", "0")


def property_limit(constraint: Constraint) -> int:
    """How many allocations may share a value."""
    return int(constraint.rtarget) if constraint.rtarget.isdigit() else 1
