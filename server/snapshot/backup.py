"""Saving the whole state of a running cluster as a file, and restoring it (spec cluster §15, deviation 17).

Saving: the state of the server that is asked, packed by a forked child.
Restoring: the server that is asked checks the file and loads its state for a trial, in a child; then the state goes
into the leader's log in pieces, and every server takes it at the same entry (`raft/restoring.py`).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import tempfile
import uuid
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import IO, Any

import msgpack

from yurt.fsm.errors import Refusal, YurtError
from yurt.fsm.machine import Machine
from yurt.server.host import Host
from yurt.server.raft.core.restoring import PIECE_BYTES
from yurt.server.raft.errors import NotLeader, NotSent, OutcomeUnknown
from yurt.server.raft.storage.apart import Failed, Forked
from yurt.server.snapshot.archive import pack, unpack

METHOD = "restore"
HOLD_SECONDS = 5.0
RETRY_SECONDS = 0.05
PIECE_SECONDS_MAX = 30.0
RESTORE_SECONDS_MAX = 300.0
PIECES_BYTES_MAX = 4 << 30
UPLOAD_BYTES_MAX = 8 << 30
BUFFER_BYTES = 4 << 20
COMPRESSION = 1


class Backup:
    """The saving and restoring of the state for `/v1/operator/snapshot`, on one server."""

    def __init__(self, server: Host) -> None:
        self._server = server
        self._busy = asyncio.Lock()  # a child at a time
        self._handed: tuple[bytes, list[bytes], asyncio.TimerHandle] | None = None

    def start(self) -> None:
        """Take what other servers hand over."""
        self._server.transport.serve(METHOD, self._serve_restore)

    # --- saving

    async def save(self) -> tuple[IO[bytes], bytes, int]:
        """An open file that is gone when it is closed, its SHA-256, and the state's index."""
        server = self._server
        capture = server.machine.capture()
        meta = self._meta(capture.index)
        async with self._busy:
            with self._temporary() as path, self._temporary() as spool_path:

                def work() -> bytes:
                    with open(spool_path, "w+b") as spool, open(path, "wb") as target:
                        return pack(meta, server.machine.write(capture), spool, target)

                digest = await self._apart(work)
                return await asyncio.to_thread(open, path, "rb"), digest, capture.index  # its reader closes it

    def _meta(self, index: int) -> dict[str, Any]:
        engine = self._server.engine
        servers = engine.servers()
        addresses = msgpack.packb([one["address"] for one in servers])
        return {
            "Version": 1,
            "ID": f"{engine.term}-{index}-{self._server.now_ns() // 1_000_000}",
            "Index": index,
            "Term": engine.term,
            "Peers": base64.b64encode(addresses).decode(),
            "Configuration": {
                "Servers": [
                    {"Suffrage": 0 if x["voter"] else 1, "ID": x["id"], "Address": x["address"]} for x in servers
                ]
            },
            "ConfigurationIndex": engine.status().configuration_index,
        }

    # --- restoring

    async def restore(self, body: AsyncIterator[bytes]) -> None:
        """Replace the state of the cluster by an archive; raises Refusal, and what a write raises."""
        with self._temporary() as path, self._temporary() as pieces_path:
            with await asyncio.to_thread(open, path, "wb", buffering=0) as upload:
                await _write_all(upload, body)

            def work() -> bytes:
                with open(path, "rb") as source, open(pieces_path, "wb") as target:
                    unpack(source, lambda chunks: Machine.load(_compressed(chunks, target)))
                return b""

            try:
                async with self._busy:
                    await self._apart(work)
            except Failed as error:
                raise Refusal(500, f"failed to restore from snapshot: {error}") from None
            os.remove(path)
            pieces = await asyncio.to_thread(_read_pieces, pieces_path)
        await self._hand_over(pieces)

    async def _hand_over(self, pieces: list[bytes]) -> None:
        """Into this leader's log, or to the leader."""
        deadline = asyncio.get_running_loop().time() + HOLD_SECONDS
        while True:
            engine = self._server.engine
            with contextlib.suppress(NotLeader, NotSent):
                if engine.is_ready:
                    await self._server.restore_state(pieces)
                    return
                if engine.leader is not None and not engine.is_leader_role:
                    await self._send_pieces(engine.leader.id, pieces)
                    return
            loop = asyncio.get_running_loop()
            await asyncio.sleep(RETRY_SECONDS)
            await self._server.leader_known(max(0.0, deadline - loop.time()))
            if loop.time() >= deadline:
                raise Refusal(500, "No cluster leader")

    async def _send_pieces(self, leader_id: str, pieces: list[bytes]) -> None:
        identity = uuid.uuid4().bytes
        for number, piece in enumerate(pieces):
            is_last = number + 1 == len(pieces)
            payload = msgpack.packb([identity, number, len(pieces), piece])
            timeout = RESTORE_SECONDS_MAX if is_last else PIECE_SECONDS_MAX
            try:
                text = await self._server.transport.call(leader_id, METHOD, payload, timeout=timeout)
            except OutcomeUnknown:
                if is_last:
                    raise
                raise NotSent("the leader did not get all of it") from None
            if text:
                raise Refusal(500, text.decode())

    async def _serve_restore(self, payload: bytes) -> bytes:
        """Collect what another server hands over; the last piece starts it. The answer is an error's text, or empty."""
        identity, number, total, piece = msgpack.unpackb(payload, max_bin_len=len(payload))
        if not self._server.engine.is_ready:
            raise NotSent("this server does not lead")
        pieces: list[bytes] = []
        if self._handed is not None:
            self._handed[2].cancel()
            if self._handed[0] == identity:
                pieces = self._handed[1]
            elif number:
                raise NotSent("another one came")
        if len(pieces) != number or sum(map(len, pieces)) > PIECES_BYTES_MAX:
            raise NotSent("a piece is missing")
        pieces.append(piece)
        forget = asyncio.get_running_loop().call_later(PIECE_SECONDS_MAX, self._forget_handed)
        self._handed = (identity, pieces, forget)
        if number + 1 < total:
            return b""
        forget.cancel()
        self._forget_handed()
        try:
            await self._server.restore_state(pieces)
        except NotLeader:
            raise NotSent("this server does not lead") from None
        except YurtError as error:
            return str(error).encode()
        return b""

    def _forget_handed(self) -> None:
        self._handed = None

    # --- pieces

    async def _apart(self, work: Callable[[], bytes]) -> bytes:
        return await asyncio.to_thread(Forked().run, work)

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[str]:
        """A file beside the snapshots, where there is room for them; the next start would remove it too."""
        descriptor, path = tempfile.mkstemp(".tmp", "operator-", self._server.engine.spool)
        os.close(descriptor)
        try:
            yield path
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.remove(path)


async def _write_all(file: IO[bytes], body: AsyncIterator[bytes]) -> None:
    """Raises Refusal(413)."""
    buffer, size = bytearray(), 0
    async for part in body:
        buffer += part
        size += len(part)
        if size > UPLOAD_BYTES_MAX:
            raise Refusal(413, "Request body is too large")
        if len(buffer) >= BUFFER_BYTES:
            await asyncio.to_thread(file.write, bytes(buffer))
            buffer.clear()
    await asyncio.to_thread(file.write, bytes(buffer))


def _compressed(chunks: Iterator[bytes], target: IO[bytes]) -> Iterator[bytes]:
    """The chunks as they are, and compressed into a file."""
    deflater = zlib.compressobj(COMPRESSION)
    for chunk in chunks:
        target.write(deflater.compress(chunk))
        yield chunk
    target.write(deflater.flush())


def _read_pieces(path: str) -> list[bytes]:
    pieces = []
    with open(path, "rb") as file:
        while piece := file.read(PIECE_BYTES):
            pieces.append(piece)
    return pieces
