"""How often somebody may ask: buckets on a clock of the test's own, and what a server does with them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.process.servers import single, small_job
from yurt.server.http.asgi.rates import KEYS_MAX, Rates, TooOften
from yurt.server.platform.address import client_of


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def allowed(rates: Rates, key: str) -> bool:
    try:
        rates.take(key, key)
    except TooOften:
        return False
    return True


def test_a_burst_and_then_the_rate() -> None:
    clock = Clock()
    rates = Rates(2.0, 5, clock)
    assert [allowed(rates, "a") for _ in range(7)] == [True] * 5 + [False] * 2
    assert allowed(rates, "b"), "everybody has a bucket"
    clock.now += 0.5
    assert [allowed(rates, "a") for _ in range(2)] == [True, False]
    clock.now += 100
    assert [allowed(rates, "a") for _ in range(6)] == [True] * 5 + [False], "it never holds more than a burst"


def test_who_is_refused_is_told_when_to_come_back() -> None:
    clock = Clock()
    rates = Rates(0.1, 1, clock)
    rates.take("a", "a")
    with pytest.raises(TooOften, match="nothing was done, try again in 10 s") as refused:
        rates.take("a", "a")
    clock.now += refused.value.seconds
    assert allowed(rates, "a")


@given(
    st.floats(0.1, 1000), st.integers(1, 50), st.lists(st.floats(0, 5, allow_subnormal=False), min_size=1, max_size=200)
)
def test_never_more_than_the_burst_and_the_rate(per_second: float, burst: int, pauses: list[float]) -> None:
    clock = Clock()
    rates, taken, began = Rates(per_second, burst, clock), 0, clock.now
    for pause in pauses:
        clock.now += pause
        taken += allowed(rates, "a")
        assert taken <= burst + (clock.now - began) * per_second + 1e-3


def test_memory_is_bounded_whoever_asks() -> None:
    clock = Clock()
    rates = Rates(1.0, 1, clock)
    for number in range(3 * KEYS_MAX):
        rates.take(str(number), "somebody")
    assert len(rates._full_at) <= KEYS_MAX
    clock.now += 10
    rates.take("new", "new")
    assert len(rates._full_at) == 1, "full buckets are forgotten"


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("", ""),
        ("nonsense", "nonsense"),
    ],
)
def test_who_an_address_belongs_to(address: str, client: str) -> None:
    assert client_of(address) == client


def test_a_server_with_limits_says_so_and_keeps_them(tmp_path: Path) -> None:
    limits = {"http_rate_limit": 0.01, "http_rate_limit_burst": 30, "http_blocking_queries_max_per_client": 1}
    with single(tmp_path, limits=limits) as server:
        shown = server.request("GET", "/v1/agent/self")[1]["config"]["Limits"]
        assert shown["HTTPRateLimit"] == 0.01 and shown["HTTPMaxConnsPerClient"] == 100
        statuses = [server.request("GET", "/v1/status/leader")[0] for _ in range(40)]
        assert statuses[0] == 200 and statuses[-1] == 429
        status, text = server.request("PUT", "/v1/jobs", small_job("a"))
        assert status == 429 and "nothing was done" in str(text)
        assert server.request("GET", "/v1/agent/health")[0] == 200, "those who look after it are not kept away"
