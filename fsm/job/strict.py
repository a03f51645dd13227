"""The quick way to read a body: keys spelled as on the wire, right types, nothing empty (spec job-model §1).

Nearly every body is so. One that is not is no error here: `decode.py` reads it the long way and says what is wrong.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import inspect

from yurt.fsm.structs.job import Job
from yurt.fsm.structs.policies import MigrateStrategy, ReschedulePolicy
from yurt.fsm.structs.service import CheckRestart, Service

# What a request may hold beside the members of the stored record.
EXTRA: dict[type[Any], dict[str, type[Any]]] = {
    Job: {"Reschedule": ReschedulePolicy, "Migrate": MigrateStrategy},
    Service: {"CheckRestart": CheckRestart},
}
_SCALAR = float | bool | str | None
_LEVEL_1 = _SCALAR | list[_SCALAR] | dict[str, _SCALAR]
_LEVEL_2 = _SCALAR | list[_LEVEL_1] | dict[str, _LEVEL_1]
_OPAQUE = _SCALAR | list[_LEVEL_2] | dict[str, _LEVEL_2]  # numbers become floats; deeper ones take the long way
_FILLED = msgspec.Meta(min_length=1)
_INT64 = msgspec.Meta(ge=-(2**63), le=2**63 - 1)

_structs: dict[type[Any], Any] = {}
_decoders: dict[type[Any], msgspec.json.Decoder[Any]] = {}


def strict_body(body: bytes, request: type[Any]) -> dict[str, Any] | None:
    """The members that are given, under `request`'s wire names; None if the body must be read the long way."""
    decoder = _decoders.get(request)
    if decoder is None:
        decoder = _decoders[request] = msgspec.json.Decoder(_struct(request))
    try:
        found: dict[str, Any] = msgspec.to_builtins(decoder.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found


def _struct(cls: type[Any]) -> Any:
    """A twin of a record in which every member may be left out, and nothing else may be there."""
    if cls not in _structs:
        info = inspect.type_info(cls)
        assert isinstance(info, inspect.StructType)
        types = [(field.encode_name, _type(field.type)) for field in info.fields]
        types.extend((name, _struct(extra)) for name, extra in EXTRA.get(cls, {}).items())
        fields: list[tuple[str, Any, Any]] = [(name, kind | None, None) for name, kind in types]
        _structs[cls] = msgspec.defstruct(
            f"Strict{cls.__name__}", fields, forbid_unknown_fields=True, omit_defaults=True, gc=False
        )
    return _structs[cls]


def _type(kind: inspect.Type) -> Any:
    """The type that a member is read as; its list or map, if it is one, is not empty."""
    if isinstance(kind, inspect.UnionType):
        (kind,) = (one for one in kind.types if not isinstance(one, inspect.NoneType))
    if isinstance(kind, inspect.StructType):
        return _struct(kind.cls)
    if isinstance(kind, inspect.BytesType):
        return type(None)  # base64 takes the long way
    if isinstance(kind, inspect.IntType):
        if kind.ge is None:
            return Annotated[int, _INT64]
        return Annotated[int, msgspec.Meta(ge=kind.ge, le=kind.le)]
    if isinstance(kind, inspect.VarTupleType):
        return Annotated[list.__class_getitem__(_type(kind.item_type)), _FILLED]
    if isinstance(kind, inspect.DictType):
        value = _OPAQUE if isinstance(kind.value_type, inspect.AnyType) else _type(kind.value_type)
        return Annotated[dict.__class_getitem__((str, value)), _FILLED]
    plain = {inspect.StrType: str, inspect.BoolType: bool, inspect.FloatType: float, inspect.AnyType: _OPAQUE}
    return plain[type(kind)]
