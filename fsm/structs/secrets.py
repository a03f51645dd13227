"""The one table of secret fields: no list shows them, no event carries them, no filter can ask about them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from yurt.fsm.structs.acl import AclToken, OneTimeToken, TokenShown
from yurt.fsm.structs.base import Record, replace
from yurt.fsm.structs.node import Node
from yurt.fsm.structs.variable import Variable, VariableLock, WrappedKey

SECRET_FIELDS: Mapping[type[Record], frozenset[str]] = {
    AclToken: frozenset({"secret_id"}),
    Node: frozenset({"secret_id"}),
    OneTimeToken: frozenset({"one_time_secret_id"}),
    TokenShown: frozenset({"secret_id"}),  # its owner reads it; a list never filters by it
    Variable: frozenset({"data", "lock"}),
    VariableLock: frozenset({"id"}),  # whoever knows it holds the lock
    WrappedKey: frozenset({"data"}),
}


@lru_cache(256)
def readable_fields(kind: type[Any]) -> dict[str, str]:
    """Map the wire names of a record's fields to its attributes, without the secret ones."""
    secret = SECRET_FIELDS.get(kind, frozenset())
    return {field.encode_name: field.name for field in msgspec.structs.fields(kind) if field.name not in secret}


def redacted(record: Any) -> Any:
    """Return the record with the defaults of its kind in place of its secret fields."""
    kind: type[Record] = type(record)
    secret = SECRET_FIELDS.get(kind)
    if secret is None:
        return record
    return replace(record, **_defaults(kind, secret))


@lru_cache(64)
def _defaults(kind: type[Record], names: frozenset[str]) -> dict[str, Any]:
    return {field.name: field.default for field in msgspec.structs.fields(kind) if field.name in names}
