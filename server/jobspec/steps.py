"""Steps into values: attributes and indexes; and names that are meant for the node (spec jobspec-hcl §4, §7)."""

from __future__ import annotations

from decimal import Decimal

from yurt.server.hcl.diagnostics import LimitError, Range
from yurt.server.hcl.nodes import Step
from yurt.server.jobspec.convert import ConversionError, convert
from yurt.server.jobspec.scope import Scope
from yurt.server.jobspec.values import NUMBER, STRING, UNKNOWN, Value, primitive

RUNTIME_NAME_MAX = 64 << 10
_NO_KEY = "The given key does not identify an element in this collection value"


def step(value: Value, one: Step, scope: Scope) -> Value:
    """The attribute or element that a written step names."""
    if one.is_name:
        assert isinstance(one.key, str)
        return _attribute(value, one.key, one.range, scope)
    return index(value, primitive(one.key), one.range, scope)


def _attribute(value: Value, name: str, place: Range, scope: Scope) -> Value:
    if not value.is_known and value.raw is None:
        return UNKNOWN
    if value.raw is None:
        detail = "This value is null, so it does not have any attributes."
        scope.tell(place, "Attempt to get attribute from null value", detail)
    elif value.kind == "object":
        if name in value.raw:
            return _member(value, name)
        detail = f'This object does not have an attribute named "{name}".'
        scope.tell(place, "Unsupported attribute", detail)
    elif value.kind == "map":
        if name in value.raw:
            return _member(value, name)
        detail = f'This map does not have an element with the key "{name}".'
        scope.tell(place, "Missing map element", detail)
    elif value.type.is_primitive:
        detail = f"Can't access attributes on a primitive-typed value ({value.type.name})."
        scope.tell(place, "Unsupported attribute", detail)
    else:
        scope.tell(place, "Unsupported attribute", _no_attributes(value, name))
    return UNKNOWN


def _member(value: Value, name: str) -> Value:
    found: Value = value.raw[name]
    return found


def _no_attributes(value: Value, name: str) -> str:
    inner = value.type.element if value.kind in ("list", "set") else None
    if inner is not None and inner.kind == "object" and value.kind == "list" and name in inner.members:
        return (
            f'Can\'t access attributes on a list of objects. Did you mean to access attribute "{name}" for a specific '
            "element of the list, or across all elements of the list?"
        )
    return "This value does not have any attributes."


def index(value: Value, key: Value, place: Range, scope: Scope) -> Value:
    """The element of a collection under a key."""
    if (not value.is_known and value.raw is None) or not key.is_known:
        return UNKNOWN
    if value.raw is None:
        detail = "This value is null, so it does not have any indices."
        scope.tell(place, "Attempt to index null value", detail)
    elif key.is_null:
        scope.tell(place, "Invalid index", "Can't use a null value as an indexing key.")
    elif value.kind in ("list", "tuple"):
        return _item(value, key, place, scope)
    elif value.kind in ("map", "object"):
        try:
            name = convert(key, STRING).raw
        except ConversionError as error:
            scope.tell(place, "Invalid index", f"{_NO_KEY}: {error}.")
            return UNKNOWN
        if name in value.raw:
            return _member(value, name)
        scope.tell(place, "Invalid index", f"{_NO_KEY}.")
    elif value.kind == "set":
        detail = (
            "Elements of a set are identified only by their value and don't have any separate index or key to select "
            "with, so it's only possible to perform operations across all elements of the set."
        )
        scope.tell(place, "Invalid index", detail)
    else:
        scope.tell(place, "Invalid index", "This value does not have any indices.")
    return UNKNOWN


def _item(value: Value, key: Value, place: Range, scope: Scope) -> Value:
    try:
        wanted: Decimal = convert(key, NUMBER).raw
    except ConversionError as error:
        scope.tell(place, "Invalid index", f"{_NO_KEY}: {error}.")
        return UNKNOWN
    if wanted.is_finite() and wanted == wanted.to_integral_value() and 0 <= wanted < len(value.raw):
        found: Value = value.raw[int(wanted)]
        return found
    if wanted < 0:
        why = "a negative number is not a valid index for a sequence"
    elif wanted.is_finite() and wanted != wanted.to_integral_value():
        why = (
            "indexing a sequence requires a whole number, "
            f"but the given index ({float(wanted):g}) has a fractional part"
        )
    elif not value.raw:
        why = "the collection has no elements"
    else:
        why = "the given index is greater than or equal to the length of the collection"
    scope.tell(place, "Invalid index", f"{_NO_KEY}: {why}.")
    return UNKNOWN


def runtime_name(place: Range) -> str:
    """A name that only the node knows, as the text that the node will replace: its own source in `${}` (spec §7)."""
    source, start, end = place.source.text, place.start, place.end
    before = start
    while before > 0 and source[before - 1] == " ":
        before -= 1
    if source[max(before - 2, 0) : before] != "${":
        return "${" + place.text + "}"
    found = source[before - 2 : end]
    for at in range(end + 1, len(source)):
        if len(found) > RUNTIME_NAME_MAX:
            raise LimitError(place, f"A name is longer than {RUNTIME_NAME_MAX} characters.")
        if source[at] == "}":
            found += source[end:at]
        elif source[at] != " ":
            return found + "}"
    return found + "}"
