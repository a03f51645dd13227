"""Functions of lists, sets, tuples, maps and objects."""

from __future__ import annotations

from decimal import Decimal

from yurt.server.jobspec.convert import ConversionError, convert, unify
from yurt.server.jobspec.functions.signature import (
    ArgumentError,
    FunctionError,
    check_count,
    function,
    whole,
)
from yurt.server.jobspec.values import (
    NUMBER,
    NUMBERS,
    STRING,
    Type,
    Value,
    boolean,
    equal,
    identity,
    list_of,
    map_of,
    number,
    object_of,
    set_of,
    strings,
    tuple_of,
)

RANGE_MAX = 1024


def _items(value: Value, text: str, at: int | None = None) -> list[Value]:
    """The items of a sequence; raises `ArgumentError`, or `FunctionError` if `at` is None."""
    if not isinstance(value.raw, list):
        raise FunctionError(text) if at is None else ArgumentError(at, text)
    return value.raw


def _like(source: Value, items: list[Value]) -> Value:
    """A sequence of the same kind as another."""
    if source.type.element is not None:
        return list_of(source.type.element, items)
    return tuple_of(items)


def _joined(sources: tuple[Value, ...], items: list[Value]) -> Value:
    types = [one.type for one in sources]
    if types and all(one.element is not None and one == types[0] for one in types):
        return _like(sources[0], items)
    return tuple_of(items)


@function("chunklist", "list:list", "size:number")
def _chunklist(items: Value, size: Value) -> Value:
    count = whole(size, None, "invalid size: ")
    if count < 0:
        raise FunctionError("the size argument must be positive")
    step = count or max(len(items.raw), 1)
    chunks = [_like(items, items.raw[at : at + step]) for at in range(0, len(items.raw), step)]
    return list_of(items.type, chunks)


@function("coalesce", "vals:any?...")
def _coalesce(*values: Value) -> Value:
    wanted = unify([one.type for one in values])
    if wanted is None or not values:
        raise FunctionError("all arguments must have the same type")
    for one in values:
        if one.raw is not None:
            return convert(one, wanted)
    raise FunctionError("no non-null arguments")


@function("coalescelist", "vals:any?...")
def _coalescelist(*values: Value) -> Value:
    if not values:
        raise FunctionError("at least one argument is required")
    for one in values:
        _items(one, "coalescelist arguments must be lists or tuples")
    for one in values:
        if one.raw:
            return one
    raise FunctionError("no non-null arguments")


@function("compact", "list:strings")
def _compact(items: Value) -> Value:
    return list_of(STRING, [one for one in items.raw if one.raw])


@function("concat", "seqs:any...")
def _concat(*sequences: Value) -> Value:
    if not sequences:
        raise FunctionError("at least one argument is required")
    text = "all arguments must be lists or tuples; got {}"
    found: list[Value] = []
    for at, one in enumerate(sequences):
        if one.kind == "set":
            raise ArgumentError(at, text.format(one.type.name))
        found += _items(one, text.format(one.type.name), at)
    check_count(len(found))
    return _joined(sequences, found)


@function("contains", "list:any", "value:any")
def _contains(items: Value, value: Value) -> Value:
    return boolean(any(equal(one, value) for one in _items(items, "argument must be list, tuple, or set")))


@function("distinct", "list:list")
def _distinct(items: Value) -> Value:
    found: dict[object, Value] = {}
    for one in items.raw:
        found.setdefault(identity(one), one)
    return _like(items, list(found.values()))


@function("element", "list:any", "index:number")
def _element(items: Value, index: Value) -> Value:
    found = _items(items, f"cannot read elements from {items.type.name}")
    at = whole(index, None, "invalid index: ")
    if not found:
        raise FunctionError("cannot use element function with an empty list")
    return found[at % len(found)]


@function("flatten", "list:any")
def _flatten(items: Value) -> Value:
    found: list[Value] = []
    _flatten_into(found, _items(items, "can only flatten lists, sets and tuples"))
    return tuple_of(found)


def _flatten_into(found: list[Value], items: list[Value]) -> None:
    for one in items:
        if isinstance(one.raw, list):
            _flatten_into(found, one.raw)
        else:
            found.append(one)
        check_count(len(found))


@function("index", "collection:any", "key:any")
def _index(collection: Value, key: Value) -> Value:
    raw, kind = collection.raw, collection.kind
    if kind not in ("list", "tuple", "map"):
        raise FunctionError("collection must be a list, a map or a tuple")
    wanted = STRING if kind == "map" else NUMBER
    try:
        found = convert(key, wanted).raw
    except ConversionError:
        raise FunctionError(f"key for {kind} must be {wanted.name}") from None
    if kind == "map" and found in raw:
        item: Value = raw[found]
        return item
    if kind == "map":
        raise FunctionError("invalid index")
    if found != found.to_integral_value() or not 0 <= found < len(raw):
        raise FunctionError(f"key must be between 0 and {len(raw)} inclusive")
    one: Value = raw[int(found)]
    return one


@function("keys", "inputMap:any")
def _keys(mapping: Value) -> Value:
    if not isinstance(mapping.raw, dict):
        raise ArgumentError(0, "must have map or object type")
    return strings(mapping.raw)


@function("values", "mapping:any")
def _values(mapping: Value) -> Value:
    if not isinstance(mapping.raw, dict):
        raise FunctionError("values() requires a map as the first argument")
    found = list(mapping.raw.values())
    return list_of(mapping.type.element, found) if mapping.type.element is not None else tuple_of(found)


@function("length", "collection:any")
def _length(collection: Value) -> Value:
    if collection.kind not in ("list", "map", "set", "tuple"):
        raise FunctionError("collection must be a list, a map or a tuple")
    return number(len(collection.raw))


