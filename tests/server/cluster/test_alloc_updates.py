"""Updates of allocations that wait for each other's command."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from yurt.server.cluster.alloc_updates import Reports
from yurt.server.platform.supervision import Supervisor
from yurt.server.raft.errors import OutcomeUnknown


def test_who_waits_for_a_command_that_is_cancelled_hears_that_its_outcome_is_unknown() -> None:
    async def scenario() -> None:
        proposing, proposals = asyncio.Event(), list[Any]()

        async def propose(command: Any) -> Any:
            proposals.append(command)
            proposing.set()
            await asyncio.Event().wait()

        server: Any = SimpleNamespace(propose=propose, now_ns=lambda: 1, new_id=lambda: "id", supervisor=Supervisor())
        reports = Reports(server)
        waiting = asyncio.ensure_future(reports.add([]))
        await proposing.wait()
        (task,) = [task for task in asyncio.all_tasks() if task not in (waiting, asyncio.current_task())]
        task.cancel()
        with pytest.raises(OutcomeUnknown):
            await waiting
        assert task.cancelled() or task.done()
        assert len(proposals) == 1, "a cancelled batcher proposes nothing more"

    asyncio.run(scenario())
