"""The compiled rights of a set of policies: a check is a lookup (spec acl §2)."""

from __future__ import annotations

from collections.abc import Iterable

from yurt.fsm.acl.capabilities import DENY, LIST, READ, WRITE
from yurt.fsm.lang.glob import matches_glob
from yurt.fsm.structs.acl import PlainRule, PolicyRules

_REMEMBERED_MAX = 4096
_NOTHING: frozenset[str] = frozenset()
_LEVELS = {LIST: frozenset((LIST,)), READ: frozenset((LIST, READ)), WRITE: frozenset((LIST, READ, WRITE))}
_STRENGTH = ("", LIST, READ, WRITE, DENY)


class Labels:
    """Capabilities by label: an exact label wins alone, then the closest glob; equal labels unite, `deny` empties."""

    __slots__ = ("_exact", "_globs", "_remembered")

    def __init__(self, rules: Iterable[tuple[str, Iterable[str]]]) -> None:
        united: dict[str, set[str]] = {}
        for label, capabilities in rules:
            united.setdefault(label, set()).update(capabilities)
        kept = {label: _NOTHING if DENY in found else frozenset(found) for label, found in united.items()}
        self._exact = {label: found for label, found in kept.items() if "*" not in label}
        self._globs = sorted((label, found) for label, found in kept.items() if "*" in label)
        self._remembered: dict[str, frozenset[str]] = {}

    def add(self, name: str, capabilities: Iterable[str]) -> None:
        """One more exact name, unless there is a rule for it; it goes before globs."""
        self._exact.setdefault(name, frozenset(capabilities))

    def of(self, name: str) -> frozenset[str]:
        """The capabilities that apply to a name."""
        found = self._exact.get(name)
        if found is None:
            found = self._remembered.get(name)
        if found is None:
            if len(self._remembered) >= _REMEMBERED_MAX:
                self._remembered.clear()
            found = self._remembered[name] = self._closest(name)
        return found

    def _closest(self, name: str) -> frozenset[str]:
        fitting = [one for one in self._globs if matches_glob(one[0], name)]
        closest = min(fitting, key=lambda one: (len(name) - len(one[0]) + one[0].count("*"), one[0]), default=None)
        return _NOTHING if closest is None else closest[1]

    def anywhere(self) -> Iterable[frozenset[str]]:
        """The capabilities of every label."""
        yield from self._exact.values()
        for _, found in self._globs:
            yield found


class Rights:
    """The rights of a request; `is_management` grants everything."""

    __slots__ = (
        "_agent", "_namespaces", "_node", "_operator", "_plugin", "_pools", "_variables", "_volumes", "is_management",
    )  # fmt: skip

    def __init__(
        self, policies: Iterable[PolicyRules] = (), *, is_management: bool = False, own_variables: Iterable[str] = ()
    ) -> None:
        """`own_variables`: NAMESPACE, NUL and PATH of what a workload may read, unless a rule says otherwise."""
        rules = list(policies)
        self.is_management = is_management
        namespaces = [one for each in rules for one in each.namespaces or ()]
        self._namespaces = Labels((one.name, one.capabilities or ()) for one in namespaces)
        self._pools = Labels((one.name, one.capabilities or ()) for each in rules for one in each.node_pools or ())
        self._volumes = Labels((one.name, one.capabilities or ()) for each in rules for one in each.host_volumes or ())
        self._variables = Labels(
            (f"{one.name}\0{path.path_spec}", path.capabilities or ())
            for one in namespaces
            if one.variables is not None
            for path in one.variables.paths or ()
        )
        for name in own_variables:
            self._variables.add(name, (LIST, READ))
        self._agent, self._node = (_level([getattr(one, kind) for one in rules]) for kind in ("agent", "node"))
        self._plugin = _level([one.plugin for one in rules])
        operators = [one.operator for one in rules if one.operator is not None]
        listed = {word for one in operators for word in one.capabilities or ()}
        allowed = _level([PlainRule(policy=one.policy) for one in operators])
        self._operator = _NOTHING if DENY in listed else allowed | listed

    def in_namespace(self, namespace: str, *any_of: str) -> bool:
        """Whether one of the capabilities is there; `*`: in any namespace."""
        if self.is_management:
            return True
        if namespace == "*":
            return any(not found.isdisjoint(any_of) for found in self._namespaces.anywhere())
        return not self._namespaces.of(namespace).isdisjoint(any_of)

    def sees_namespace(self, namespace: str) -> bool:
        """Whether anything is allowed there."""
        return self.is_management or bool(self._namespaces.of(namespace))

    def sees_any_namespace(self) -> bool:
        """Whether anything is allowed in some namespace."""
        return self.is_management or any(self._namespaces.anywhere())

    def with_pool(self, pool: str, capability: str) -> bool:
        """Whether something is allowed with a node pool."""
        return self.is_management or capability in self._pools.of(pool)

    def with_any_pool(self) -> bool:
        """Whether something is allowed with some node pool."""
        return self.is_management or any(self._pools.anywhere())

    def with_volume(self, volume: str, capability: str) -> bool:
        """Whether something is allowed with a host volume."""
        return self.is_management or capability in self._volumes.of(volume)

    def with_variable(self, namespace: str, path: str, capability: str) -> bool:
        """Whether something is allowed with the variable at a path."""
        return self.is_management or capability in self._variables.of(f"{namespace}\0{path}")

    def with_any_variable(self) -> bool:
        """Whether something is allowed with some variable."""
        return self.is_management or any(self._variables.anywhere())

    def with_cluster(self, what: str, level: str) -> bool:
        """Whether `agent`, `node`, `operator` or `plugin` has a level (list, read, write) or a capability."""
        if self.is_management:
            return True
        allowed: frozenset[str] = getattr(self, f"_{what}")
        return level in allowed


def _level(given: list[PlainRule | None]) -> frozenset[str]:
    """The strongest of what several policies say of the same thing."""
    words = [one.policy for one in given if one is not None and one.policy in _STRENGTH]
    strongest = max(words, key=_STRENGTH.index, default="")
    return _LEVELS.get(strongest, _NOTHING)


ALL = Rights(is_management=True)
NONE = Rights()
