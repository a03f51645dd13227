"""Ending a job with all that was dispatched or launched from it, in commands of bounded work (docs/extras.md)."""

from __future__ import annotations

import asyncio
from typing import Any

from yurt.fsm.commands import DeregisterFamily, DeregisterJob, JobWritten
from yurt.fsm.store.schema import JOBS
from yurt.fsm.structs.job import DEAD
from yurt.server.host import Host
from yurt.server.platform.turns import Steps

AT_ONCE_MAX = 32  # children that one command ends
INFLIGHT_MAX = 16


async def end_family(server: Host, command: DeregisterFamily) -> JobWritten:
    """Propose `command`; for a large family its members one by one, parents stopped first and purged after theirs.

    Whoever repeats a request that was broken off ends what is left. Raises what a write raises.
    """
    members = await server.turns.run(_members(server, command))
    if len(members) <= AT_ONCE_MAX:
        return await _proposed(server, command)
    result = JobWritten(job_modify_index=0)
    parents = [command.job_id, *(job_id for job_id, is_parent in members.items() if is_parent)]
    for job_id in parents:  # stopped, they make no more children
        job = server.view().get(JOBS, (command.namespace, job_id))
        if job is not None and not (job.stop and (command.purge or job_id != command.job_id)):
            stopped = await _proposed(server, _one_of(command, job_id, purge=False, eval_id=server.new_id()))
            result = stopped if job_id == command.job_id else result
    left = [*await server.turns.run(_members(server, command))]
    if command.purge:
        left.reverse()  # those of a parent before it: they are found by it
    for at in range(0, len(left), INFLIGHT_MAX):
        ending = [
            _one_of(command, job_id, purge=command.purge, eval_id=server.new_id())
            for job_id in left[at : at + INFLIGHT_MAX]
            if _is_to_end(server, command, job_id)
        ]
        await asyncio.gather(*(_proposed(server, one) for one in ending))
    return await _proposed(server, command) if command.purge else result


async def _proposed(server: Host, command: DeregisterJob) -> JobWritten:
    result: JobWritten = await server.propose(command)
    return result


def _members(server: Host, command: DeregisterFamily) -> Steps[dict[str, bool]]:
    """The IDs of all that came of the job, parents before their children; True for parents."""
    view = server.view()
    found: dict[str, bool] = {}
    parents = [command.job_id]
    while parents:
        for child in view.each(JOBS, "parent", (command.namespace, parents.pop())):
            yield
            if child is not None:
                found[child.id] = child.is_parent
                if child.is_parent:
                    parents.append(child.id)
    return found


def _is_to_end(server: Host, command: DeregisterFamily, job_id: str) -> bool:
    job = server.view().get(JOBS, (command.namespace, job_id))
    return job is not None and (command.purge or not (job.stop or job.status == DEAD))


def _one_of(command: DeregisterFamily, job_id: str, *, purge: bool, eval_id: str) -> DeregisterJob:
    """The same of one job alone."""
    fields: dict[str, Any] = {name: getattr(command, name) for name in DeregisterJob.__struct_fields__}
    return DeregisterJob(**{**fields, "job_id": job_id, "purge": purge, "eval_id": eval_id})
