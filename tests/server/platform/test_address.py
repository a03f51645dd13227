"""HOST:PORT texts."""

from __future__ import annotations

import pytest

from yurt.server.platform.address import join_address, split_address, with_port


@pytest.mark.parametrize(
    ("host", "port", "text"),
    [("10.0.0.1", 4647, "10.0.0.1:4647"), ("::1", 1, "[::1]:1"), ("server-1.example", 80, "server-1.example:80")],
)
def test_joined_and_split_again(host: str, port: int, text: str) -> None:
    assert join_address(host, port) == text
    assert split_address(text) == (host, port)


@pytest.mark.parametrize(
    "text", ["host", "host:", "host:port", "", "[::1]", "host:65536", "host:70000", f"host:{'9' * 5000}"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="is not HOST:PORT"):
        split_address(text)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("a", "a:4647"),
        ("a:1", "a:1"),
        ("fe80::1", "[fe80::1]:4647"),
        ("[fe80::1]", "[fe80::1]:4647"),
        ("[fe80::1]:2", "[fe80::1]:2"),
    ],
)
def test_a_port_that_is_not_given(given: str, text: str) -> None:
    assert with_port(given, 4647) == text
