"""Whether a task that ended is started again (spec node-agent §7). Pure: clock and chance are handed in."""

from __future__ import annotations

from dataclasses import dataclass

from yurt.fsm.lang.duration import format_duration
from yurt.fsm.structs.policies import RestartPolicy
from yurt.server.client.drivers.base import DriverError, ExitResult
from yurt.server.client.task_events import WITHIN_POLICY

RESTART, FAIL, STOP = "restart", "fail", "stop"
JITTER = 0.25


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision after a task's end: start again after `delay_ns`, end as failed with a reason, or end quietly."""

    action: str
    reason: str = ""
    delay_ns: int = 0


class Restarts:
    """The restarts of one task; `on_success`: it is started again also if it ended well."""

    def __init__(self, policy: RestartPolicy, *, on_success: bool) -> None:
        self._policy, self._on_success = policy, on_success
        self._count = self._since = 0

    def decide(self, ended: ExitResult | DriverError, now_ns: int, chance: float) -> Decision:
        """Decide what follows from an exit, or from a start that failed."""
        policy = self._policy
        done = isinstance(ended, ExitResult) and ended.is_success and not self._on_success
        if policy.attempts == 0:
            return Decision(STOP) if done else Decision(FAIL, "Policy allows no restarts")
        if now_ns - self._since > policy.interval:
            self._since, self._count = now_ns, 0
        self._count += 1
        if isinstance(ended, DriverError) and not ended.recoverable:
            return Decision(FAIL, "Error was unrecoverable")
        if done:
            return Decision(STOP)
        if self._count > policy.attempts:
            return self._exceeded(now_ns)
        return Decision(RESTART, WITHIN_POLICY, policy.delay + int(policy.delay * JITTER * chance))

    def _exceeded(self, now_ns: int) -> Decision:
        policy = self._policy
        if policy.mode == "fail":
            interval = format_duration(policy.interval)
            reason = f'Exceeded allowed attempts {policy.attempts} in interval {interval} and mode is "fail"'
            return Decision(FAIL, reason)
        wait = max(0, self._since + policy.interval - now_ns)
        return Decision(RESTART, "Exceeded allowed attempts, applying a delay", wait)
