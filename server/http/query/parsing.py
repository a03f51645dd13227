"""Job files are parsed in a process of their own, so that no text holds up the server's loop (decision 0006)."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process

import orjson

from yurt.fsm.errors import Refusal
from yurt.server.jobspec import worker
from yurt.server.jobspec.worker import LENGTH_BYTES, limit_text

SECONDS_MAX = 5.0
WAITING_MAX = 64
_BROKEN = (asyncio.IncompleteReadError, ConnectionError)


class Parsing:
    """The process, started at the first request and again after it had to be ended; one request at a time."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def parse(self, source: str, variables: str, *, canonical: bool) -> bytes:
        """The job as JSON; raises Refusal(400) with what is wrong, Refusal(429) if too many wait."""
        if self._waiting >= WAITING_MAX:
            raise Refusal(429, "too many job files wait to be parsed")
        self._waiting += 1
        try:
            async with self._turn:
                found = await self._ask({"source": source, "variables": variables, "canonical": canonical})
        finally:
            self._waiting -= 1
        if found[:1] == b"\1":
            return found[1:]
        raise Refusal(400, "Failed to parse job: " + found[1:].decode())

    async def _ask(self, request: dict[str, object]) -> bytes:
        process = await self._running()
        assert process.stdin is not None and process.stdout is not None
        frame = orjson.dumps(request)
        is_done = False
        try:
            async with asyncio.timeout(SECONDS_MAX):
                process.stdin.write(len(frame).to_bytes(LENGTH_BYTES) + frame)
                await process.stdin.drain()
                length = int.from_bytes(await process.stdout.readexactly(LENGTH_BYTES))
                found = await process.stdout.readexactly(length)
            is_done = True
            return found
        except TimeoutError:
            text = limit_text(f"Parsing takes longer than {SECONDS_MAX:.0f} seconds.")
            raise Refusal(400, f"Failed to parse job: {text}") from None
        except _BROKEN:
            text = limit_text("Parsing takes too much memory.")
            raise Refusal(400, f"Failed to parse job: {text}") from None
        finally:
            if not is_done:  # also when the client went away: the next request must not get this answer
                self._end()

    async def _running(self) -> Process:
        if self._process is None or self._process.returncode is not None:
            command = (sys.executable, "-P", "-m", worker.__name__)
            # A session of its own: a terminal's interrupt is for the server, which then ends the worker's input.
            self._process = await asyncio.create_subprocess_exec(
                *command, stdin=PIPE, stdout=PIPE, start_new_session=True
            )
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
