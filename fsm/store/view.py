"""A view: one state, read while others write."""

from __future__ import annotations

from yurt.fsm.store.reader import Reader


class View(Reader):
    """A consistent state that costs nothing to take, never changes and stops no writer.

    As long as the rows of a table are the newest ones, scans of it read the live orders; later they sort.
    """

    __slots__ = ()

    def detached(self) -> View:
        """The same state for another thread: it sorts for itself from the start."""
        return View(self.index, self._tables, None)
