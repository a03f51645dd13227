"""What a server does with a WebSocket before it hands it over: whom it gives the token, and what it writes down."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.process.test_tls import Files
from yurt.fsm.errors import Refusal
from yurt.fsm.structs.node import Node
from yurt.server.http.asgi import websocket
from yurt.server.http.asgi.context import Context
from yurt.server.tls.certificates import SERVER

TOKEN = b"the-secret-token"


class Sink:
    """A TLS listener that keeps what it gets."""

    def __init__(self) -> None:
        self.got = b""
        self.ended = asyncio.Event()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while part := await reader.read(65536):
                self.got += part
                if b"\r\n\r\n" in self.got:
                    break
        except OSError:
            pass
        writer.close()
        self.ended.set()


async def relayed(files: Files, region: str) -> tuple[bytes, str]:
    """What a node of `global` gets when one of a region is wanted, and why it went no further."""
    listening = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    listening.load_cert_chain(*files.write("peer", SERVER))
    sink = Sink()
    listener = await asyncio.start_server(sink.take, "127.0.0.1", 0, ssl=listening)
    port = listener.sockets[0].getsockname()[1]
    to_nodes = files.context(SERVER)
    to_nodes.check_hostname = False
    tls, block = SimpleNamespace(verify_server_hostname=True), SimpleNamespace(allow_node_tokens=True)
    config, authority = SimpleNamespace(region=region, tls=tls, server=block), SimpleNamespace(enabled=True)
    server: Any = SimpleNamespace(tls_to_nodes=lambda: to_nodes, config=config, authority=authority)
    context = Context(server, "GET", "/v1/x", b"", {b"x-nomad-token": TOKEN}, b"")
    node = cast("Node", SimpleNamespace(id="n", http_addr=f"127.0.0.1:{port}", tls_enabled=True, attributes={}))
    try:
        with pytest.raises(Refusal) as caught:
            await websocket._relay(context, cast("websocket.Socket", None), node)
        with contextlib.suppress(TimeoutError):  # a connection that ends early may not reach it at all
            await asyncio.wait_for(sink.ended.wait(), 1)
    finally:
        listener.close()
    return sink.got, caught.value.text


def test_a_node_of_another_role_never_gets_the_token(tmp_path: Path) -> None:
    files = Files(tmp_path)
    got, why = asyncio.run(relayed(files, "elsewhere"))
    assert got == b"" and "client.elsewhere.nomad or server.elsewhere.nomad not in" in why
    assert TOKEN in asyncio.run(relayed(files, "global"))[0], "a node gets it"
