"""The batches of client allocation updates: one command is in flight, later reports join the next one."""

from __future__ import annotations

import asyncio

from yurt.fsm.commands_nodes import AllocUpdate, UpdateAllocations
from yurt.server.host import Host
from yurt.server.raft.errors import NotLeader, OutcomeUnknown

UPDATES_PER_COMMAND_MAX = 500


class Reports:
    """Reports of all nodes that this server took in."""

    def __init__(self, server: Host) -> None:
        self._server = server
        self._waiting: list[tuple[list[AllocUpdate], asyncio.Future[int]]] = []
        self._task: asyncio.Task[None] | None = None

    async def add(self, updates: list[AllocUpdate]) -> int:
        """Store them; the index of the command. Raises what proposing raises."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((updates, future))
        if self._task is None or self._task.done():
            self._task = self._server.supervisor.spawn("allocation updates", self._send())
        return await future

    async def _send(self) -> None:
        while self._waiting:
            taken: list[tuple[list[AllocUpdate], asyncio.Future[int]]] = []
            count = 0
            while self._waiting and (not taken or count + len(self._waiting[0][0]) <= UPDATES_PER_COMMAND_MAX):
                count += len(self._waiting[0][0])
                taken.append(self._waiting.pop(0))
            updates = tuple(one for part, _ in taken for one in part)
            server = self._server
            command = UpdateAllocations(now_ns=server.now_ns(), updates=updates, seed=server.new_id())
            try:
                result = await server.propose(command)
            except asyncio.CancelledError:
                _fail(taken, OutcomeUnknown())
                left, self._waiting = self._waiting, []
                _fail(left, NotLeader())
                raise
            except Exception as error:  # noqa: BLE001 (those who wait must hear of it)
                _fail(taken, error)
            else:
                for _, future in taken:
                    if not future.done():
                        future.set_result(result.index)


def _fail(taken: list[tuple[list[AllocUpdate], asyncio.Future[int]]], error: Exception) -> None:
    for _, future in taken:
        if not future.done():
            future.set_exception(error)
