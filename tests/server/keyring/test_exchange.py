"""Keys that members hand to each other, message by message."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from yurt.server.keyring import exchange, keyring
from yurt.server.keyring.encryption import KEY_BYTES, FileKeeper
from yurt.server.keyring.exchange import KekExchange
from yurt.server.keyring.keyring import Keyring
from yurt.server.keyring.keystore import Kept, Keystore, make_key
from yurt.server.raft.errors import NotSent


class Links:
    """A transport that keeps what is served."""

    def __init__(self) -> None:
        self.handlers: dict[str, Any] = {}

    def serve(self, method: str, handler: Any) -> None:
        """Answer a method."""
        self.handlers[method] = handler


def full(*_arguments: object, **_named: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def keeper(directory: Path) -> FileKeeper:
    return FileKeeper(directory, (), sync=False, random_bytes=os.urandom)


def server_of(links: Links) -> Any:
    """A server with nothing but links and places for callbacks."""
    nothing = SimpleNamespace(on_commit=ignore, on_replaced=ignore, on_leadership=ignore)
    return SimpleNamespace(transport=links, machine=nothing, engine=nothing)


def ignore(_callback: object) -> None:
    """Never called back."""


@pytest.mark.parametrize("method", [exchange.PUT, keyring.PUT])
def test_a_key_for_which_a_member_has_no_room_is_refused_with_the_reason(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = Links()
    if method == keyring.PUT:
        keeps = keeper(tmp_path)
        Keyring(server_of(links), Keystore(tmp_path, keeps, lambda _key_id: None, sync=False), keeps)
        monkeypatch.setattr("yurt.server.keyring.keystore.write_whole", full)
        kept: Kept = make_key("key")
        payload = msgspec.msgpack.encode(kept)
    else:
        KekExchange(server_of(links), keeper(tmp_path), SimpleNamespace())  # type: ignore[arg-type]
        monkeypatch.setattr("yurt.server.keyring.encryption.write_whole", full)
        payload = bytes(KEY_BYTES)
    with pytest.raises(NotSent, match="the key is not on disk: No space left on device"):
        asyncio.run(links.handlers[method](payload))
