"""Restarts of tasks, as tables (spec node-agent §7)."""

from __future__ import annotations

import pytest

from yurt.fsm.structs.policies import RestartPolicy
from yurt.server.client.drivers.base import DriverError, ExitResult
from yurt.server.client.restarts import FAIL, RESTART, STOP, Decision, Restarts

SECOND = 1_000_000_000
FAILED, DONE = ExitResult(exit_code=1), ExitResult()
START = 1_800_000_000 * SECOND


def policy(attempts: int = 2, mode: str = "fail") -> RestartPolicy:
    return RestartPolicy(attempts=attempts, interval=300 * SECOND, delay=10 * SECOND, mode=mode)


@pytest.mark.parametrize(
    ("ended", "on_success", "attempts", "wanted"),
    [
        (FAILED, True, 0, Decision(FAIL, "Policy allows no restarts")),
        (DONE, True, 0, Decision(FAIL, "Policy allows no restarts")),
        (DONE, False, 0, Decision(STOP)),
        (DONE, False, 2, Decision(STOP)),
        (DONE, True, 2, Decision(RESTART, "Restart within policy", 10 * SECOND)),
        (FAILED, False, 2, Decision(RESTART, "Restart within policy", 10 * SECOND)),
        (ExitResult(signal=9), False, 2, Decision(RESTART, "Restart within policy", 10 * SECOND)),
        (ExitResult(error="x"), False, 2, Decision(RESTART, "Restart within policy", 10 * SECOND)),
        (DriverError("x"), True, 2, Decision(FAIL, "Error was unrecoverable")),
        (DriverError("x", recoverable=True), True, 2, Decision(RESTART, "Restart within policy", 10 * SECOND)),
        (DriverError("x", recoverable=True), False, 0, Decision(FAIL, "Policy allows no restarts")),
    ],
)
def test_the_first_end(ended: ExitResult | DriverError, on_success: bool, attempts: int, wanted: Decision) -> None:
    assert Restarts(policy(attempts), on_success=on_success).decide(ended, START, 0.0) == wanted


def test_attempts_run_out_within_the_interval_and_come_back_after_it() -> None:
    restarts = Restarts(policy(), on_success=True)
    assert [restarts.decide(FAILED, START + n, 0.0).action for n in range(3)] == [RESTART, RESTART, FAIL]
    text = 'Exceeded allowed attempts 2 in interval 5m0s and mode is "fail"'
    assert restarts.decide(FAILED, START + 4, 0.0).reason == text
    assert restarts.decide(FAILED, START + 301 * SECOND, 0.0).action == RESTART


def test_mode_delay_waits_for_the_end_of_the_interval() -> None:
    restarts = Restarts(policy(1, "delay"), on_success=True)
    restarts.decide(FAILED, START, 0.0)
    late = restarts.decide(FAILED, START + 100 * SECOND, 0.0)
    assert late == Decision(RESTART, "Exceeded allowed attempts, applying a delay", 200 * SECOND)


def test_delays_have_up_to_a_quarter_of_chance() -> None:
    delays = [
        Restarts(policy(), on_success=True).decide(FAILED, START, chance).delay_ns for chance in (0.0, 0.5, 0.999)
    ]
    assert delays[0] == 10 * SECOND and delays[1] == 11_250_000_000 and delays[2] < 12_500_000_000
