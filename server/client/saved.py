"""The agent's allocations on disk, by which a new agent finds their tasks again (spec node-agent §12)."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from yurt.fsm.structs.allocation import Allocation, AllocDeploymentStatus, TaskState
from yurt.fsm.structs.base import to_json
from yurt.server.platform.atomic_file import write_whole

log = logging.getLogger("client")


class SavedTask(msgspec.Struct, frozen=True):
    """A task's state, and what its driver needs to find it again."""

    state: TaskState
    handle: dict[str, Any] | None = None


class SavedAlloc(msgspec.Struct, frozen=True):
    """An allocation as the servers described it, and how far it has come."""

    allocation: Allocation
    tasks: dict[str, SavedTask]
    health: AllocDeploymentStatus | None = None
    index: int = 0


_decoder = msgspec.json.Decoder(SavedAlloc)


class SavedAllocs:
    """One file an allocation."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def save(self, saved: SavedAlloc) -> bool:
        """Write in one step; False if it cannot be written: an agent that starts meanwhile would not find its tasks."""
        path = self._path(saved.allocation.id)
        body = to_json(saved)
        try:
            write_whole(path, body, sync=False)
        except OSError as error:
            log.warning("an allocation's state was not written", extra={"path": str(path), "reason": str(error)})
            return False
        return True

    def forget(self, alloc_id: str) -> None:
        """The allocation is gone."""
        with contextlib.suppress(OSError):
            self._path(alloc_id).unlink()

    def load(self) -> Iterator[SavedAlloc]:
        """All that can be read; the others are as if they had never been."""
        for path in sorted(self._directory.glob("*.json")):
            try:
                yield _decoder.decode(path.read_bytes())
            except (OSError, msgspec.DecodeError) as error:
                log.warning("an allocation's state was not read", extra={"path": str(path), "reason": str(error)})

    def _path(self, alloc_id: str) -> Path:
        return self._directory / f"{alloc_id}.json"
