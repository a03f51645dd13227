"""The columns that evaluations read, kept in step with the state of the leader; made anew in turns of the loop."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import chain

from yurt.fsm.store.changes import Change
from yurt.fsm.structs.allocation import Allocation
from yurt.scheduler.cluster import Cluster
from yurt.server.host import Host
from yurt.server.platform.turns import Steps


class Columns:
    """The nodes of the newest state with what is reserved for plans on their way; `made` is told of new columns."""

    def __init__(self, server: Host, made: Callable[[], None]) -> None:
        self._server, self._made = server, made
        self._cluster: Cluster | None = None
        self._is_doubtful = False
        self._missed: deque[tuple[int, Sequence[Change]]] | None = None  # commits since the view that is read

    def forget(self) -> None:
        """Drop the columns, and what is reserved with them."""
        self._cluster = self._missed = None

    def doubt(self) -> None:
        """Make new columns before the next are given out; those of now serve as `known` meanwhile."""
        self._is_doubtful = True

    def current(self) -> Cluster | None:
        """Return the columns of the newest state; None while they are made, `made` is called then."""
        if not self._is_current() and self._missed is None:
            steps = self._making()
            if self._server.turns.begin(steps) is None:
                self._server.in_turns(lambda: self._finished(steps))
        return self._cluster if self._is_current() else None

    def _is_current(self) -> bool:
        return self._cluster is not None and not self._is_doubtful and self._cluster.is_of(self._server.view())

    @property
    def known(self) -> Cluster | None:
        """The newest columns that are made; None before the first."""
        return self._cluster

    def committed(self, index: int, changes: Sequence[Change]) -> None:
        """Take a commit in."""
        if self._missed is not None:
            self._missed.append((index, changes))
        if self._cluster is not None:
            self._cluster.apply(index, changes)

    def _making(self) -> Steps[None]:
        """Read one view, then the commits since; given up if `forget` is called meanwhile."""
        missed: deque[tuple[int, Sequence[Change]]] = deque()
        self._missed = missed
        view, cluster = self._server.view(), Cluster()
        view.pin()
        try:
            for _ in chain(cluster.reading(view), _caught_up(cluster, missed)):
                yield
                if missed is not self._missed:
                    return
            if self._cluster is not None:
                cluster.reserve(self._cluster.reserved())
            self._cluster, self._is_doubtful = cluster, False
        finally:
            if missed is self._missed:
                self._missed = None

    def _finished(self, steps: Steps[None]) -> Iterator[None]:
        yield from steps
        self._made()

    def reserve(self, placed: Sequence[Allocation]) -> None:
        """Take the room of placements that are proposed."""
        if placed and self._cluster is not None:
            self._cluster.reserve(placed)

    def release(self, placed: Sequence[Allocation]) -> None:
        """Give back the room of placements that were not committed."""
        if placed and self._cluster is not None:
            self._cluster.release(placed, self._server.view())


def _caught_up(cluster: Cluster, missed: deque[tuple[int, Sequence[Change]]]) -> Iterator[None]:
    """Apply commits, one a step, until none is left."""
    while missed:
        cluster.apply(*missed.popleft())
        yield
