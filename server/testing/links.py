"""Links between real servers that can be cut, slowed and made to flap, without any privilege.

Each server advertises a port of ours; what arrives there is passed on to its real one. The first frame of a connection
is the dialler's hello, so that a link knows both its ends. Servers on pysyncobj have a second port for their library,
whose first frame is the dialler's address, readable without a password alone: none is supported there.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import struct
import threading
import zlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import msgpack

_HEAD = struct.Struct(">IB")
_LIBRARY_HEAD = struct.Struct("i")
_LIBRARY_ADDRESS = re.compile(rb"127\.0\.0\.1:(\d+)")
_ADDRESS_BYTES_MAX = 1024


Opening = Callable[[asyncio.StreamReader], Awaitable[tuple[bytes, str]]]  # what was read, and who dialled


class Links:
    """Proxies in front of servers, in a thread with its own loop. `library_ports` are those of pysyncobj, if any."""

    def __init__(self, real_ports: dict[str, int], library_ports: dict[str, int] | None = None) -> None:
        self.real_ports, self._real_library_ports = real_ports, library_ports or {}
        self.ports: dict[str, int] = {}
        self.library_ports: dict[str, int] = {}
        self.delays: dict[str, float] = {}  # by server: seconds that everything to and from it takes longer
        self._cut: set[tuple[str, str]] = set()
        self._pipes: dict[asyncio.Task[None], tuple[str, str]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._servers = [self._call(self._listen(name)) for name in real_ports]
        self._servers += [self._call(self._listen_for_library(name)) for name in self._real_library_ports]

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def close(self) -> None:
        """End all proxies."""
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def cut(self, pairs: set[tuple[str, str]], *, silently: bool = True) -> None:
        """Nothing of a pair's (from, to) gets through; silently, or by closing what is open."""
        self._call(self._set_cut(pairs, silently))

    async def _set_cut(self, pairs: set[tuple[str, str]], silently: bool) -> None:
        self._cut = pairs
        for task, pair in list(self._pipes.items()):
            if pair in pairs and not silently:
                task.cancel()

    def heal(self) -> None:
        """Everything gets through; what stood still is begun anew."""
        self._call(self._heal())

    async def _heal(self) -> None:
        self.delays = {}
        await self._join()

    def join(self) -> None:
        """No pair is cut any more; delays stay."""
        self._call(self._join())

    async def _join(self) -> None:
        stuck, self._cut = self._cut, set()
        for task, pair in list(self._pipes.items()):
            if pair in stuck:
                task.cancel()

    def isolate(self, names: set[str]) -> set[tuple[str, str]]:
        """All pairs with one end inside and one outside."""
        return {(a, b) for a in self.real_ports for b in self.real_ports if (a in names) != (b in names)}

    async def _listen(self, name: str) -> asyncio.Server:
        port = self.real_ports[name]
        server = await asyncio.start_server(lambda r, w: self._accepted(name, port, _hello, r, w), "127.0.0.1", 0)
        self.ports[name] = server.sockets[0].getsockname()[1]
        return server

    async def _listen_for_library(self, name: str) -> asyncio.Server:
        port, opening = self._real_library_ports[name], self._library_opening
        server = await asyncio.start_server(lambda r, w: self._accepted(name, port, opening, r, w), "127.0.0.1", 0)
        self.library_ports[name] = server.sockets[0].getsockname()[1]
        return server

    async def _library_opening(self, reader: asyncio.StreamReader) -> tuple[bytes, str]:
        head = await reader.readexactly(_LIBRARY_HEAD.size)
        size = _LIBRARY_HEAD.unpack(head)[0]
        if not 0 < size <= _ADDRESS_BYTES_MAX:
            raise ConnectionResetError
        body = await reader.readexactly(size)
        found = _LIBRARY_ADDRESS.search(zlib.decompress(body))
        names = {port: name for name, port in self.library_ports.items()}
        if found is None or int(found[1]) not in names:
            raise ConnectionResetError
        return head + body, names[int(found[1])]

    async def _accepted(
        self, to: str, port: int, opening: Opening, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        other: asyncio.StreamWriter | None = None
        task = asyncio.current_task()
        assert task is not None
        try:
            begun, name = await opening(reader)
            pair = self._pipes[task] = (name, to)
            if pair in self._cut or pair[::-1] in self._cut:
                return
            other_reader, other = await asyncio.open_connection("127.0.0.1", port)
            other.write(begun)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass_on(reader, other, pair))
                both.create_task(self._pass_on(other_reader, writer, pair[::-1]))
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError, ExceptionGroup, zlib.error, struct.error):
            pass  # the connection ends: by itself, because it is cut, or because nobody opens one so
        finally:
            self._pipes.pop(task, None)
            for one in (writer, other):
                if one is not None:
                    with contextlib.suppress(OSError):
                        one.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pair: tuple[str, str]) -> None:
        while data := await reader.read(1 << 16):
            if delay := max(self.delays.get(name, 0.0) for name in pair):
                await asyncio.sleep(delay)
            await self._passable(pair)
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError

    async def _passable(self, pair: tuple[str, str]) -> None:
        """Hold bytes under way while the pair is cut, as on a network without answers."""
        while pair in self._cut:  # noqa: ASYNC110 (a thread of a test's own: polling is enough)
            await asyncio.sleep(0.02)


async def _hello(reader: asyncio.StreamReader) -> tuple[bytes, str]:
    head = await reader.readexactly(_HEAD.size)
    body = await reader.readexactly(_HEAD.unpack(head)[0])
    return head + body, msgpack.unpackb(body)["name"]
