"""All nodes and what is used of them as columns: what every evaluation reads and no evaluation changes.

Made from a view once, then kept up to date by the changes of each commit. Row numbers are places in the columns; a row
whose node was deleted stays, with `nodes[row]` None.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from yurt.fsm.store.changes import Change
from yurt.fsm.store.reader import Reader
from yurt.fsm.store.schema import ALLOCATIONS, NODES
from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.node import Node
from yurt.scheduler.sizes import Size, capacity, size_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
T = TypeVar("T", bound=np.generic)

_ROWS_FIRST = 64


class Codes:
    """Texts as small numbers, so that columns of texts are arrays."""

    __slots__ = ("numbers", "texts")

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.numbers: dict[str, int] = {}

    def of(self, text: str) -> int:
        """The number of a text."""
        number = self.numbers.get(text)
        if number is None:
            number = self.numbers[text] = len(self.texts)
            self.texts.append(text)
        return number


class Cluster:
    """Nodes and usage. `total` and `used` have a row a node: CPU in MHz, memory in MB, disk in MB.

    `used` counts what clients have not ended yet, and what was reserved for plans that are not committed yet.
    """

    def __init__(self) -> None:
        self.nodes: list[Node | None] = []
        self.rows: dict[str, int] = {}
        self.total: Floats = np.zeros((_ROWS_FIRST, 3))
        self.used: Floats = np.zeros((_ROWS_FIRST, 3))
        self.ready: Bools = np.zeros(_ROWS_FIRST, np.bool_)
        self.datacenter: Ints = np.zeros(_ROWS_FIRST, np.int64)
        self.pool: Ints = np.zeros(_ROWS_FIRST, np.int64)
        self.node_class: Ints = np.zeros(_ROWS_FIRST, np.int64)
        self.computed_class: Ints = np.zeros(_ROWS_FIRST, np.int64)
        self.datacenters, self.pools, self.node_classes, self.computed_classes = Codes(), Codes(), Codes(), Codes()
        self.version = (0, 0)
        self._held: dict[str, tuple[str, Size]] = {}
        self._elsewhere: dict[str, dict[str, Size]] = {}  # allocations of nodes that are not there
        self._reserved: dict[str, dict[str, Allocation]] = {}  # of plans on their way, by node

    @classmethod
    def of(cls, reader: Reader) -> Cluster:
        """The columns of a view."""
        self = cls()
        deque(self.reading(reader), maxlen=0)
        return self

    def reading(self, reader: Reader) -> Iterator[None]:
        """Take a whole view in, one row a step; the columns show it when the steps are at their end."""
        for node in reader.scan(NODES):
            self._put_node(node)
            yield
        for allocation in reader.scan(ALLOCATIONS):
            self._put_allocation(allocation)
            yield
        self.version = _version(reader)

    def is_of(self, reader: Reader) -> bool:
        """Whether the columns show what a view holds."""
        return self.version == _version(reader)

    def __len__(self) -> int:
        return len(self.nodes)

    def apply(self, index: int, changes: Iterable[Change]) -> None:
        """Take a commit in."""
        nodes, allocations = self.version
        for change in changes:
            if change.table is ALLOCATIONS:
                allocations = index
                self._unreserve(change.new or change.old)
                if change.new is not None:
                    self._put_allocation(change.new)
                elif change.old is not None:
                    self._drop(change.old.id)
            elif change.table is NODES:
                nodes = index
                if change.new is not None:
                    self._put_node(change.new)
                elif change.old is not None:
                    self._delete_node(change.old.id)
        self.version = (nodes, allocations)

    def reserve(self, allocations: Iterable[Allocation]) -> None:
        """Count placements of a plan that is on its way; their commit counts them no second time."""
        for allocation in allocations:
            self._reserved.setdefault(allocation.node_id, {})[allocation.id] = allocation
            self._put_allocation(allocation)

    def reserved_on(self, node_id: str) -> Iterable[Allocation]:
        """Placements on a node that are on their way."""
        return self._reserved.get(node_id, {}).values()

    def reserved(self) -> Iterable[Allocation]:
        """All placements that are on their way."""
        return [allocation for on_node in self._reserved.values() for allocation in on_node.values()]

    def _unreserve(self, allocation: Allocation) -> None:
        on_node = self._reserved.get(allocation.node_id)
        if on_node is not None and on_node.pop(allocation.id, None) is not None and not on_node:
            del self._reserved[allocation.node_id]

    def release(self, allocations: Iterable[Allocation], reader: Reader) -> None:
        """Forget placements of a plan that was not committed, unless the state has them after all."""
        for allocation in allocations:
            self._unreserve(allocation)
            if reader.get(ALLOCATIONS, allocation.id) is None:
                self._drop(allocation.id)

    # --- rows

    def _put_node(self, node: Node) -> None:
        row = self.rows.get(node.id)
        if row is None:
            row = self.rows[node.id] = len(self.nodes)
            self.nodes.append(node)
            self._grow(len(self.nodes))
            for size in self._elsewhere.pop(node.id, {}).values():
                self.used[row] += size
        self.nodes[row] = node
        self.total[row] = capacity(node)
        self.ready[row] = node.is_ready
        self.datacenter[row] = self.datacenters.of(node.datacenter)
        self.pool[row] = self.pools.of(node.node_pool)
        self.node_class[row] = self.node_classes.of(node.node_class)
        self.computed_class[row] = self.computed_classes.of(node.computed_class or f"node:{node.id}")

    def _delete_node(self, node_id: str) -> None:
        row = self.rows.get(node_id)
        if row is not None:
            self.nodes[row] = None
            self.ready[row] = False

    def _grow(self, rows: int) -> None:
        if rows <= len(self.ready):
            return
        more = 2 * len(self.ready)
        self.total, self.used = _longer(self.total, more), _longer(self.used, more)
        self.ready = _longer(self.ready, more)
        self.datacenter, self.pool = _longer(self.datacenter, more), _longer(self.pool, more)
        self.node_class, self.computed_class = _longer(self.node_class, more), _longer(self.computed_class, more)

    def _put_allocation(self, allocation: Allocation) -> None:
        held = self._held.get(allocation.id)
        if allocation.is_client_terminal:
            if held is not None:
                self._drop(allocation.id)
            return
        size = size_of(allocation.allocated_resources)
        if held is not None:
            if held == (allocation.node_id, size):
                return
            self._drop(allocation.id)
        self._held[allocation.id] = (allocation.node_id, size)
        row = self.rows.get(allocation.node_id)
        if row is None:
            self._elsewhere.setdefault(allocation.node_id, {})[allocation.id] = size
        else:
            self.used[row] += size

    def _drop(self, alloc_id: str) -> None:
        held = self._held.pop(alloc_id, None)
        if held is None:
            return
        node_id, size = held
        row = self.rows.get(node_id)
        if row is None:
            self._elsewhere.get(node_id, {}).pop(alloc_id, None)
        else:
            self.used[row] -= size


def _version(reader: Reader) -> tuple[int, int]:
    return (reader.table_index(NODES), reader.table_index(ALLOCATIONS))


def _longer(array: NDArray[T], rows: int) -> NDArray[T]:
    longer: NDArray[Any] = np.zeros((rows, *array.shape[1:]), array.dtype)
    longer[: len(array)] = array
    return longer
