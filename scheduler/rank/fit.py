"""How well a group fills a node: bin packing or spreading (spec scheduling §12)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from yurt.scheduler.cluster import Floats

BINPACK, SPREAD = "binpack", "spread"
_BEST = 18.0


def fit_scores(total: Floats, after: Floats, algorithm: str) -> Floats:
    """A score from 0 to 1 for each row of columns: what nodes have, and what is used after the placement."""
    with np.errstate(divide="ignore", invalid="ignore"):
        free = 1.0 - after[:, :2] / total[:, :2]
    powers: Floats = np.power(10.0, np.nan_to_num(free, nan=0.0, posinf=0.0, neginf=0.0)).sum(axis=1)
    fit = powers - 2.0 if algorithm == SPREAD else 20.0 - powers
    clamped: Floats = np.clip(fit, 0.0, _BEST)
    return clamped / _BEST


def fit_score(total: Sequence[float], after: Sequence[float], algorithm: str) -> float:
    """The same for one row."""
    powers = sum(10.0 ** (1.0 - takes / has) if has else 1.0 for has, takes in zip(total[:2], after[:2], strict=True))
    fit = powers - 2.0 if algorithm == SPREAD else 20.0 - powers
    return min(max(fit, 0.0), _BEST) / _BEST
