"""Summaries of all jobs counted anew, in turns of the loop and commands of bounded work."""

from __future__ import annotations

from yurt.fsm.apply.summaries import counting
from yurt.fsm.commands import COUNTED_SINCE, ReconcileSummaries
from yurt.fsm.store.schema import JOB_SUMMARIES
from yurt.fsm.structs.job import JobSummary
from yurt.server.host import Host
from yurt.server.platform.turns import Steps

AT_ONCE_MAX = 64  # of a command
PASSES_MAX = 3  # over summaries that change while they are counted


async def reconcile(server: Host) -> int:
    """Put right every summary that counts wrongly; return the newest command's index. Raises what a write raises."""
    if server.version_known_by_all() < COUNTED_SINCE:
        all_at_once = await server.propose(ReconcileSummaries(now_ns=server.now_ns()))
        index: int = all_at_once.index
        return index
    index = server.view().index
    for _ in range(PASSES_MAX):
        wrong = await server.turns.run(_wrong(server))
        if not wrong:
            break
        for start in range(0, len(wrong), AT_ONCE_MAX):
            summaries = tuple(wrong[start : start + AT_ONCE_MAX])
            result = await server.propose(ReconcileSummaries(now_ns=server.now_ns(), summaries=summaries))
            index = result.index
    return index


def _wrong(server: Host) -> Steps[list[JobSummary]]:
    """The summaries of one view that differ from what is counted, as counted."""
    view = server.view()
    view.pin()
    found = []
    for summary in view.scan(JOB_SUMMARIES):
        yield
        counted = yield from counting(view, summary)
        if counted != summary:
            found.append(counted)
    return found
