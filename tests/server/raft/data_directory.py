"""A data directory in the present formats, made by the engine itself: `python -m tests.server.raft.data_directory DIR`.

One is kept for every format version under `formats/`, with what must be found in it; they are never made anew.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from yurt.fsm import commands
from yurt.fsm.machine import Machine
from yurt.fsm.store.schema import JOBS, TABLES
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.task import Task
from yurt.server.raft.core.configuration import cluster_id
from yurt.server.raft.core.engine import Engine
from yurt.server.raft.core.state import EngineConfig, Storage
from yurt.server.raft.peer import Peer
from yurt.server.raft.runtime import AsyncioRuntime
from yurt.server.raft.storage.data_dir import DataDirectory
from yurt.server.raft.storage.disk import RealDisk
from yurt.server.raft.storage.hard_state import HardStateFile
from yurt.server.raft.storage.journal import Journal
from yurt.server.raft.storage.snapshots import SnapshotStore
from yurt.server.raft.transport.forming import store_configuration, stored_configuration


class Opened:
    """A server on a data directory, alone."""

    def __init__(self, path: str, **config: Any) -> None:
        self.path = path
        directory = DataDirectory(path)
        self.server_id = directory.open()
        directory.close()
        raft, disk = f"{path}/server/raft", RealDisk(sync=False)
        disk.make_directory(raft)
        first = stored_configuration(raft)
        if first is None:
            first = [[self.server_id, "127.0.0.1:4647", "one"]]
            store_configuration(raft, first)
        self.first = first
        identity = cluster_id(first)
        journal = Journal(disk, f"{raft}/log", identity, segment_bytes=4096)
        journal.open()
        snapshots = SnapshotStore(disk, f"{raft}/snapshots", identity)
        snapshots.open()
        self.machine = Machine()
        self.engine = Engine(
            Peer(self.server_id, "127.0.0.1:4647", "one"),
            config=EngineConfig(digest_commands=10, **config),
            machine=self.machine,
            storage=Storage(journal, HardStateFile(disk, raft), snapshots),
            runtime=AsyncioRuntime(),
            chance=random.Random(1),
            send=lambda _to, _data: None,
            fatal=self._fatal,
        )

    def _fatal(self, error: BaseException) -> None:
        raise AssertionError(error) from error

    async def start(self) -> None:
        """Take part, until it leads."""
        self.engine.start(self.first)
        await self.until(lambda: self.engine.is_ready)

    async def until(self, predicate: Callable[[], Any]) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(20):
            while not predicate():
                await asyncio.sleep(0.005)

    async def answered(self, ask: Callable[..., Any], *arguments: Any) -> Any:
        """What the engine calls back with."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        ask(*arguments, lambda result, error: future.set_exception(error) if error else future.set_result(result))
        return await future

    def found(self) -> dict[str, Any]:
        """What is in it, in a form that later versions can still tell."""
        view = self.machine.view()
        return {
            "index": view.index,
            "jobs": [[job.id, job.version, job.modify_index] for job in view.scan(JOBS)],
            "tables": {table.name: view.count(table) for table in TABLES if view.count(table)},
            "configuration": self.engine.configuration,
            "snapshot": self.engine.snapshot.index,
        }


def register(number: int) -> bytes:
    """A command of the first version."""
    task = Task(name="task", driver="docker", config={"image": "nginx:1.27"})
    job = Job(id=f"job-{number}", name=f"job-{number}", task_groups=(TaskGroup(name="group", count=0, tasks=(task,)),))
    return commands.encode(
        commands.RegisterJob(now_ns=number, job=job, eval_id=f"{number:08d}-0000-4000-8000-000000000000")
    )


async def make(path: str) -> None:
    """Snapshots, segments, a restored state, a changed configuration, and a kill at the end."""
    server = Opened(path, snapshot_entries=14, trailing_entries=4)
    await server.start()
    engine = server.engine
    for number in range(30):
        await server.answered(engine.propose, register(number))
    saved = zlib.compress(b"".join(server.machine.write(server.machine.capture())))
    await server.answered(engine.propose, register(100))
    pieces = [saved[at : at + 1000] for at in range(0, len(saved), 1000)]
    await server.answered(engine.restore_state, pieces)
    for number in range(40, 50):
        await server.answered(engine.propose, register(number))
    await server.until(lambda: not engine.snapshotting)
    await server.answered(engine.add_server, "learner-id", "127.0.0.1:5647", "two")
    for number in range(5):
        await server.answered(engine.propose, register(number))  # again: no new versions
    await server.until(lambda: not engine.snapshotting and engine.own_match == engine.log.last_index)
    engine.stop()
    await engine.runtime.close()
    Path(path, "found.json").write_text(json.dumps(server.found(), indent=1))


if __name__ == "__main__":
    asyncio.run(make(sys.argv[1]))
