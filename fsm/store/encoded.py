"""Encoded rows: the bytes of rows that were asked for, kept so that lists are joins of bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from yurt.fsm.store.changes import Change

Form = Callable[[Any], bytes]

KEPT_BYTES_MAX = 128 << 20


class EncodedRows:
    """Bytes by table, form (the function that makes them) and key, as long as the very same row is the stored one."""

    __slots__ = ("_by_table", "_bytes", "_bytes_max")

    def __init__(self, bytes_max: int = KEPT_BYTES_MAX) -> None:
        self._by_table: dict[str, dict[Form, dict[Any, tuple[Any, bytes]]]] = {}
        self._bytes = 0
        self._bytes_max = bytes_max

    def get(self, table: str, form: Form, key: Any, row: Any) -> bytes | None:
        """The bytes that were kept for this row."""
        forms = self._by_table.get(table)
        kept = None if forms is None else forms.get(form, _NOTHING).get(key)
        return kept[1] if kept is not None and kept[0] is row else None

    def keep(self, table: str, form: Form, key: Any, row: Any, body: bytes) -> None:
        """Keep the bytes of a stored row. Past the bound everything goes: what is in use soon comes again."""
        if self._bytes + len(body) > self._bytes_max:
            self.clear()
        self._by_table.setdefault(table, {}).setdefault(form, {})[key] = (row, body)
        self._bytes += len(body)

    def drop(self, changes: Iterable[Change]) -> None:
        """Forget the rows that a command wrote."""
        for change in changes:
            for kept in self._by_table.get(change.table.name, _NOTHING).values():
                gone = kept.pop(change.key, None)
                if gone is not None:
                    self._bytes -= len(gone[1])

    def clear(self) -> None:
        """Forget everything."""
        self._by_table.clear()
        self._bytes = 0


_NOTHING: dict[Any, Any] = {}
