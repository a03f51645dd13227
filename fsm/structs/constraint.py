"""Constraints, affinities and spreads (spec job-model §5.6–5.8)."""

from __future__ import annotations

from typing import Annotated

import msgspec

from yurt.fsm.structs.base import Record

Int8 = Annotated[int, msgspec.Meta(ge=-128, le=127)]
UInt8 = Annotated[int, msgspec.Meta(ge=0, le=255)]
UInt64 = Annotated[int, msgspec.Meta(ge=0)]


class Constraint(Record, frozen=True):
    """A condition that a node must meet."""

    ltarget: str = ""
    rtarget: str = ""
    operand: str = ""


class Affinity(Record, frozen=True):
    """A condition that makes a node better (or worse, with a negative weight)."""

    ltarget: str = ""
    rtarget: str = ""
    operand: str = ""
    weight: Int8 = 50


class SpreadTarget(Record, frozen=True):
    """A share of the allocations that one value of the spread's attribute should get."""

    value: str = ""
    percent: UInt8 = 0


class Spread(Record, frozen=True):
    """An attribute over whose values the allocations are spread."""

    attribute: str = ""
    weight: Int8 = 50
    spread_target: tuple[SpreadTarget, ...] | None = None
