"""Where pysyncobj listens and is dialled, and what is refused because whoever reaches that port has the server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from yurt.server.config.agent import AgentConfig
from yurt.server.config.load import ConfigError, check_library, library_addresses, load

WITH_PASSWORD = {"password": "secret"}


def loaded(directory: Path, library: dict[str, Any], **more: Any) -> AgentConfig:
    server = {"enabled": True, "raft_engine": "pysyncobj", "pysyncobj": library}
    file = directory / "config.json"
    file.write_text(json.dumps({"data_dir": "/x", "server": server, **more}))
    return load([str(file)], {})


@pytest.mark.parametrize(
    ("library", "more", "wanted"),
    [
        ({}, {}, ("127.0.0.1:7", "127.0.0.1:7")),
        ({"address": "127.0.0.1:4649"}, {}, ("127.0.0.1:4649", "127.0.0.1:4649")),
        ({"address": "10.0.0.1:4649", **WITH_PASSWORD}, {}, ("10.0.0.1:4649", "10.0.0.1:4649")),
        (WITH_PASSWORD, {"advertise": {"rpc": "10.0.0.9"}}, ("127.0.0.1:7", "10.0.0.9:7")),
        (
            {"address": "0.0.0.0:4649", **WITH_PASSWORD},
            {"advertise": {"rpc": "10.0.0.9:1"}},
            ("0.0.0.0:4649", "10.0.0.9:4649"),
        ),
        ({"advertise": "one:5", **WITH_PASSWORD}, {"bind_addr": "0.0.0.0"}, ("0.0.0.0:7", "one:5")),
    ],
)
def test_where_the_library_listens_and_is_dialled(
    tmp_path: Path, library: dict[str, Any], more: dict[str, Any], wanted: tuple[str, str]
) -> None:
    assert library_addresses(loaded(tmp_path, library, **more), 7) == wanted


@pytest.mark.parametrize("password", ["", "secret"])
@pytest.mark.parametrize("key", ["address", "advertise"])
@pytest.mark.parametrize(
    "address", ["nonsense", "10.0.0.1", ":4649", "10.0.0.1:", "h:x", "h:0", "h:65536", "h:٣", "h:05", "[h]:5", "a b:5"]
)
def test_what_is_no_address_is_refused(tmp_path: Path, key: str, address: str, password: str) -> None:
    with pytest.raises(ConfigError, match="want HOST:PORT"):
        loaded(tmp_path, {key: address, "password": password})


@pytest.mark.parametrize(
    ("library", "more"),
    [
        ({"address": "[::1]:4649"}, {}),
        ({"advertise": "[fe80::1]:4649", **WITH_PASSWORD}, {}),
        (WITH_PASSWORD, {"bind_addr": "::1"}),
        ({"address": "0.0.0.0:4649", **WITH_PASSWORD}, {"advertise": {"rpc": "[fe80::1]:4647"}}),
    ],
)
def test_ipv6_is_refused_with_a_sentence(tmp_path: Path, library: dict[str, Any], more: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="cannot use the IPv6 address"):
        loaded(tmp_path, library, **more)


def test_the_others_cannot_dial_an_unspecified_address(tmp_path: Path) -> None:
    for address in ("0.0.0.0:4649", "0.0.0.0:1"):
        with pytest.raises(ConfigError, match="say where the other servers reach it"):
            loaded(tmp_path, {"advertise": address, **WITH_PASSWORD})


@pytest.mark.parametrize(
    ("library", "more"),
    [
        ({"address": "0.0.0.0:4649"}, {}),
        ({"address": "10.0.0.1:4649"}, {}),
        ({"advertise": "10.0.0.1:4649"}, {}),
        ({}, {"bind_addr": "10.0.0.1"}),
        ({}, {"advertise": {"rpc": "10.0.0.1:4647"}}),
    ],
)
def test_beyond_this_machine_a_password_is_needed(
    tmp_path: Path, library: dict[str, Any], more: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match="for anybody who can reach it"):
        loaded(tmp_path, library, **more)
    loaded(tmp_path, {**library, **WITH_PASSWORD}, **more)


def test_beside_tasks_a_password_is_needed(tmp_path: Path) -> None:
    node = {"enabled": True}
    with pytest.raises(ConfigError, match="tasks on this machine reach the port"):
        loaded(tmp_path, {}, client=node)
    assert loaded(tmp_path, WITH_PASSWORD, client=node).client.enabled


def test_what_is_really_used_is_checked_again(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"10\.0\.0\.1"):
        check_library(loaded(tmp_path, {}), ("127.0.0.1:7", "10.0.0.1:7"))
