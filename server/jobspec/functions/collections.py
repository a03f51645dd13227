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


def _items(value: Value, at: int, text: str) -> list[Value]:
    if not isinstance(value.raw, list):
        raise ArgumentError(at, text)
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
    count = whole(size, 1)
    if count < 0:
        raise FunctionError("the size argument must be positive")
    step = count or max(len(items.raw), 1)
    chunks = [_like(items, items.raw[at : at + step]) for at in range(0, len(items.raw), step)]
    return list_of(items.type, chunks)


@function("coalesce", "vals:any?...")
def _coalesce(*values: Value) -> Value:
    wanted = unify([one.type for one in values])
    if wanted is None:
        raise FunctionError("all arguments must have the same type")
    for one in values:
        if one.raw is not None:
            return convert(one, wanted)
    raise FunctionError("no non-null arguments")


@function("coalescelist", "vals:any?...")
def _coalescelist(*values: Value) -> Value:
    if not values:
        raise FunctionError("at least one argument is required")
    for at, one in enumerate(values):
        if one.raw is not None and _items(one, at, "coalescelist arguments must be lists or tuples"):
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
    found = [item for at, one in enumerate(sequences) for item in _items(one, at, text.format(one.type.name))]
    check_count(len(found))
    return _joined(sequences, found)


@function("contains", "list:any", "value:any")
def _contains(items: Value, value: Value) -> Value:
    return boolean(any(equal(one, value) for one in _items(items, 0, "argument must be list, tuple, or set")))


@function("distinct", "list:list")
def _distinct(items: Value) -> Value:
    found: dict[object, Value] = {}
    for one in items.raw:
        found.setdefault(identity(one), one)
    return _like(items, list(found.values()))


@function("element", "list:any", "index:number")
def _element(items: Value, index: Value) -> Value:
    found = _items(items, 0, f"cannot read elements from {items.type.name}")
    if not found:
        raise FunctionError("cannot use element function with an empty list")
    return found[whole(index, 1) % len(found)]


@function("flatten", "list:any")
def _flatten(items: Value) -> Value:
    found: list[Value] = []
    _flatten_into(found, _items(items, 0, "can only flatten lists, sets and tuples"))
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
    raw = collection.raw
    try:
        if isinstance(raw, dict) and (name := convert(key, STRING).raw) in raw:
            found: Value = raw[name]
            return found
        if isinstance(raw, list) and collection.kind != "set":
            at: Decimal = convert(key, NUMBER).raw
            if at == at.to_integral_value() and 0 <= at < len(raw):
                item: Value = raw[int(at)]
                return item
    except ConversionError as error:
        raise ArgumentError(1, str(error)) from None
    if not isinstance(raw, list | dict):
        raise FunctionError("only maps and lists can be indexed")
    raise FunctionError("invalid index")


@function("keys", "inputMap:any")
def _keys(mapping: Value) -> Value:
    if not isinstance(mapping.raw, dict):
        raise ArgumentError(0, "must have map or object type")
    return strings(mapping.raw)


@function("values", "mapping:any")
def _values(mapping: Value) -> Value:
    if not isinstance(mapping.raw, dict):
        raise ArgumentError(0, "values() requires a map as the first argument")
    found = list(mapping.raw.values())
    return list_of(mapping.type.element, found) if mapping.type.element is not None else tuple_of(found)


@function("length", "collection:any")
def _length(collection: Value) -> Value:
    if collection.kind not in ("list", "map", "set", "tuple"):
        raise FunctionError("collection must be a list, a map or a tuple")
    return number(len(collection.raw))


@function("lookup", "inputMap:any", "key:string", "default:any?")
def _lookup(mapping: Value, key: Value, default: Value) -> Value:
    if not isinstance(mapping.raw, dict):
        raise FunctionError("lookup() requires a map as the first argument")
    found: Value | None = mapping.raw.get(key.raw)
    if mapping.kind == "object":
        return found if found is not None else default
    element = mapping.type.element
    assert element is not None
    try:
        return found if found is not None else convert(default, element)
    except ConversionError:
        raise FunctionError("the default value must have the same type as the map elements") from None


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
    if step == 0:
        raise FunctionError("step must not be zero")
    if (step > 0) != (start <= end) and start != end:
        word = "must be negative" if end < start else "must be positive"
        raise FunctionError(f"end must be {'less' if step > 0 else 'greater'} than start, or the step {word}")
    count = NUMBERS.divide(NUMBERS.subtract(end, start), step)
    check_count(int(min(count, Decimal(10**9))) if count.is_finite() else 10**9)
    found: list[Value] = []
    value = start
    while (value < end) if step > 0 else (value > end):
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
        count *= len(_items(one, at, text))
        check_count(count)
    rows: list[list[Value]] = [[]]
    for one in sets:
        rows = [[*row, item] for row in rows for item in one.raw]
    found = [tuple_of(row) for row in rows]
    if any(one.kind == "set" for one in sets) and all(one.kind == "set" for one in sets):
        return set_of(unify([one.type for one in found]) or STRING, found)
    return tuple_of(found)


@function("slice", "list:any", "start_index:number", "end_index:number")
def _slice(items: Value, start: Value, end: Value) -> Value:
    if items.kind == "set":
        text = "cannot slice a set, because its elements do not have indices"
        raise ArgumentError(0, text)
    found = _items(items, 0, "must be a list or tuple value")
    first, last = whole(start, 1), whole(end, 2)
    if first < 0:
        raise ArgumentError(1, "start index must not be less than zero")
    if first > len(found):
        raise ArgumentError(1, "start index must not be greater than the length of the list")
    if last > len(found):
        raise ArgumentError(2, "end index must not be greater than the length of the list")
    if first > last:
        raise ArgumentError(1, "start index must not be greater than end index")
    return _like(items, found[first:last])


@function("sort", "list:strings")
def _sort(items: Value) -> Value:
    if any(one.raw is None for one in items.raw):
        raise ArgumentError(0, "list contains null values")
    return list_of(STRING, sorted(items.raw, key=lambda one: one.raw))


@function("zipmap", "keys:strings", "values:any")
def _zipmap(keys: Value, values: Value) -> Value:
    items = _items(values, 1, "values argument must be a list or tuple value")
    if len(keys.raw) != len(items):
        text = f"number of keys ({len(keys.raw)}) does not match number of values ({len(items)})"
        raise FunctionError(text)
    members = {key.raw: one for key, one in zip(keys.raw, items, strict=True)}
    return map_of(values.type.element, members) if values.type.element is not None else object_of(members)
