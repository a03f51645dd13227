"""A snapshot that cannot be read is replaced by another one, of whole entries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.server.raft.servers import leader_of, quiet_cluster, run_for, run_until, write

COMMANDS = 6


class SlowAfterTwo:
    """A runtime whose clock says that a slice is over when two commands of an entry are applied."""

    def __init__(self, engine: Any) -> None:
        self._engine, self._runtime = engine, engine.runtime

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runtime, name)

    def now(self) -> float:
        late = 1.0 if self._engine.is_mid_entry and self._engine._position >= 2 else 0.0
        return float(self._runtime.now()) + late


def test_a_snapshot_that_fails_in_the_middle_of_an_entry_leads_to_none_of_half_of_it() -> None:
    cluster = quiet_cluster(size=1)
    leader = leader_of(cluster)
    assert leader is not None and leader.engine is not None
    engine = leader.engine
    engine.config = replace(engine.config, snapshot_entries=10_000)
    write(cluster, 10)
    run_for(cluster, 0.2)
    apply: Callable[[bytes], Any] = engine.machine.apply
    seen: list[bool] = []

    def watched(payload: bytes) -> Any:
        result = apply(payload)
        if engine._position == 1 and not seen:
            seen.append(False)
            engine.runtime.call_soon(lost)
        return result

    def lost() -> None:
        seen.append(engine.is_mid_entry)
        engine._unreadable("x", OSError(5, "the disk cannot be read"))

    engine.machine.apply = watched  # type: ignore[method-assign]
    engine.runtime = SlowAfterTwo(engine)
    done: list[Any] = []
    for number in range(COMMANDS):
        engine.propose(b"command %d" % number, lambda result, error: done.append((result, error)))
    run_until(cluster, lambda: len(done) == COMMANDS)
    assert seen == [False, True], "the read failed between two slices of the entry"
    assert not engine.snapshotting and not engine.snapshot.index
    before = list(leader.machine.applied)
    leader.crash()
    leader.start()
    run_until(cluster, lambda: leader.engine is not None and leader.engine.is_ready)
    assert leader.machine.applied[: len(before)] == before
