"""Looking things up by UUID, and lists in order of creation (spec cluster §0.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from yurt.fsm.errors import Refusal
from yurt.fsm.lang.strconv import parse_position
from yurt.fsm.store.schema import Table
from yurt.fsm.store.view import View
from yurt.server.http.asgi.context import Context, ReadOptions
from yurt.server.http.query.found import Found
from yurt.server.http.query.listing import Form, Listing

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


def list_by_creation(
    view: View,
    context: Context,
    options: ReadOptions,
    table: Table[str, Any],
    what: str,
    form: Form,
    belongs: Callable[[Any], bool] | None = None,
) -> Listing:
    """The rows of the namespace, by creation or, with a prefix, by ID; only those that `belongs` is true of.

    A page's token is a row's ID with a prefix, else its index and ID; what is no such place is compared as text.
    """
    index, watch = view.table_index(table), ((table, None),)
    if options.prefix:
        check_prefix(options.prefix, what)
        found = view.scan(table, prefix=options.prefix, start=options.next_token or None, reverse=options.reverse)
        rows = seen(context, found, belongs)
        return Listing(rows, form, index, watch, options, lambda row: str(row.id))
    start = _start(options.next_token)
    found = view.scan(table, order="created", start=start, reverse=options.reverse)
    rows = seen(context, found, belongs)
    place_of = None if start is None else _place
    return Listing(rows, form, index, watch, options, _token, place_of=place_of, start=start)


def seen(context: Context, rows: Iterator[Any], belongs: Callable[[Any], bool] | None = None) -> Iterator[Any]:
    """The rows of the namespaces that the request sees, None in place of each other one."""
    sees = context.sees
    if belongs is None:
        return (row if sees(row.namespace) else None for row in rows)
    return (row if sees(row.namespace) and belongs(row) else None for row in rows)


def _start(token: str) -> tuple[int, str] | None:
    index, dot, identifier = token.partition(".")
    number = parse_position(index) if dot else None
    return None if number is None else (number, identifier)


def _place(row: Any) -> tuple[int, str]:
    return (row.create_index, row.id)


def _token(row: Any) -> str:
    return f"{row.create_index}.{row.id}"
