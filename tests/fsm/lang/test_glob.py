"""Datacenter patterns."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yurt.fsm.lang.glob import matches_glob


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [("*", "dc1", True), ("dc*", "dc1", True), ("*1", "dc1", True), ("d*1", "dc1", True), ("dc1", "dc1", True),
     ("dc1", "dc2", False), ("ab*ba", "aba", False), ("a*b*c", "axxbyyc", True), ("", "x", False)],
)  # fmt: skip
def test_patterns(pattern: str, text: str, matches: bool) -> None:
    assert matches_glob(pattern, text) is matches


@given(st.text(alphabet="ab*", max_size=8), st.text(alphabet="ab", max_size=8))
def test_it_is_as_the_shells(pattern: str, text: str) -> None:
    assert matches_glob(pattern, text) == fnmatch.fnmatchcase(text, pattern)
