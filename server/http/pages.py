"""Lists: filtered, cut into pages (spec jobs-api §2.8, §2.9)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from yurt.fsm.errors import Refusal
from yurt.fsm.lang.filter import Filter, FilterError, compile_filter
from yurt.server.http.context import ReadOptions

R = TypeVar("R")


def filter_of(options: ReadOptions) -> Filter | None:
    """The compiled filter; raises Refusal(400)."""
    if not options.filter:
        return None
    try:
        return compile_filter(options.filter)
    except FilterError as error:
        text = f"failed to create result paginator: failed to read filter expression: {error}"
        raise Refusal(400, text) from None


def page(
    rows: Iterable[R],
    options: ReadOptions,
    token_of: Callable[[R], str],
    *,
    order: Callable[[str], Any] = str,
    as_seen: Callable[[R], Any] | None = None,
) -> tuple[list[R], str]:
    """The rows of one page and the token of the next, empty for none; raises Refusal(400).

    `order`: what tokens are compared by, if not as texts. `as_seen`: the part of a row that the caller may see, where
    that is not the whole row (`Partial`); the filter sees no more.
    """
    wanted = filter_of(options)
    token, size, reverse = options.next_token, options.per_page, options.reverse
    start = order(token)
    found: list[R] = []
    for row in rows:
        if token:
            own = order(token_of(row))
            if (own > start) if reverse else (own < start):
                continue
        if wanted is not None and not _matches(wanted, row if as_seen is None else as_seen(row)):
            continue
        if size and len(found) >= max(size, 0):
            return found, token_of(row)
        found.append(row)
    return found, ""


def _matches(wanted: Filter, row: object) -> bool:
    try:
        return wanted.matches(row)
    except FilterError as error:
        raise Refusal(400, f"failed to read result page: {error}") from None


def join(bodies: Iterable[bytes]) -> bytes:
    """A JSON list of encoded items."""
    return b"[" + b",".join(bodies) + b"]"
