"""Update, restart, reschedule, migrate, disk, disconnect and scaling blocks (spec job-model §5.2, §5.3, §5.12)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yurt.fsm.job.validate.policies import (
    disconnect_errors,
    disk_errors,
    migrate_errors,
    restart_errors,
    update_errors,
)
from yurt.fsm.job.validate.reschedule import reschedule_errors
from yurt.fsm.job.validate.scaling import scaling_errors
from yurt.fsm.lang.duration import format_duration
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.policies import (
    Disconnect,
    EphemeralDisk,
    MigrateStrategy,
    ReschedulePolicy,
    RestartPolicy,
    ScalingPolicy,
    UpdateStrategy,
)

SECOND = 10**9
MINUTE = 60 * SECOND
UPDATE = UpdateStrategy(
    stagger=30 * SECOND, max_parallel=1, health_check="checks", min_healthy_time=10 * SECOND,
    healthy_deadline=5 * MINUTE, progress_deadline=10 * MINUTE,
)  # fmt: skip
RESTART = RestartPolicy(attempts=2, interval=30 * MINUTE, delay=15 * SECOND, mode="fail")
MIGRATE = MigrateStrategy(max_parallel=1, health_check="checks", min_healthy_time=1, healthy_deadline=2)


@pytest.mark.parametrize(
    ("changes", "texts"),
    [
        ({}, []),
        ({"health_check": "task_states", "max_parallel": 0, "progress_deadline": 0}, []),
        ({"health_check": "x"}, ['Invalid health check given: "x"']),
        ({"health_check": "manual", "max_parallel": -1}, ["Max parallel can not be less than zero: -1 < 0"]),
        ({"canary": -1}, ["Canary count can not be less than zero: -1 < 0"]),
        ({"auto_promote": True}, ["Auto Promote requires a Canary count greater than zero"]),
        ({"auto_promote": True, "canary": 1}, []),
        ({"min_healthy_time": -1}, ["Minimum healthy time may not be less than zero: -1ns"]),
        (
            {"healthy_deadline": 0},
            ["Healthy deadline must be greater than zero: 0s", "Minimum healthy time must be less than healthy deadline: 10s > 0s"],
        ),
        (
            {"progress_deadline": -1},
            ["Progress deadline must be zero or greater: -1ns", "Healthy deadline must be less than progress deadline: 5m0s > -1ns"],
        ),
        ({"min_healthy_time": 5 * MINUTE}, ["Minimum healthy time must be less than healthy deadline: 5m0s > 5m0s"]),
        ({"progress_deadline": 5 * MINUTE}, ["Healthy deadline must be less than progress deadline: 5m0s > 5m0s"]),
        ({"stagger": 0}, ["Stagger must be greater than zero: 0s"]),
    ],
)  # fmt: skip
def test_update(changes: dict[str, Any], texts: list[str]) -> None:
    assert list(update_errors(replace(UPDATE, **changes))) == texts


@pytest.mark.parametrize(
    ("changes", "texts"),
    [
        ({}, []),
        ({"attempts": 0}, []),
        ({"mode": "delay"}, []),
        ({"mode": "x"}, ['Unsupported restart mode: "x"']),
        ({"mode": "delay", "attempts": 0}, ['Restart policy "delay" with 0 attempts is ambiguous']),
        ({"interval": 1, "attempts": 0}, ["Interval can not be less than 5s (got 1ns)"]),
        (
            {"attempts": 10, "interval": 6 * SECOND, "delay": SECOND},
            ["Nomad can't restart the TaskGroup 10 times in an interval of 6s with a delay of 1s"],
        ),
        ({"attempts": 6, "interval": 6 * SECOND, "delay": SECOND}, []),
    ],
)
def test_restart(changes: dict[str, Any], texts: list[str]) -> None:
    assert list(restart_errors(replace(RESTART, **changes))) == texts


@pytest.mark.parametrize(
    ("changes", "texts"),
    [
        ({}, []),
        ({"max_parallel": -1}, ["MaxParallel must be >= 0 but found -1"]),
        ({"health_check": ""}, ["Missing HealthCheck"]),
        ({"health_check": "", "max_parallel": 0}, []),
        ({"health_check": "manual"}, ['Invalid HealthCheck: "manual"']),
        ({"min_healthy_time": -1}, ["MinHealthyTime is -1ns and must be >= 0"]),
        ({"healthy_deadline": -2}, ["HealthyDeadline is -2ns and must be >= 0", "MinHealthyTime must be less than HealthyDeadline"]),
        ({"min_healthy_time": 2}, []),
        ({"min_healthy_time": 3}, ["MinHealthyTime must be less than HealthyDeadline"]),
    ],
)  # fmt: skip
def test_migrate(changes: dict[str, Any], texts: list[str]) -> None:
    assert list(migrate_errors(replace(MIGRATE, **changes))) == texts


def test_disk() -> None:
    assert list(disk_errors(EphemeralDisk(size_mb=5))) == ["minimum DiskMB value is 10; got 5"]
    assert not list(disk_errors(EphemeralDisk(size_mb=10)))


@pytest.mark.parametrize(
    ("changes", "kind", "texts"),
    [
        ({}, "system", []),
        ({"stop_on_client_after": -1}, "batch", ["stop_after cannot be a negative duration"]),
        ({"stop_on_client_after": 1}, "system", ["stop_after can only be used with service or batch job types"]),
        ({"lost_after": -1}, "service", ["lost_after cannot be a negative duration"]),
        ({"lost_after": 1, "stop_on_client_after": 1}, "service", ["Disconnect cannot be configured with both lost_after and stop_after"]),
        ({"reconcile": "x"}, "service", ["reconcile option is invalid: x"]),
        ({"reconcile": "keep_original"}, "service", []),
    ],
)  # fmt: skip
def test_disconnect(changes: dict[str, Any], kind: str, texts: list[str]) -> None:
    assert list(disconnect_errors(replace(Disconnect(), **changes), kind)) == texts


@pytest.mark.parametrize(
    ("policy", "texts"),
    [
        (ReschedulePolicy(attempts=0, delay=1, delay_function="x"), []),
        (ReschedulePolicy(unlimited=True, delay=30 * SECOND, delay_function="exponential", max_delay=60 * MINUTE), []),
        (ReschedulePolicy(unlimited=True, delay=1, delay_function="constant"), ["Delay cannot be less than 5s (got 1ns)"]),
        (
            ReschedulePolicy(attempts=3, unlimited=True, interval=MINUTE, delay=5 * SECOND, delay_function="constant"),
            ["Reschedule Policy with Attempts = 3, Interval = 1m0s, and Unlimited = true is ambiguous", "If Attempts >0, Unlimited cannot also be set to true"],
        ),
        (
            ReschedulePolicy(unlimited=True, delay=5 * SECOND, delay_function="x", max_delay=MINUTE),
            ['Invalid delay function "x", must be one of ["constant" "exponential" "fibonacci"]'],
        ),
        (
            ReschedulePolicy(unlimited=True, delay=6 * SECOND, delay_function="fibonacci", max_delay=1),
            ["Max Delay cannot be less than 5s (got 6s)", "Max Delay cannot be less than Delay 6s (got 1ns)"],
        ),
        (
            ReschedulePolicy(unlimited=True, delay=120 * MINUTE, delay_function="fibonacci", max_delay=60 * MINUTE),
            ["Max Delay cannot be less than Delay 2h0m0s (got 1h0m0s)"],
        ),
        (
            ReschedulePolicy(attempts=1, interval=SECOND, delay=5 * SECOND, delay_function="constant"),
            [
                "Interval cannot be less than 15s (got 1s)",
                'Nomad can only make 0 attempts in 1s with initial delay 5s and delay function "constant"',
                "Set the interval to at least 5s to accommodate 1 attempts",
            ],
        ),
        (
            ReschedulePolicy(attempts=30, interval=MINUTE, delay=5 * SECOND, delay_function="exponential", max_delay=60 * MINUTE),
            [
                'Nomad can only make 4 attempts in 1m0s with initial delay 5s, delay function "exponential", and delay ceiling 1h0m0s',
                "Set the interval to at least 20h42m40s to accommodate 30 attempts",
            ],
        ),
        (
            ReschedulePolicy(attempts=30, interval=MINUTE, delay=5 * SECOND, delay_function="constant"),
            [
                'Nomad can only make 12 attempts in 1m0s with initial delay 5s and delay function "constant"',
                "Set the interval to at least 2m30s to accommodate 30 attempts",
            ],
        ),
    ],
)  # fmt: skip
def test_reschedule(policy: ReschedulePolicy, texts: list[str]) -> None:
    assert list(reschedule_errors(policy)) == texts


def fit_by_counting(policy: ReschedulePolicy) -> tuple[bool, int, int]:
    """Attempt by attempt, as the spec tells it."""
    attempts, interval, ceiling = policy.attempts, policy.interval, policy.max_delay
    if policy.delay_function == "exponential":
        last = possible = 0
        for attempt in range(attempts):
            following = 2**attempt * policy.delay
            last = last + ceiling if following > ceiling else following
            possible += last < interval
        return possible == attempts, possible, last
    slots, capped = [policy.delay, policy.delay], False
    while len(slots) < attempts:
        following = slots[-1] + (ceiling if capped else slots[-2])
        if not capped and following > ceiling:
            capped, following = True, ceiling
        slots.append(following)
    slots = slots[:attempts]
    possible = next((place for place, slot in enumerate(slots) if slot > interval), attempts)
    return interval >= slots[-1], possible, slots[-1]


@given(
    st.integers(1, 60), st.integers(15, 4000), st.integers(5, 60), st.integers(0, 400),
    st.sampled_from(["exponential", "fibonacci"]),
)  # fmt: skip
def test_attempts_that_fit_are_counted(attempts: int, interval: int, delay: int, more: int, function: str) -> None:
    policy = ReschedulePolicy(
        attempts=attempts, interval=interval * SECOND, delay=delay * SECOND, max_delay=(delay + more) * SECOND,
        delay_function=function,
    )  # fmt: skip
    fits, possible, needed = fit_by_counting(policy)
    found = list(reschedule_errors(policy))
    assert bool(found) is not fits
    if found:
        assert found[0].startswith(f"Nomad can only make {possible} attempts in ")
        assert found[1] == f"Set the interval to at least {format_duration(needed)} to accommodate {attempts} attempts"


def test_any_number_of_attempts_is_checked_at_once() -> None:
    policy = ReschedulePolicy(
        attempts=2**62, interval=MINUTE, delay=5 * SECOND, max_delay=5 * SECOND, delay_function="fibonacci"
    )
    assert len(list(reschedule_errors(policy))) == 2
    assert len(list(reschedule_errors(replace(policy, delay_function="exponential")))) == 2


@pytest.mark.parametrize(
    ("policy", "count", "texts"),
    [
        (ScalingPolicy(min=1, max=3), 2, []),
        (ScalingPolicy(type="x", max=1), 0, ['scaling policy type "x" is not valid']),
        (ScalingPolicy(max=-1), 0, ["maximum count must be specified and non-negative", "task group count must not be greater than maximum count in scaling policy"]),
        (ScalingPolicy(min=3, max=2), 3, ["maximum count must not be less than minimum count", "task group count must not be greater than maximum count in scaling policy"]),
        (ScalingPolicy(min=-1, max=2), 0, ["minimum count must be specified and non-negative"]),
        (ScalingPolicy(min=2, max=2), 1, ["task group count must not be less than minimum count in scaling policy"]),
    ],
)  # fmt: skip
def test_scaling(policy: ScalingPolicy, count: int, texts: list[str]) -> None:
    assert list(scaling_errors(policy, count)) == [f"Scaling policy invalid: {text}" for text in texts]