@function("lookup", "inputMap:any", "key:string", "default:any")
def _lookup(mapping: Value, key: Value, default: Value) -> Value:
    if not isinstance(mapping.raw, dict):
        raise ArgumentError(0, "lookup() requires a map as the first argument")
    found: Value | None = mapping.raw.get(key.raw)
    if mapping.kind == "object":
        return found if found is not None else default
    element = mapping.type.element
    assert element is not None
    try:
        return found if found is not None else convert(default, element)
    except ConversionError:
        raise ArgumentError(2, "the default value must have the same type as the map elements") from None


@function("merge", "maps:any?...")
def _merge(*maps: Value) -> Value:
    found: dict[str, Value] = {}
    given = [one for one in maps if one.raw is not None]
    for one in given:
        if not isinstance(one.raw, dict):
            raise FunctionError(f'arguments must be maps or objects, got "{one.type.name}"')
        found |= one.raw
        check_count(len(found))
    first = given[0].type if given else None
    if first is not None and first.element is not None and all(one.type == first for one in given):
        return map_of(first.element, found)
    return object_of(found)


@function("range", "params:number...")
def _range(*params: Value) -> Value:
    numbers: list[Decimal] = [one.raw for one in params]
    if len(numbers) not in (1, 2, 3):
        raise FunctionError("must have one, two, or three arguments")
    start, end = (Decimal(0), numbers[0]) if len(numbers) == 1 else (numbers[0], numbers[1])
    step = numbers[2] if len(numbers) == 3 else Decimal(1 if start <= end else -1)
    if len(numbers) == 3 and step != 0 and (end < start if step > 0 else end > start):
        side, sign = ("greater", "positive") if step > 0 else ("less", "negative")
        raise ArgumentError(1, f"end must be {side} than start when step is {sign}")
    found: list[Value] = []
    value = start
    while (value < end) if step >= 0 else (value > end):
        if len(found) >= RANGE_MAX:
            why = "either decrease the difference between start and end or use a smaller step"
            raise FunctionError(f"more than {RANGE_MAX} values were generated; {why}")
        found.append(number(value))
        value = NUMBERS.add(value, step)
    return list_of(NUMBER, found)


def _as_sets(sets: tuple[Value, ...]) -> tuple[Type, list[Value]]:
    element = unify([one.type.element for one in sets if one.type.element is not None])
    if element is None:
        raise FunctionError("given sets must all have compatible element types")
    wanted = Type("set", element)
    return element, [convert(one, wanted) for one in sets]


@function("setunion", "first_set:sets", "other_sets:sets...")
def _setunion(*sets: Value) -> Value:
    element, found = _as_sets(sets)
    return set_of(element, [item for one in found for item in one.raw])


@function("setintersection", "first_set:sets", "other_sets:sets...")
def _setintersection(*sets: Value) -> Value:
    element, (first, *others) = _as_sets(sets)
    keys = [{identity(item) for item in one.raw} for one in others]
    return set_of(element, [item for item in first.raw if all(identity(item) in one for one in keys)])


@function("setproduct", "sets:any...")
def _setproduct(*sets: Value) -> Value:
    if len(sets) < 2:
        raise FunctionError("at least two arguments are required")
    text = "a set or a list is required"
    count = 1
    for at, one in enumerate(sets):
        count *= len(_items(one, text, at))
        check_count(count)
    rows: list[list[Value]] = [[]]
    for one in (_of_one_type(one) for one in sets):
        rows = [[*row, item] for row in rows for item in one.raw]
    found = [tuple_of(row) for row in rows]
    if any(one.kind == "set" for one in sets) and all(one.kind == "set" for one in sets):
        return set_of(unify([one.type for one in found]) or STRING, found)
    return tuple_of(found)


def _of_one_type(value: Value) -> Value:
    """A tuple as the list it can be."""
    element = unify(value.type.members) if value.kind == "tuple" else None
    return value if element is None else convert(value, Type("list", element))


@function("slice", "list:any", "start_index:number", "end_index:number")
def _slice(items: Value, start: Value, end: Value) -> Value:
    if items.kind == "set":
        text = (
            "cannot slice a set, because its elements do not have indices; explicitly convert to a list if the "
            "ordering of the result is not important"
        )
        raise ArgumentError(0, text)
    found = _items(items, "must be a list or tuple value", 0)
    first = whole(start, 1, "invalid start index: ")
    last = whole(end, 2, "invalid end index: ")
    for at, name, value in ((1, "start", first), (2, "end", last)):
        if value < 0:
            raise ArgumentError(at, f"{name} index must not be less than zero")
        if value > len(found):
            raise ArgumentError(at, f"{name} index must not be greater than the length of the list")
    if first > last:
        raise ArgumentError(1, "start index must not be greater than end index")
    return _like(items, found[first:last])


@function("sort", "list:strings")
def _sort(items: Value) -> Value:
    for at, one in enumerate(items.raw):
        if one.raw is None:
            raise FunctionError(f"given list element {at} is null; a null string cannot be sorted")
    return list_of(STRING, sorted(items.raw, key=lambda one: one.raw))


@function("zipmap", "keys:strings", "values:any")
def _zipmap(keys: Value, values: Value) -> Value:
    items = _items(values, "values argument must be a list or tuple value")
    if len(keys.raw) != len(items):
        text = f"number of keys ({len(keys.raw)}) does not match number of values ({len(items)})"
        raise FunctionError(text)
    for at, key in enumerate(keys.raw):
        if key.raw is None:
            raise FunctionError(f"keys list has null value at index {at}")
    members = {key.raw: one for key, one in zip(keys.raw, items, strict=True)}
    return map_of(values.type.element, members) if values.type.element is not None else object_of(members)
