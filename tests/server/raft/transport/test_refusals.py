"""Refusals are warnings once in a while, and strangers choose neither how many are kept nor what one costs."""

from __future__ import annotations

from yurt.server.raft.transport.refusals import WARN_SECONDS, WARNINGS_MAX, Refusals


def test_a_reason_is_news_once_in_a_while() -> None:
    refusals = Refusals()
    assert refusals.is_news("another region", 0.0)
    assert not refusals.is_news("another region", WARN_SECONDS - 1)
    assert refusals.is_news("another cluster", WARN_SECONDS - 1)
    assert refusals.is_news("another region", WARN_SECONDS), "counted from when it was told, not from the last one"
    assert not refusals.is_news("another cluster", WARN_SECONDS)


def test_no_more_than_some_reasons_are_kept() -> None:
    refusals = Refusals()
    news = [refusals.is_news(f"reason {number}", 0.0) for number in range(10 * WARNINGS_MAX)]
    assert sum(news) == len(refusals) == WARNINGS_MAX and all(news[:WARNINGS_MAX])
    assert refusals.is_news("the first one later", WARN_SECONDS) and len(refusals) == 1
