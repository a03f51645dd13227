"""Request bodies as the wire protocol reads them (spec job-model §1, jobs-api §2.4).

Keys match in any case, unknown ones are ignored, null is absent, a repeated key's last value wins, bytes after the
first value are ignored, numbers in opaque maps become floats. The result is a dictionary under wire names in which
absent and given members differ. The tables are made once from the record types, and only used for bodies that
`strict.py` does not take.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable
from typing import Any

import msgspec
import orjson

from yurt.fsm.errors import Refusal
from yurt.fsm.job.strict import EXTRA, strict_body

DEPTH_MAX = 128
DIGITS_MAX = 400
TOO_DEEP = "json: exceeded max depth"
INT64 = (-(2**63), 2**63 - 1)

Decoder = Callable[[Any], Any]

_KINDS = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}


class _Mismatch(Exception):
    """A value of another type; the path is filled in on the way up."""

    def __init__(self, value: Any, wanted: str) -> None:
        super().__init__(wanted)
        kind = _KINDS[type(value)]
        self.given = f"number {value}" if kind == "number" and wanted not in ("string", "bool") else kind
        self.wanted = wanted
        self.struct = ""
        self.path: list[str] = []

    def text(self) -> str:
        where = f"struct field {self.struct}.{'.'.join(reversed(self.path))} of type" if self.path else "value of type"
        return f"json: cannot unmarshal {self.given} into Go {where} {self.wanted}"


def decode_body(body: bytes, request: type[Any]) -> dict[str, Any]:
    """The body as a dictionary of `request`'s wire names; raises Refusal(400)."""
    if not body:
        raise Refusal(400, "Request body is empty")
    strict = strict_body(body, request)
    return _folded_body(body, request) if strict is None else strict


def _folded_body(body: bytes, request: type[Any]) -> dict[str, Any]:
    """The body read member by member, with what its keys and values may differ in."""
    value = load_json(body)
    if value is None:
        return {}
    try:
        folded: dict[str, Any] = _struct_decoder(request)(value)
    except _Mismatch as mismatch:
        raise Refusal(400, mismatch.text()) from None
    except RecursionError:
        raise Refusal(400, TOO_DEEP) from None
    return folded


def load_json(body: bytes) -> Any:
    """The first JSON value of a body; what follows it is ignored. Raises Refusal(400)."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        return _without_lone_surrogates(body, _PREFIX.raw_decode(body.decode("utf-8", "replace").lstrip())[0])
    except RecursionError:
        raise Refusal(400, TOO_DEEP) from None
    except json.JSONDecodeError as error:
        rest = error.doc[error.pos : error.pos + 1]
        if not rest or error.msg.startswith("Unterminated"):
            raise Refusal(400, "unexpected EOF") from None
        raise Refusal(400, f"invalid character {rest!r} looking for beginning of value") from None


def _without_lone_surrogates(body: bytes, value: Any) -> Any:
    """The value with U+FFFD for each escape that is half a character; such text could never be written again."""
    if b"\\ud" not in body and b"\\uD" not in body:
        return value
    text = json.dumps(value, ensure_ascii=False)
    return json.loads(text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))


def _no_constant(name: str) -> Any:
    raise Refusal(400, f"invalid character {name[0]!r} looking for beginning of value")


def _integer_of(digits: str) -> int:
    """An integer as it stands in JSON; one of very many digits fits nowhere, and would take long to read."""
    if len(digits) > DIGITS_MAX:
        raise Refusal(400, f"json: cannot unmarshal number of {len(digits)} digits: no field takes one that large")
    return int(digits)


_PREFIX = json.JSONDecoder(parse_constant=_no_constant, parse_int=_integer_of)


def _string(value: Any) -> str:
    if type(value) is not str:
        raise _Mismatch(value, "string")
    return value


def _bool(value: Any) -> bool:
    if type(value) is not bool:
        raise _Mismatch(value, "bool")
    return value


def _base64(value: Any) -> str:
    text = _string(value)
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refusal(400, "illegal base64 data at input byte 0") from None
    return text


def _integer(low: int, high: int, name: str) -> Decoder:
    def check(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise _Mismatch(value, name)
        return value

    return check


def _float(value: Any) -> float:
    if type(value) not in (int, float):
        raise _Mismatch(value, "float64")
    return float(value)


def opaque(value: Any, depth: int = 0) -> Any:
    """A value nobody looks into: its numbers become floats."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if depth > DEPTH_MAX:
        raise Refusal(400, TOO_DEEP)
    if kind is dict:
        return {key: opaque(one, depth + 1) for key, one in value.items()}
    if kind is list:
        return [opaque(one, depth + 1) for one in value]
    number = float(value)
    if not math.isfinite(number):
        raise Refusal(400, f"json: cannot unmarshal number {value} into Go value of type float64")
    return number


