"""Whether a reschedule policy can do what it says (spec job-model §5.3). Costs the same for any number of attempts."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from yurt.fsm.lang.duration import format_duration
from yurt.fsm.structs.policies import ReschedulePolicy

SECOND = 1_000_000_000
DELAY_MIN_NS = 5 * SECOND
INTERVAL_MIN_NS = 15 * SECOND
FUNCTIONS = ("constant", "exponential", "fibonacci")


def reschedule_errors(policy: ReschedulePolicy) -> Iterator[str]:
    """Yield the errors of a reschedule policy, in order; none for one that never reschedules."""
    if policy.attempts == 0 and not policy.unlimited:
        return
    if policy.attempts > 0:
        if policy.interval <= 0:
            yield "Interval must be a non zero value if Attempts > 0"
        if policy.unlimited:
            interval = format_duration(policy.interval)
            yield (
                f"Reschedule Policy with Attempts = {policy.attempts}, Interval = {interval}, "
                "and Unlimited = true is ambiguous"
            )
            yield "If Attempts >0, Unlimited cannot also be set to true"
    delays = list(_delay_errors(policy))
    yield from delays
    if policy.unlimited:
        return
    if policy.interval < INTERVAL_MIN_NS:
        yield f"Interval cannot be less than 15s (got {format_duration(policy.interval)})"
    if not delays:
        yield from _attempts_errors(policy)


def _delay_errors(policy: ReschedulePolicy) -> Iterator[str]:
    delay, ceiling = policy.delay, policy.max_delay
    if delay < DELAY_MIN_NS:
        yield f"Delay cannot be less than 5s (got {format_duration(delay)})"
    if policy.delay_function not in FUNCTIONS:
        listed = " ".join(f'"{function}"' for function in FUNCTIONS)
        yield f'Invalid delay function "{policy.delay_function}", must be one of [{listed}]'
    if policy.delay_function != "constant":
        if ceiling < DELAY_MIN_NS:
            yield f"Max Delay cannot be less than 5s (got {format_duration(delay)})"
        if ceiling < delay:
            pair = f"{format_duration(delay)} (got {format_duration(ceiling)})"
            yield f"Max Delay cannot be less than Delay {pair}"


def _attempts_errors(policy: ReschedulePolicy) -> Iterator[str]:
    """Whether the attempts fit into the interval, which only an interval of more than nothing can tell."""
    fits, possible, needed = _fit(policy)
    if fits:
        return
    text = (
        f"Nomad can only make {possible} attempts in {format_duration(policy.interval)} with initial delay "
        f"{format_duration(policy.delay)}"
    )
    if policy.delay_function == "constant":
        yield f'{text} and delay function "constant"'
    else:
        ceiling = format_duration(policy.max_delay)
        yield f'{text}, delay function "{policy.delay_function}", and delay ceiling {ceiling}'
    rounded = (needed + SECOND // 2) // SECOND * SECOND
    yield f"Set the interval to at least {format_duration(rounded)} to accommodate {policy.attempts} attempts"


def _fit(policy: ReschedulePolicy) -> tuple[bool, int, int]:
    """Whether the attempts fit, how many do, and the interval (ns) that all of them need."""
    attempts, interval, delay, ceiling = policy.attempts, policy.interval, policy.delay, policy.max_delay
    if policy.delay_function == "constant":
        return interval >= attempts * delay, interval // delay, attempts * delay
    slots = _slots(policy)
    rest = attempts - len(slots)  # the slots after these are a ceiling apart
    last = slots[-1] + rest * ceiling if rest else slots[-1]
    if policy.delay_function == "exponential":
        possible = bisect_left(slots, interval)
        if possible == len(slots):
            possible += min(rest, max(0, -(-(interval - slots[-1]) // ceiling) - 1))
        return possible == attempts, possible, last
    possible = bisect_right(slots, interval)
    if possible == len(slots):
        possible += min(rest, (interval - slots[-1]) // ceiling)
    return interval >= last, possible, last


def _slots(policy: ReschedulePolicy) -> list[int]:
    """The times (ns) of the attempts up to the first one at the ceiling, of which there is always one at least."""
    exponential = policy.delay_function == "exponential"
    slots = [policy.delay]
    while len(slots) < policy.attempts:
        following = 2 * slots[-1] if exponential else slots[-1] + (slots[-2] if len(slots) > 1 else 0)
        if following > policy.max_delay:
            if not exponential:
                slots.append(policy.max_delay)
            break
        slots.append(following)
    return slots
