"""The state machine: command in, state and typed result out; the same on every server."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from yurt.fsm import commands
from yurt.fsm.apply.handlers import HANDLERS
from yurt.fsm.errors import Refusal
from yurt.fsm.store import digest, snapshot
from yurt.fsm.store.changes import Change
from yurt.fsm.store.orders import LiveOrders
from yurt.fsm.store.schema import NAMESPACES, NODE_POOLS
from yurt.fsm.store.state import State, TableState, dissolve, maps_of
from yurt.fsm.store.store import Store
from yurt.fsm.store.view import View
from yurt.fsm.store.watches import ErrorCallback
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.namespace import Namespace
from yurt.fsm.structs.node import NodePool

BIRTH_INDEX = 1


@dataclass(frozen=True, slots=True)
class Applied:
    """The command did its work; `value` is its result struct."""

    index: int
    value: Any


@dataclass(frozen=True, slots=True)
class Refused:
    """The command was refused and changed nothing; it used up its index."""

    index: int
    status: int
    text: str


@dataclass(frozen=True, slots=True)
class Broken:
    """A bug broke the command; it changed nothing, on every server alike. `trace` has no addresses or paths."""

    index: int
    trace: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """A state that was read from a snapshot, with its orders."""

    state: State
    orders: LiveOrders


Outcome = Applied | Refused | Broken
CommitCallback = Callable[[int, list[Change]], None]
AppliedCallback = Callable[[commands.Command, int, list[Change]], None]
ReplacedCallback = Callable[[int, bool], None]


class Machine:
    """Applies commands one after another and keeps the state. It reads no clock and does no I/O.

    An error of a listener (a watch or `on_commit`) comes too late to undo the command and is local to this server: it
    goes to `on_listener_error`, after which the other listeners are called. Without one it is raised.
    """

    def __init__(self, on_listener_error: ErrorCallback | None = None) -> None:
        self._on_listener_error = on_listener_error or _raise
        self.store = Store(self._on_listener_error)
        self._callbacks: list[CommitCallback] = []
        self._applied: list[AppliedCallback] = []
        self._replaced: list[ReplacedCallback] = []
        self._dissolved: Callable[[Iterator[None]], None] | None = None
        birth = self.store.begin(BIRTH_INDEX)
        default = Namespace(name="default", description="Default shared namespace", create_index=1, modify_index=1)
        birth.put(NAMESPACES, replace(default, hash=default.content_hash()))
        for name, text in (("all", "Node pool with all nodes in the cluster."), ("default", "Default node pool.")):
            birth.put(NODE_POOLS, NodePool(name=name, description=text, create_index=1, modify_index=1))
        self.store.commit(birth)

    @property
    def index(self) -> int:
        """The index of the newest command, refused ones included."""
        return self.store.index

    def view(self) -> View:
        """The newest state, to be read while the machine goes on."""
        return self.store.view()

    def on_commit(self, callback: CommitCallback) -> None:
        """Call `callback(index, changes)` after each command that changed something."""
        self._callbacks.append(callback)

    def on_applied(self, callback: AppliedCallback) -> None:
        """Call `callback(command, index, changes)` after each command that changed something, before `on_commit`."""
        self._applied.append(callback)

    def on_replaced(self, callback: ReplacedCallback) -> None:
        """Call `callback(index, restored)` after the whole state was replaced by a loaded one.

        `restored`: an operator brought it; else it is what the log's commands led to.
        """
        self._replaced.append(callback)

    def on_dissolved(self, callback: Callable[[Iterator[None]], None]) -> None:
        """Hand a replaced state to `callback` as the steps that free it, instead of freeing it at once."""
        self._dissolved = callback

    def apply(self, payload: bytes) -> Outcome:
        """Apply the next command of the log.

        Never raises for what is in the command. `UnknownCommand` (the log is of a newer version) and what may strike
        one server alone (MemoryError, RecursionError, OSError) pass through before the index counts: the process ends.
        """
        command = commands.decode(payload)
        index = self.store.index + 1
        transaction = self.store.begin(index)
        try:
            value = HANDLERS[type(command)](transaction, command)
        except Refusal as refusal:
            self.store.skip(index)
            return Refused(index, refusal.status, refusal.text)
        except (MemoryError, RecursionError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 (the border of a command: a bug must not stop the log)
            self.store.skip(index)
            return Broken(index, _trace(error))
        changes = self.store.commit(transaction)
        if changes:
            self._tell(command, index, changes)
        return Applied(index, value)

    def _tell(self, command: commands.Command, index: int, changes: list[Change]) -> None:
        told: list[CommitCallback] = [partial(callback, command) for callback in self._applied]
        told += self._callbacks
        for callback in told:
            try:
                callback(index, changes)
            except Exception as error:  # noqa: BLE001 (the border of the machine: a listener's bug is not the command's)
                self._on_listener_error(error)

    def digest(self, place: bytes) -> tuple[bytes, bytes]:
        """The digest of the slice of the state at `place`, and the next place (`fsm.store.digest`)."""
        return digest.digest(self.store.view(), place)

    def capture(self) -> View:
        """Return the view that `write` will write, perhaps in another thread; costs nothing."""
        return self.store.view().detached()

    def write(self, capture: View) -> Iterator[bytes]:
        """The bytes of a snapshot, in chunks; may run in another thread."""
        return snapshot.write(capture)

    @staticmethod
    def load(chunks: Iterator[bytes], *, in_pieces: bool = True) -> Loaded:
        """A snapshot's state, ready for `swap`; raises `BadSnapshot`. May run in another thread.

        `in_pieces`: other threads go on meanwhile; without, it is faster.
        """
        state, keys = snapshot.read_with_keys(chunks)
        return Loaded(state, LiveOrders(state, keys, in_pieces=in_pieces))

    def swap(self, loaded: Loaded) -> None:
        """Take a loaded state in place of the present one."""
        self._replace(loaded.state, loaded.orders, restored=False)

    def swap_above(self, loaded: Loaded) -> Outcome:
        """Take a loaded state as the next command's work: its index, and every table's, is above all that was seen."""
        index = max(self.index, loaded.state.index) + 1
        tables = {name: TableState(one.rows, one.indexes, index) for name, one in loaded.state.tables.items()}
        self._replace(State(index, tables), loaded.orders, restored=True)
        return Applied(index, commands.Done(index=index))

    def _replace(self, state: State, orders: LiveOrders, *, restored: bool) -> None:
        replaced = maps_of(self.store.replace(state, orders))
        if self._dissolved is not None:
            self._dissolved(dissolve(replaced))
        for callback in self._replaced:
            callback(state.index, restored)

    def restore(self, chunks: Iterator[bytes]) -> None:
        """Replace the state by a snapshot's; raises `BadSnapshot` and then keeps the old state."""
        self.swap(self.load(chunks))


def _raise(error: Exception) -> None:
    raise error


def _trace(error: Exception) -> str:
    """The error and the functions it went through, the same text on every server."""
    codes = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)]
    way = " > ".join(f"{'/'.join(code.co_filename.split('/')[-2:])}:{code.co_name}" for code in codes)
    text = "".join(traceback.format_exception_only(error)).strip()
    return f"{_ADDRESS.sub('0x…', text)} at {way}"


_ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}")
