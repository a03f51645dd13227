"""A leadership on its way to another server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pysyncobj import FAIL_REASON

from yurt.server.raft.consensus import Callback


@dataclass
class HandOver:
    """A transfer of the leadership under way; `is_asked` when the library has taken the request."""

    library: str | None
    callback: Callback
    deadline: float
    is_asked: bool = False

    def answered(self, _result: Any, reason: int) -> None:
        """The library took the request, or refused it for now."""
        self.is_asked = reason == FAIL_REASON.SUCCESS