def _opaque_map(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise _Mismatch(value, "map[string]interface {}")
    return {key: opaque(one) for key, one in value.items()}


def _list_of(item: Decoder, name: str) -> Decoder:
    def check(value: Any) -> list[Any]:
        if type(value) is not list:
            raise _Mismatch(value, f"[]{name}")
        return [item(one) for one in value if one is not None]

    return check


def _map_of(item: Decoder, name: str) -> Decoder:
    def check(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise _Mismatch(value, f"map[string]{name}")
        return {key: item(one) for key, one in value.items() if one is not None}

    return check


_structs: dict[type[Any], Decoder] = {}


def _struct_decoder(cls: type[Any]) -> Decoder:
    """The decoder of a record type, made at its first use."""
    if cls in _structs:
        return _structs[cls]
    table: dict[str, tuple[str, Decoder, bool]] = {}
    name = getattr(cls, "wire_type", cls.__name__)

    def fold(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise _Mismatch(value, f"api.{name}")
        folded: dict[str, Any] = {}
        for key, one in value.items():
            known = table.get(key) or table.get(key.lower())
            if known is None:
                continue
            wire, item, droppable = known
            if one is None:
                folded.pop(wire, None)
                continue
            try:
                folded[wire] = decoded = item(one)
                if droppable and not decoded:
                    del folded[wire]
            except _Mismatch as mismatch:
                mismatch.struct = mismatch.struct or name
                mismatch.path.append(wire)
                raise
        return folded

    _structs[cls] = fold
    info = msgspec.inspect.type_info(cls)
    assert isinstance(info, msgspec.inspect.StructType)
    for field in info.fields:
        table[field.encode_name.lower()] = table[field.encode_name] = (field.encode_name, *_decoder(field.type))
    for wire, extra in EXTRA.get(cls, {}).items():
        table[wire.lower()] = table[wire] = (wire, _struct_decoder(extra), False)
    return fold


def _decoder(kind: msgspec.inspect.Type) -> tuple[Decoder, bool]:
    """The decoder of a type, and whether its empty value is the same as absent."""
    inspect = msgspec.inspect
    if isinstance(kind, inspect.UnionType):
        (kind,) = (one for one in kind.types if not isinstance(one, inspect.NoneType))
    if isinstance(kind, inspect.StructType):
        return _struct_decoder(kind.cls), False
    if isinstance(kind, inspect.StrType):
        return _string, False
    if isinstance(kind, inspect.BoolType):
        return _bool, False
    if isinstance(kind, inspect.BytesType):
        return _base64, False
    if isinstance(kind, inspect.FloatType):
        return _float, False
    if isinstance(kind, inspect.IntType):
        low, high, name = INT64[0], INT64[1], "int"
        if kind.ge is not None:
            low, high = kind.ge, kind.le if kind.le is not None else 2**64 - 1
            name = {127: "int8", 255: "uint8"}.get(high, "uint64")
        return _integer(low, high, name), False
    if isinstance(kind, inspect.VarTupleType):
        return _list_of(_decoder(kind.item_type)[0], _name(kind.item_type)), True
    if isinstance(kind, inspect.DictType):
        if isinstance(kind.value_type, inspect.AnyType):
            return _opaque_map, True
        return _map_of(_decoder(kind.value_type)[0], _name(kind.value_type)), True
    assert isinstance(kind, inspect.AnyType), kind
    return opaque, False


def _name(kind: msgspec.inspect.Type) -> str:
    if isinstance(kind, msgspec.inspect.StructType):
        return f"*api.{kind.cls.__name__}"
    return "string" if isinstance(kind, msgspec.inspect.StrType) else "int"
