"""Short IDs: the one thing that the beginning of an ID names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from yurt.server.cli.client import Client
from yurt.server.cli.output import fail

UUID_LENGTH = 36


def only_match(client: Client, path: str, given: str, what: str, listing: Callable[[list[dict[str, Any]]], str]) -> str:
    """The ID of the one object whose ID begins with `given`; ends the command if there is none, or are several."""
    if len(given) == UUID_LENGTH:
        return given
    digits = given.replace("-", "")
    even = given[:-1] if len(digits) % 2 else given
    found = [one for one in client.get(path, prefix=even) if one["ID"].startswith(given)] if even else []
    if not found:
        fail(f'No {what}(s) with prefix or id "{given}" found')
    if len(found) > 1:
        fail(f'Prefix "{given}" matched multiple {what}s\n\n{listing(found)}')
    identifier: str = found[0]["ID"]
    return identifier
