"""Which refusals are told as warnings: each reason once in a while, and of a flood of them only some."""

from __future__ import annotations

WARN_SECONDS = 30.0
WARNINGS_MAX = 64


class Refusals:
    """The reasons that were told last; strangers choose their texts, so at most `WARNINGS_MAX` are kept."""

    def __init__(self) -> None:
        self._told: dict[str, float] = {}  # when, in seconds; oldest first

    def __len__(self) -> int:
        return len(self._told)

    def is_news(self, reason: str, now: float) -> bool:
        """Whether to warn of a reason at `now` (seconds of a clock that never goes back); it counts as told then."""
        while self._told and now - self._told[oldest := next(iter(self._told))] >= WARN_SECONDS:
            del self._told[oldest]
        if reason in self._told or len(self._told) >= WARNINGS_MAX:
            return False
        self._told[reason] = now
        return True
