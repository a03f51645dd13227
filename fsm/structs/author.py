"""The author of a change, where it is kept (docs/extras.md)."""

from __future__ import annotations

import msgspec

from yurt.fsm.structs.base import Record


class Author(Record, frozen=True):
    """Accessor ID and name of the token, the client's address, and when (nanoseconds since 1970)."""

    accessor_id: str = ""
    name: str = ""
    address: str = ""
    time: int = 0


# Nobody is named, and the member is left out of the JSON: as the wire protocol has it.
Authored = Author | None | msgspec.UnsetType
NOBODY = msgspec.UNSET


def authored(by: Author | None) -> Authored:
    """Return a command's author as a record keeps it: `NOBODY` for None."""
    return NOBODY if by is None else by
