"""Where a cluster's agents live: as processes, or on virtual time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from yurt.server.testing.agent import Agent, Clock


class Between(Protocol):
    """The links between the servers, by the servers' names."""

    delays: dict[str, float]  # by server: seconds that everything to and from it takes longer

    def cut(self, pairs: set[tuple[str, str]], *, silently: bool = True) -> None:
        """Nothing of a pair's (from, to) gets through; silently, or by closing what is open."""

    def join(self) -> None:
        """No pair is cut any more; delays stay."""

    def isolate(self, names: set[str]) -> set[tuple[str, str]]:
        """All pairs with one end inside and one outside."""


class Place(Protocol):
    """Makes agents, and what is between them."""

    @property
    def clock(self) -> Clock:
        """The time there."""

    @property
    def links(self) -> Between:
        """The links between the servers; raises `ClusterError` if they cannot be broken."""

    def make(
        self, directory: Path, servers: Sequence[str], nodes: Sequence[str], config: dict[str, Any]
    ) -> tuple[Sequence[Agent], Sequence[Agent], dict[str, str]]:
        """Servers and nodes by their names, and each server's peer address; nothing is started."""

    def heal(self) -> None:
        """All links work again."""

    def close(self) -> None:
        """Everything that is left ends; the agents have ended."""
