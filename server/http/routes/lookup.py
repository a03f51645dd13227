"""Looking things up by UUID, and lists in order of creation (spec cluster §0.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from yurt.fsm.errors import Refusal
from yurt.fsm.lang.strconv import parse_position
from yurt.fsm.store.schema import Table
from yurt.fsm.store.view import View
from yurt.server.http.context import Context, ReadOptions
from yurt.server.http.pages import page
from yurt.server.http.reads import Found

_HEX = frozenset("0123456789abcdefABCDEF")
UUID_LENGTH = 36


def missing(message: str, index: int, *watch: Any) -> Found:
    """A 404 that can be waited on."""
    return Found(message.encode(), index, watch, status=404)


def check_hex(prefix: str, what: str) -> None:
    """Refuse what holds other characters than a UUID's."""
    for character in prefix.replace("-", ""):
        if character not in _HEX:
            code = f"U+{ord(character):04X} '{character}'"
            raise Refusal(500, f"{what}index error: Invalid UUID: encoding/hex: invalid byte: {code}")


def check_prefix(prefix: str, what: str) -> None:
    """Refuse what cannot begin a UUID."""
    if len(prefix.replace("-", "")) % 2:
        raise Refusal(500, f"{what}index error: Input (without hyphens) must be even length")
    check_hex(prefix, what)


def check_uuid(identifier: str, what: str) -> None:
    """Refuse what is no UUID."""
    if len(identifier) != UUID_LENGTH:
        raise Refusal(500, f"{what}index error: UUID must be 36 characters")


def rows_of(view: View, context: Context, options: ReadOptions, table: Table[str, Any], what: str) -> Iterable[Any]:
    """The rows of the namespace, by creation or, with a prefix, by ID."""
    prefix, sees = options.prefix, context.sees
    if prefix:
        check_prefix(prefix, what)
        found = view.scan(table, prefix=prefix, reverse=options.reverse)
        return (row for row in found if sees(row.namespace))
    ordered = view.scan(table, order="created", reverse=options.reverse)
    return (row for row in ordered if sees(row.namespace))


def token_of(options: ReadOptions) -> Callable[[Any], str]:
    """What makes a row's page token: its ID with a prefix, else its index and ID."""
    if options.prefix:
        return lambda row: str(row.id)
    return lambda row: f"{row.create_index}.{row.id}"


def page_by_creation(rows: Iterable[Any], options: ReadOptions) -> tuple[list[Any], str]:
    """A page whose token is compared by creation index first."""
    token = options.next_token
    if token and not options.prefix and "." in token:
        index, _, identifier = token.partition(".")
        if (place := parse_position(index)) is not None:
            start = (place, identifier)
            kept = (r for r in rows if (_place(r) <= start if options.reverse else _place(r) >= start))
            return page(kept, _without_token(options), token_of(options))
    return page(rows, options, token_of(options))


def _place(row: Any) -> tuple[int, str]:
    return (row.create_index, row.id)


def _without_token(options: ReadOptions) -> ReadOptions:
    bare = ReadOptions.__new__(ReadOptions)
    for name in ReadOptions.__slots__:
        setattr(bare, name, getattr(options, name))
    bare.next_token = ""
    return bare
