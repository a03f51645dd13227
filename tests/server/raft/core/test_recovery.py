"""What a starting server keeps of its log: every combination of snapshot and log."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from yurt.server.raft.core.recovery import keeps_log
from yurt.server.raft.errors import Corrupt


class Range(NamedTuple):
    """A log of entries of term 2; the entry before the first has term 1."""

    first_index: int
    last_index: int

    def term_at(self, index: int) -> int | None:
        if index == self.first_index - 1:
            return 1
        return 2 if self.first_index <= index <= self.last_index else None


@pytest.mark.parametrize(
    ("snapshot", "log", "kept"),
    [
        (None, Range(1, 0), True),
        (None, Range(1, 9), True),
        ((5, 2), Range(1, 9), True),
        ((5, 2), Range(1, 5), True),
        ((5, 1), Range(6, 9), True),
        ((5, 1), Range(6, 5), True),
        ((5, 2), Range(1, 4), False),
        ((5, 2), Range(1, 0), False),
        ((5, 3), Range(1, 9), False),
        ((5, 2), Range(6, 9), False),
    ],
)
def test_the_log_is_kept_if_it_holds_the_snapshot(snapshot: tuple[int, int] | None, log: Range, kept: bool) -> None:
    assert keeps_log(snapshot, log) is kept


@pytest.mark.parametrize(
    ("snapshot", "log"), [(None, Range(2, 9)), (None, Range(8, 7)), ((5, 2), Range(7, 9)), ((5, 2), Range(7, 6))]
)
def test_missing_entries_are_refused(snapshot: tuple[int, int] | None, log: Range) -> None:
    with pytest.raises(Corrupt, match=r"docs/operating\.md"):
        keeps_log(snapshot, log)
