"""JSON schemas of the records in requests and answers, as they are on the wire (for `openapi.py`).

A request may leave members out, an answer has all of them but those that its record leaves out itself. So a record
that is in both is described twice; as a part of requests its name ends with `Input`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import inspect

_PREFIX = "#/components/schemas/"
_TEMPLATE = _PREFIX + "{name}"
Schema = dict[str, Any]


class Schemas:
    """The schema of each type, and the components that they refer to."""

    def __init__(self, requests: Iterable[Any], answers: Iterable[Any]) -> None:
        requests, answers = list(dict.fromkeys(requests)), list(dict.fromkeys(answers))
        found, self.components = msgspec.json.schema_components(answers, ref_template=_TEMPLATE)
        self._answers: dict[Any, Schema] = dict(zip(answers, found, strict=True))
        for kind in _records(answers):
            self.components[kind.__name__]["required"] = list(_always_there(kind))
        given, components = msgspec.json.schema_components(requests, ref_template=_TEMPLATE)
        names = {name: f"{name}Input" if name in self.components else name for name in components}
        self._requests: dict[Any, Schema] = {
            kind: _renamed(one, names) for kind, one in zip(requests, given, strict=True)
        }
        self.components |= {names[name]: _renamed(one, names) for name, one in components.items()}

    def request(self, kind: Any) -> Schema:
        """Return the schema of a type in requests."""
        return self._requests[kind]

    def answer(self, kind: Any) -> Schema:
        """Return the schema of a type in answers."""
        return self._answers[kind]


def _records(kinds: Iterable[Any]) -> set[type[msgspec.Struct]]:
    """All records in some types."""
    found: set[type[msgspec.Struct]] = set()
    todo: list[Any] = list(inspect.multi_type_info(kinds))
    while todo:
        one = todo.pop()
        if isinstance(one, tuple):
            todo += one
        elif isinstance(one, inspect.StructType):
            if one.cls not in found:
                found.add(one.cls)
                todo += (field.type for field in one.fields)
        elif isinstance(one, inspect.Type):
            todo += (getattr(one, name) for name in one.__struct_fields__)
    return found


def _always_there(kind: type[msgspec.Struct]) -> Iterator[str]:
    """The members of a record that are never left out of its JSON."""
    for field in msgspec.structs.fields(kind):
        may_lack = field.default is msgspec.UNSET or (kind.__struct_config__.omit_defaults and not field.required)
        if not may_lack:
            yield field.encode_name


def _renamed(schema: Any, names: dict[str, str]) -> Any:
    """The same with references to other names."""
    if isinstance(schema, list):
        return [_renamed(one, names) for one in schema]
    if not isinstance(schema, dict):
        return schema
    renamed = {key: _renamed(value, names) for key, value in schema.items()}
    if isinstance(reference := schema.get("$ref"), str):
        renamed["$ref"] = _PREFIX + names[reference.removeprefix(_PREFIX)]
    return renamed
