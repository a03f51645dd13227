"""Evaluations for later: delayed rescheduling, ends of disconnects, clients that stop by themselves (spec §7.4, §9)."""

from __future__ import annotations

from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.evaluation import PENDING, Evaluation
from yurt.fsm.structs.times import SECOND, to_rfc3339
from yurt.scheduler.reconcile.result import Context

BATCH_NS = 5 * SECOND
RESCHEDULING_TEXT = "created for delayed rescheduling"
DISCONNECT_TRIGGER = "max-disconnect-timeout"
DISCONNECT_TEXT = "created for delayed disconnect timeout"


def batches(due: list[tuple[int, Allocation]]) -> list[tuple[int, list[Allocation]]]:
    """Allocations by the time they are due: a batch begins with its first and takes those within five seconds."""
    found: list[tuple[int, list[Allocation]]] = []
    for time, one in sorted(due, key=lambda pair: (pair[0], pair[1].id)):
        if not found or time - found[-1][0] > BATCH_NS:
            found.append((time, []))
        found[-1][1].append(one)
    return found


def follow_up(context: Context, time_ns: int, *, trigger: str, text: str, what: str) -> Evaluation:
    """An evaluation of the job that waits until a time; `what` makes its ID."""
    evaluation = context.evaluation
    return Evaluation(
        id=context.new_id(f"follow-up/{what}"),
        namespace=evaluation.namespace,
        priority=evaluation.priority,
        type=context.job.type if context.job else evaluation.type,
        triggered_by=trigger,
        job_id=evaluation.job_id,
        job_modify_index=evaluation.job_modify_index,
        status=PENDING,
        status_description=text,
        wait_until=to_rfc3339(time_ns),
        previous_eval=evaluation.id,
    )


def rescheduled_later(
    context: Context, group: str, due: list[tuple[int, Allocation]]
) -> tuple[list[Evaluation], dict[str, str]]:
    """Evaluations for allocations that may be replaced later, and which allocation waits for which."""
    made: list[Evaluation] = []
    waits: dict[str, str] = {}
    for number, (time, members) in enumerate(batches(due)):
        trigger, text = ("alloc-reschedule", RESCHEDULING_TEXT) if number == 0 else ("alloc-failure", "")
        one = follow_up(context, time, trigger=trigger, text=text, what=f"{group}/reschedule/{number}")
        made.append(one)
        waits.update((member.id, one.id) for member in members)
    return made, waits


def given_up_later(
    context: Context, group: str, due: list[tuple[int, Allocation]]
) -> tuple[list[Evaluation], dict[str, str]]:
    """Evaluations for the time at which unknown allocations are lost."""
    made: list[Evaluation] = []
    waits: dict[str, str] = {}
    for number, (time, members) in enumerate(batches(due)):
        one = follow_up(context, time, trigger=DISCONNECT_TRIGGER, text=DISCONNECT_TEXT, what=f"{group}/lost/{number}")
        made.append(one)
        waits.update((member.id, one.id) for member in members)
    return made, waits
