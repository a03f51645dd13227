"""The engine on the library is made with the addresses and the port that are in force."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from yurt.server.cluster.engine_choice import kept_port, library_engine
from yurt.server.config.agent import AgentConfig, Library, Server
from yurt.server.config.load import ConfigError
from yurt.server.raft.engines.pysyncobj.engine import PySyncObj
from yurt.server.raft.errors import Corrupt
from yurt.server.raft.peer import Peer

CONFIG = AgentConfig(server=Server(enabled=True, raft_engine="pysyncobj"))


def made(directory: Path, config: AgentConfig, loading: Any = nullcontext) -> PySyncObj:
    transport: Any = SimpleNamespace(serve=lambda _method, _handler: None)
    own = Peer("a", "127.0.0.1:4647", "one")
    engine = library_engine(own, config, [["a", own.address, "one"]], transport, str(directory), print, loading)
    assert isinstance(engine, PySyncObj)
    return engine


def test_the_port_is_kept_and_the_host_is_the_present_one(tmp_path: Path) -> None:
    first = made(tmp_path, CONFIG)._settings
    host, _, port = first.listen.rpartition(":")
    assert host == "127.0.0.1" and first.address == first.listen
    moved = msgspec.structs.replace(CONFIG, bind_addr="127.0.0.2")
    assert made(tmp_path, moved)._settings.listen == f"127.0.0.2:{port}"


def test_a_host_beyond_loopback_is_not_bound_without_a_password(tmp_path: Path) -> None:
    made(tmp_path, CONFIG)
    moved = msgspec.structs.replace(CONFIG, bind_addr="10.0.0.1")
    with pytest.raises(ConfigError, match=r"would listen on 10\.0\.0\.1"):
        made(tmp_path, moved)
    guarded = msgspec.structs.replace(moved.server, pysyncobj=Library(password="secret"))
    assert made(tmp_path, msgspec.structs.replace(moved, server=guarded))._settings.listen.startswith("10.0.0.1:")


@pytest.mark.parametrize("content", [b"", b"0", b"70000", b"x", b"10.0.0.1:5"])
def test_a_port_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "port").write_bytes(content)
    with pytest.raises(Corrupt, match="holds no port"):
        kept_port(tmp_path / "port", "127.0.0.1")


def test_a_state_is_loaded_as_the_ground_says(tmp_path: Path) -> None:
    entered = list[bool]()

    def loading() -> AbstractContextManager[None]:
        entered.append(True)
        return nullcontext()

    engine = made(tmp_path, CONFIG, loading)
    engine._fatal = lambda _error: None
    with pytest.raises(FileNotFoundError):
        engine.read_dump(str(tmp_path / "none"))
    assert entered == [True]
