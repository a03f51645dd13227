"""Scenarios, and the hands that carry them out: on real processes, by an operator's hooks, or simulated.

A scenario's `steps` is a generator: it does something through the hands and yields how many seconds pass then, so that
the same lines break real servers and simulated ones. It is repeated until the time is over.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from random import Random
from types import ModuleType
from typing import Any, Protocol

from yurt.server.experiments import scenarios, workloads

# The abilities of hands; a scenario is left out where it needs more.
KILL, PAUSE, STOP, LINKS, DISK, CLOCK, UPGRADE, NODES, DICE, JOIN = (
    "kill", "pause", "stop", "links", "disk", "clock", "upgrade", "nodes", "dice", "join",
)  # fmt: skip
Steps = Iterator[float]


class Hands(Protocol):
    """The actions on a cluster. Servers and nodes are named; a call returns when it is done."""

    can: frozenset[str]
    names: tuple[str, ...]  # servers
    nodes: tuple[str, ...]

    def fault(self, name: str, *servers: str) -> AbstractContextManager[None]:
        """The time in which something is wrong, for the records."""

    def leader(self) -> str:
        """The name of the server that leads; waits for one."""

    def down(self) -> list[str]:
        """Servers and nodes that do not run."""

    def kill(self, name: str) -> None:
        """End a server or a node at once (kill -9, a lost machine)."""

    def stop(self, name: str) -> None:
        """Stop it cleanly."""

    def start(self, name: str) -> None:
        """Start it again and wait until it answers."""

    def pause(self, name: str) -> None:
        """Let it stand still."""

    def resume(self, name: str) -> None:
        """Let it go on."""

    def cut(self, pairs: set[tuple[str, str]], *, closing: bool = False) -> None:
        """Nothing gets from the first to the second of each pair, silently or by closing what is open.

        Earlier cuts end.
        """

    def slow_links(self, name: str, seconds: float) -> None:
        """Everything to and from a server takes so much longer; 0 ends it."""

    def slow_disk(self, name: str, seconds: float) -> None:
        """Every sync takes so much longer; 0 ends it."""

    def fill_disk(self, name: str, *, full: bool) -> None:
        """There is no room for anything new, or there is again."""

    def jump_clock(self, name: str, seconds: float) -> None:
        """The wall clock is so far from the truth from now on."""

    def upgrade(self, name: str) -> None:
        """Stop a server cleanly and start its next version."""

    def dice(self) -> None:
        """One of the simulator's own faults, drawn from a set that the seed chose."""


@dataclass(frozen=True)
class Scenario:
    """`steps` is one round of faults; `settings` are merged into every agent's configuration."""

    name: str
    text: str
    steps: Callable[[Hands, Random], Steps]
    needs: frozenset[str] = frozenset()
    workload: str = "registers"
    servers: int = 3
    later: int = 0  # servers, of these, that are not started at the beginning
    nodes: int = 0
    rate: float = 100.0
    padding: int = 0  # characters that each job carries along
    seconds: float = 30.0
    short_seconds: float = 3.0  # one round is always done
    settings: Callable[[], dict[str, Any]] = dict


def apart(names: tuple[str, ...], *inside: str) -> set[tuple[str, str]]:
    """All pairs with one end inside and one outside."""
    return {(a, b) for a in names for b in names if (a in inside) != (b in inside)}


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    for found in sorted(pkgutil.iter_modules(package.__path__), key=lambda one: one.name):
        yield importlib.import_module(f"{package.__name__}.{found.name}")


def all_scenarios() -> dict[str, Scenario]:
    """Every scenario by its name: the `SCENARIO` of each file in `scenarios/`."""
    found = [module.SCENARIO for module in _modules(scenarios)]
    return {one.name: one for one in sorted(found, key=lambda one: one.name)}


def all_workloads() -> dict[str, type[Any]]:
    """Every workload by its name: the `WORKLOAD` of each file in `workloads/`."""
    return {module.WORKLOAD.name: module.WORKLOAD for module in _modules(workloads)}
