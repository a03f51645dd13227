"""The store: the newest state, its live orders, its watches and its encoded rows."""

from __future__ import annotations

from typing import Any

from yurt.fsm.store.changes import Change
from yurt.fsm.store.encoded import EncodedRows, Form
from yurt.fsm.store.orders import LiveOrders
from yurt.fsm.store.schema import Table
from yurt.fsm.store.state import State, empty_state
from yurt.fsm.store.transaction import Transaction
from yurt.fsm.store.view import View
from yurt.fsm.store.watches import ErrorCallback, Watches
from yurt.fsm.structs.base import to_json


class Store:
    """Holds one state at a time; `begin` and `commit` move it on, one command after another.

    An error of a watch's callback goes to `on_listener_error`; the commit stands.
    """

    def __init__(self, on_listener_error: ErrorCallback) -> None:
        self._state = empty_state()
        self._orders = LiveOrders(self._state)
        self._encoded = EncodedRows()
        self.watches = Watches(on_listener_error)

    @property
    def index(self) -> int:
        """The index of the newest state."""
        return self._state.index

    def view(self) -> View:
        """The newest state."""
        state = self._state
        return View(state.index, state.tables, self._orders)

    def begin(self, index: int) -> Transaction:
        """A transaction for the command of that index."""
        return Transaction(self._state, index, self._orders)

    def commit(self, transaction: Transaction) -> list[Change]:
        """Make the transaction's state the newest one; wake the watches that it touched."""
        changes = transaction.changes()
        state = transaction.state()
        self._orders.follow(changes, transaction.touched, state)
        self._encoded.drop(changes)
        self._state = state
        self.watches.wake(state.index, changes, transaction.touched)
        return changes

    def skip(self, index: int) -> None:
        """Use up an index without a change (a refused command)."""
        assert index > self._state.index, "an index never goes back"
        self._state = State(index, self._state.tables)

    def replace(self, state: State, orders: LiveOrders | None = None) -> State:
        """Take over a restored state (and its orders, if they are made already); everyone who waits is woken.

        Returns the state that was replaced.
        """
        replaced = self._state
        self._orders = orders or LiveOrders(state)
        self._encoded.clear()
        self._state = state
        self.watches.wake_all(state.index)
        return replaced

    def encoded(self, table: Table[Any, Any], row: Any, form: Form = to_json) -> bytes:
        """A row's bytes in a form (its JSON unless told), made once and kept as long as the row is the stored one.

        A form is a plain function of the row alone, defined once: a new function each time is never found again.
        """
        key = table.key(row)
        body = self._encoded.get(table.name, form, key, row)
        if body is None:
            body = form(row)
            if self._state.tables[table.name].rows.get(key) is row:
                self._encoded.keep(table.name, form, key, row, body)
        return body
