"""Tables of what is compared, and the rules that turn two records into an object of a diff (spec job-model §7).

A `Shape` says what is compared of one record. Texts, numbers, booleans and maps of texts become fields by themselves;
every other member has a part (`One`, `Many`, `Set`, `Flat`) or is left out by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from dataclasses import field as member
from operator import attrgetter
from types import UnionType
from typing import Annotated, Any, Protocol, get_args, get_origin

import msgspec

from yurt.fsm.job.diff.fields import Texts, by_value, fields_of_maps, flatten, in_order, listed, text_of, type_of
from yurt.fsm.job.diff.pairs import Pairing
from yurt.fsm.job.equal import same
from yurt.fsm.structs.diff import ADDED, DELETED, EDITED, NONE, DiffType, FieldDiff, ObjectDiff

_RANK: dict[DiffType, int] = {EDITED: 0, ADDED: 1, DELETED: 2, NONE: 3}
_SCALARS = (str, int, bool)


class Part(Protocol):
    """Members of a record that become objects of their own."""

    @property
    def attr(self) -> str:
        """The member."""

    def objects(self, old: Any, new: Any) -> list[ObjectDiff]:
        """The objects of the member's two values, None where there is none."""


@dataclass(frozen=True)
class Shape:
    """The members of a record that a diff compares.

    `contextual`: fields that are the same are listed too. `primitive`: the type follows from the fields, and an object
    without a changed one is not listed. `null`: how a null number reads; "" leaves it out while it is null.
    """

    record: type[Any]
    parts: tuple[Part, ...] = ()
    without: frozenset[str] = frozenset()
    contextual: bool = True
    primitive: bool = False
    null: str = ""
    scalars: tuple[str, ...] = member(init=False)
    numbers: tuple[tuple[str, str], ...] = member(init=False)
    maps: tuple[tuple[str, str], ...] = member(init=False)
    _names: tuple[str, ...] = member(init=False)
    _values: Callable[[Any], Any] = member(init=False)

    def __post_init__(self) -> None:
        kinds: dict[str, list[tuple[str, str]]] = {"scalar": [], "number": [], "map": []}
        taken = self.without | {part.attr for part in self.parts}
        for one in sorted(msgspec.structs.fields(self.record), key=lambda one: one.encode_name):
            if one.name not in taken:
                kinds[kind_of(one.type)].append((one.name, one.encode_name))
        scalars = kinds["scalar"]
        set_once = object.__setattr__
        set_once(self, "scalars", tuple(attr for attr, _ in scalars))
        set_once(self, "numbers", tuple(kinds["number"]))
        set_once(self, "maps", tuple(kinds["map"]))
        set_once(self, "_names", tuple(name for _, name in scalars))
        set_once(self, "_values", _tuple_of([attr for attr, _ in scalars]))

    def fields(self, old: Any, new: Any) -> list[FieldDiff]:
        """The fields of two records, sorted; None is no record."""
        found = []
        nothing = ("",) * len(self._names)
        before = nothing if old is None else self._values(old)
        after = nothing if new is None else self._values(new)
        for name, a, b in zip(self._names, before, after, strict=True):
            if a != b or self.contextual:
                was, is_ = text_of(a), text_of(b)
                found.append(FieldDiff(name=name, old=was, new=is_, type=type_of(was, is_)))
        for attr, name in self.numbers:
            was, is_ = self._number(old, attr), self._number(new, attr)
            if was != is_ or (self.contextual and was):
                found.append(FieldDiff(name=name, old=was, new=is_, type=type_of(was, is_)))
        for attr, name in self.maps:
            maps = _map(old, attr), _map(new, attr)
            found.extend(fields_of_maps(*maps, contextual=self.contextual, member=name))
        return in_order(found) if self.numbers or self.maps else found

    def _number(self, record: Any, attr: str) -> str:
        if record is None:
            return ""
        value = getattr(record, attr)
        return self.null if value is None else text_of(value)

    def objects(self, old: Any, new: Any) -> list[ObjectDiff]:
        """The objects of two records in the order of the parts."""
        found: list[ObjectDiff] = []
        for part in self.parts:
            before = None if old is None else getattr(old, part.attr)
            after = None if new is None else getattr(new, part.attr)
            if before is not None or after is not None:
                found.extend(part.objects(before, after))
        return found

    def diff(self, name: str, old: Any, new: Any) -> ObjectDiff | None:
        """Two records as an object, None if it is not listed."""
        if same(old, new):
            return None
        fields = self.fields(old, new)
        kind = _type_of_fields(fields) if self.primitive else presence(old, new)
        if kind == NONE:
            return None
        return ObjectDiff(name=name, type=kind, fields=listed(fields), objects=listed(self.objects(old, new)))


