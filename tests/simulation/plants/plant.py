"""What a planted bug is, and the tools to plant one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from yurt.server.testing.simulation.scenario import Life

Patch = Callable[[Any, str, Any], None]

CHAIRS = ("musical chairs",)
SILENT = ("silence after elections", "slow disk")
ROUGH = ("musical chairs", "crash", "slow disk")


@dataclass(frozen=True)
class Plant:
    """A bug, and the lives in which it can show.

    `name` says what is wrong; `sow` puts it in by `patch(owner, attribute, value)`; `seed` is one that finds it.
    `size`, `faults`, `work` and `settings` are those of `Life`; empty ones are drawn by the seed.
    """

    name: str
    sow: Callable[[Patch], None]
    seed: int = 0
    size: int = 0
    faults: tuple[str, ...] = ()
    work: tuple[str, ...] | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    def life(self, seed: int) -> Life:
        """A life of that seed."""
        return Life(seed, size=self.size, faults=self.faults, work=self.work, settings=self.settings)


def rewritten(function: Any, *pairs: tuple[str, str]) -> Any:
    """The function with pieces of its text replaced."""
    source = inspect.getsource(function)
    for old, new in pairs:
        assert old in source, f"{function.__name__} has no {old}"
        source = source.replace(old, new)
    namespace: dict[str, Any] = {}
    exec(compile(source, f"<{function.__name__}, rewritten>", "exec"), function.__globals__, namespace)
    return namespace[function.__name__]
