"""Changes: what a command did to single rows."""

from __future__ import annotations

from typing import Any, NamedTuple

from yurt.fsm.store.schema import Table


class Change(NamedTuple):
    """A command's change to one row: `old` None means that it is new, `new` None that it was deleted.

    A command gives one change a row at most, however often it wrote it; changes come in the order of first writes.
    """

    table: Table[Any, Any]
    key: Any
    old: Any
    new: Any