@dataclass(frozen=True)
class One:
    """A block that is there or not."""

    attr: str
    name: str
    shape: Shape

    def objects(self, old: Any, new: Any) -> list[ObjectDiff]:
        """At most one object."""
        found = self.shape.diff(self.name, old, new)
        return [] if found is None else [found]


@dataclass(frozen=True)
class Many:
    """A list or map of records, of which `pair` says which are compared."""

    attr: str
    name: str
    shape: Shape
    pair: Pairing

    def objects(self, old: Any, new: Any) -> list[ObjectDiff]:
        """An object for each pair that differs, sorted."""
        pairs = self.pair(old or (), new or ())
        found = [one for a, b in pairs if (one := self.shape.diff(self.name, a, b)) is not None]
        if len(found) > 1:
            found.sort(key=_object_order)
        return found


@dataclass(frozen=True)
class Set:
    """A list of texts of which the order does not count; a `quiet` one is not listed while it stays the same."""

    attr: str
    name: str
    quiet: bool = False

    def objects(self, old: Any, new: Any) -> list[ObjectDiff]:
        """One object whose fields are the members."""
        before, after = dict.fromkeys(old or ()), dict.fromkeys(new or ())
        added = [FieldDiff(name=self.name, new=one, type=ADDED) for one in after if one not in before]
        deleted = [FieldDiff(name=self.name, old=one, type=DELETED) for one in before if one not in after]
        common = [FieldDiff(name=self.name, old=one, new=one) for one in before if one in after]
        kind = EDITED if added and deleted else ADDED if added else DELETED if deleted else NONE
        if kind == NONE and (self.quiet or not common):
            return []
        fields = sorted(added + deleted + common, key=by_value)
        return [ObjectDiff(name=self.name, type=kind, fields=tuple(fields))]


@dataclass(frozen=True)
class Flat:
    """A member read as one flat map of texts."""

    attr: str
    name: str
    read: Callable[[Any], Texts] = flatten
    contextual: bool = True

    def objects(self, old: Any, new: Any) -> list[ObjectDiff]:
        """One object whose fields are the map's entries, if any of them changed."""
        before, after = self.read(old) if old else {}, self.read(new) if new else {}
        if before == after:
            return []
        fields = in_order(fields_of_maps(before, after, contextual=self.contextual))
        return [ObjectDiff(name=self.name, type=presence(old or None, new or None), fields=listed(fields))]


def presence(old: Any, new: Any) -> DiffType:
    """The type of two values that differ: None is one that is not there."""
    return ADDED if old is None else DELETED if new is None else EDITED


def kind_of(type_: Any) -> str:
    """How a member becomes fields: `scalar`, `number` (one that may be null) or `map`; raises TypeError otherwise."""
    if get_origin(type_) is Annotated:
        return kind_of(get_args(type_)[0])
    if type_ in _SCALARS:
        return "scalar"
    members = set(get_args(type_)) if isinstance(type_, UnionType) or get_origin(type_) is not None else set()
    if members == {int, type(None)}:
        return "number"
    if members == {dict[str, str], type(None)}:
        return "map"
    raise TypeError(f"a member of type {type_} needs a part, or to be left out by name")


def _tuple_of(attrs: list[str]) -> Callable[[Any], Any]:
    """A function that reads several members at once."""
    if len(attrs) > 1:
        return attrgetter(*attrs)
    return lambda record: tuple(getattr(record, attr) for attr in attrs)


def _map(record: Any, attr: str) -> Texts:
    return (None if record is None else getattr(record, attr)) or {}


def _type_of_fields(fields: Iterable[FieldDiff]) -> DiffType:
    kinds = {one.type for one in fields} - {NONE}
    if not kinds:
        return NONE
    return kinds.pop() if len(kinds) == 1 else EDITED


def _object_order(one: ObjectDiff) -> tuple[Any, ...]:
    fields, objects = one.fields or (), one.objects or ()
    return (one.name, _RANK[one.type], len(fields), len(objects), [(*by_value(each), each.type) for each in fields])
