"""The cluster as one evaluation sees it: its columns with the changes of the evaluation's own plan."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from yurt.fsm.store.reader import Reader
from yurt.fsm.store.schema import ALLOCATIONS
from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.node import Node
from yurt.scheduler.cluster import Cluster, Floats, Ints
from yurt.scheduler.network import UsedPorts, reserved_ports, take
from yurt.scheduler.sizes import Size, size_of


@dataclass(slots=True)
class Holdings:
    """The discrete resources in use on a node: ports by address, cores, device instances."""

    ports: UsedPorts
    cores: set[int] = field(default_factory=set)
    devices: set[str] = field(default_factory=set)

    def add(self, allocation: Allocation) -> None:
        """Take what an allocation has."""
        resources = allocation.allocated_resources
        if resources is None:
            return
        take(resources.shared.ports, self.ports)
        for task in (resources.tasks or {}).values():
            self.cores.update(task.cpu.reserved_cores or ())
            for device in task.devices or ():
                self.devices.update(device.device_ids or ())


class Working:
    """Usage and the job's own allocations, row by row of the cluster, as the plan so far makes them.

    `touched` lists the rows in the order in which they changed, so that scores can follow.
    """

    def __init__(self, cluster: Cluster, reader: Reader, own: Iterable[Allocation]) -> None:
        self.cluster, self.reader = cluster, reader
        self.used: Floats = cluster.used[: len(cluster)].copy()
        self.touched: list[int] = []
        self.job_counts: Ints = np.zeros(len(cluster), np.int64)
        self._group_counts: dict[str, Ints] = {}
        self._gone: dict[str, None] = {}
        self._placed: dict[int, dict[str, Allocation]] = {}
        self._holdings: dict[int, Holdings] = {}
        for allocation in own:
            row = cluster.rows.get(allocation.node_id)
            if row is not None and not allocation.is_terminal:
                self._count(allocation, row, 1)

    def node(self, row: int) -> Node:
        """The node of a row that is feasible."""
        node = self.cluster.nodes[row]
        assert node is not None
        return node

    def group_counts(self, group: str) -> Ints:
        """How many allocations of a group of the job each row has."""
        found = self._group_counts.get(group)
        if found is None:
            found = self._group_counts[group] = np.zeros(len(self.cluster), np.int64)
        return found

    def _count(self, allocation: Allocation, row: int, change: int) -> None:
        self.job_counts[row] += change
        self.group_counts(allocation.task_group)[row] += change

    def place(self, row: int, allocation: Allocation, size: Size) -> None:
        """Count a placement of the plan."""
        self.used[row] += size
        self._count(allocation, row, 1)
        self._placed.setdefault(row, {})[allocation.id] = allocation
        if row in self._holdings:
            self._holdings[row].add(allocation)
        self.touched.append(row)

    def release(self, allocation: Allocation, *, own: bool = True) -> None:
        """Free the resources of an allocation that the plan stops or evicts; `own` is whether it is the job's."""
        self._move(allocation, own, -1)
        self._gone[allocation.id] = None

    def restore(self, allocation: Allocation, *, own: bool = True) -> None:
        """Take a release back."""
        self._gone.pop(allocation.id, None)
        self._move(allocation, own, 1)

    def _move(self, allocation: Allocation, own: bool, change: int) -> None:
        row = self.cluster.rows.get(allocation.node_id)
        if row is None:
            return
        if not allocation.is_client_terminal:
            self.used[row] += tuple(change * one for one in size_of(allocation.allocated_resources))
        if own and not allocation.is_terminal:
            self._count(allocation, row, change)
        self._holdings.pop(row, None)
        self.touched.append(row)

    def on_node(self, row: int) -> list[Allocation]:
        """The allocations that hold something of a node, those of the plan included."""
        node_id = self.node(row).id
        found = {
            one.id: one
            for one in self.reader.find(ALLOCATIONS, "node", node_id)
            if not one.is_client_terminal and one.id not in self._gone
        }
        for one in self.cluster.reserved_on(node_id):
            found.setdefault(one.id, one)
        found.update(self._placed.get(row, {}))
        return list(found.values())

    def holdings(self, row: int) -> Holdings:
        """Return the discrete resources in use on a row's node."""
        found = self._holdings.get(row)
        if found is None:
            node = self.node(row)
            found = Holdings(reserved_ports(node))
            kept = node.reserved_resources
            found.cores.update((kept.cpu.reserved_cpu_cores or ()) if kept else ())
            for allocation in self.on_node(row):
                found.add(allocation)
            self._holdings[row] = found
        return found
