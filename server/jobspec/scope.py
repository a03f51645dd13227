"""The scope of an expression: names, functions, limits, and a place for its diagnostics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from yurt.server.hcl.diagnostics import Diagnostic, LimitError, Range
from yurt.server.jobspec.values import Value

STEPS_MAX = 400_000
ELEMENTS_MAX = 100_000
CHARACTERS_MAX = 8 << 20
BLOCKS_MAX = 10_000


class Budget:
    """How much one job file may ask for: steps of evaluation, and characters made."""

    __slots__ = ("_blocks", "_characters", "_steps")

    def __init__(self) -> None:
        self._steps, self._characters, self._blocks = STEPS_MAX, CHARACTERS_MAX, BLOCKS_MAX

    def step(self, place: Range | None, count: int = 1) -> None:
        """Count steps; raises `LimitError`."""
        self._steps -= count
        if self._steps < 0:
            raise LimitError(place, "The expressions ask for too much work.")

    def characters(self, place: Range | None, count: int) -> None:
        """Count characters of a text that is made; raises `LimitError`."""
        self._characters -= count
        if self._characters < 0:
            raise LimitError(place, "The expressions make too much text.")

    def block(self, place: Range | None) -> None:
        """Count a generated block; raises `LimitError`."""
        self._blocks -= 1
        if self._blocks < 0:
            raise LimitError(place, f"Dynamic blocks make more than {BLOCKS_MAX} blocks.")


@dataclass(slots=True)
class Shared:
    """The state that all scopes of one file share."""

    budget: Budget = field(default_factory=Budget)
    # Whether functions may read files (the command line) or not (a server).
    reads_files: bool = False


class Scope:
    """Names and functions for expressions.

    `is_runtime`: a name that nobody knows is text for the node that runs the task (spec §7). `constant`: neither names
    nor functions are allowed; `functions`: names are not, functions are.
    """

    __slots__ = ("diagnostics", "has_functions", "has_names", "is_runtime", "names", "shared")

    def __init__(
        self,
        shared: Shared,
        names: Mapping[str, Value],
        diagnostics: list[Diagnostic],
        *,
        is_runtime: bool = True,
        has_names: bool = True,
        has_functions: bool = True,
    ) -> None:
        self.shared, self.names, self.diagnostics = shared, names, diagnostics
        self.is_runtime, self.has_names, self.has_functions = is_runtime, has_names, has_functions

    def inside(self, names: Mapping[str, Value]) -> Scope:
        """The scope with more names, which hide equal ones."""
        return self._derived({**self.names, **names}, self.diagnostics)

    def apart(self) -> Scope:
        """The scope with a list of diagnostics of its own."""
        return self._derived(self.names, [])

    def _derived(self, names: Mapping[str, Value], diagnostics: list[Diagnostic]) -> Scope:
        return Scope(
            self.shared, names, diagnostics,
            is_runtime=self.is_runtime, has_names=self.has_names, has_functions=self.has_functions,
        )  # fmt: skip

    def tell(self, place: Range | None, summary: str, detail: str) -> None:
        """Add a diagnostic."""
        self.diagnostics.append(Diagnostic(place, summary, detail))
