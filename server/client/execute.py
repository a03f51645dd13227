"""Commands that users run beside a task: with its environment, directory and user (spec node-agent §17)."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import fcntl
import os
import pty
import shutil
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from yurt.server.client import namespaces, tty_start
from yurt.server.client.drivers.base import DriverError, TaskStart
from yurt.server.client.drivers.raw_exec import identity_of

READ_BYTES = 32 << 10
DRAIN_SECONDS = 1.0

Receive = Callable[[], Awaitable[str | None]]  # the next text frame; None when the client is gone
Send = Callable[[bytes], Awaitable[None]]


class CannotStart(DriverError):
    """There is no such command, or it may not be run."""

    def __init__(self, command: str, reason: str) -> None:
        super().__init__(f"rpc error: code = Unknown desc = failed to start command: fork/exec {command}: {reason}")


class Session:
    """One command. `start` it, then `run` it to its end."""

    def __init__(self, task: TaskStart, command: list[str], *, tty: bool) -> None:
        self._task, self._command, self._tty = task, command, tty
        self._outputs: dict[int, str] = {}
        self._stdin = -1
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start the process; raises DriverError."""
        name = self._command[0]
        inside = self._task.inside
        found = name if inside is not None else self._found(name)
        user = identity_of(self._task.user) if inside is None else None
        options: dict[str, Any] = {"env": dict(self._task.env), "cwd": self._task.directory, "start_new_session": True}
        if user is not None:
            options |= {"user": user["uid"], "group": user["gid"], "extra_groups": user["groups"]}
        opened = self._terminal(options) if self._tty else self._pipes(options)
        command = [found, *self._command[1:]]
        if inside is not None:
            enter = [sys.executable, "-I", "-S", namespaces.__file__, "enter", str(inside[0])]
            command = [*enter, orjson.dumps(inside[1]).decode(), *command]
        if self._tty:
            command = [sys.executable, "-I", "-S", tty_start.__file__, *command]
        try:
            self._process = await asyncio.to_thread(lambda: subprocess.Popen(command, **options))
        except OSError as error:
            self._close()
            raise CannotStart(name, (error.strerror or str(error)).lower()) from error
        finally:
            for fd in opened:
                os.close(fd)

    def _found(self, name: str) -> str:
        found = name if "/" in name else shutil.which(name, path=self._task.env.get("PATH", os.defpath))
        if found is None or not (self._task.directory / found).is_file():
            raise CannotStart(name, "no such file or directory")
        return found

    def _pipes(self, options: dict[str, Any]) -> list[int]:
        reading, self._stdin = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._stdin, False)
        given = [reading]
        for name in ("stdout", "stderr"):
            output, writing = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(output, False)
            self._outputs[output] = name
            given.append(writing)
        options |= {"stdin": given[0], "stdout": given[1], "stderr": given[2]}
        return given

    def _terminal(self, options: dict[str, Any]) -> list[int]:
        ours, theirs = pty.openpty()
        os.set_blocking(ours, False)
        self._stdin = os.dup(ours)
        self._outputs[ours] = "stdout"
        options |= {"stdin": theirs, "stdout": theirs, "stderr": theirs}
        return [theirs]

    async def run(self, receive: Receive, send: Send) -> None:
        """Carry input and output until the process ends or the client goes, which ends the process."""
        process = self._process
        assert process is not None
        loop = asyncio.get_running_loop()
        pidfd = os.pidfd_open(process.pid)
        ended = asyncio.Event()

        def over() -> None:
            loop.remove_reader(pidfd)
            ended.set()

        loop.add_reader(pidfd, over)
        outputs = [loop.create_task(self._output(fd, name, send)) for fd, name in self._outputs.items()]
        inputs = loop.create_task(self._input(receive))
        waiting = loop.create_task(ended.wait())
        try:
            await asyncio.wait((inputs, waiting), return_when=asyncio.FIRST_COMPLETED)
            if not ended.is_set():
                self._kill()
                return
            await asyncio.wait(outputs, timeout=DRAIN_SECONDS)
            code = process.wait()
            for name in sorted(set(self._outputs.values()), reverse=True):
                await send(orjson.dumps({name: {"close": True}}))
            result = {"exit_code": 128 - code if code < 0 else code} if code else {}
            await send(orjson.dumps({"exited": True, "result": result}))
        finally:
            loop.remove_reader(pidfd)
            os.close(pidfd)
            for task in (*outputs, inputs, waiting):
                task.cancel()
            await asyncio.gather(*outputs, inputs, waiting, return_exceptions=True)
            self._kill()
            await asyncio.to_thread(process.wait)
            self._close()

    def _kill(self) -> None:
        process = self._process
        if process is not None and process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def _close(self) -> None:
        for fd in (*self._outputs, self._stdin):
            if fd >= 0:
                os.close(fd)
        self._outputs, self._stdin = {}, -1

    async def _output(self, fd: int, name: str, send: Send) -> None:
        while True:
            try:
                data = os.read(fd, READ_BYTES)
            except BlockingIOError:
                await _ready(fd, writing=False)
                continue
            except OSError:  # a terminal whose other side is closed
                return
            if not data:
                return
            await send(b'{"%b":{"data":"%b"}}' % (name.encode(), base64.b64encode(data)))

    async def _input(self, receive: Receive) -> None:
        """Until the client is gone; what is no frame of the protocol is ignored."""
        while (text := await receive()) is not None:
            try:
                frame = orjson.loads(text)
                stdin, size = frame.get("stdin") or {}, frame.get("tty_size") or {}
                data = base64.b64decode(stdin.get("data") or "")
                rows, columns = int(size.get("height", 0)), int(size.get("width", 0))
            except (ValueError, AttributeError, TypeError):
                continue
            if data:
                await self._write(data)
            if stdin.get("close"):
                self._end_input()
            if self._tty and 0 < rows < 1 << 16 and 0 < columns < 1 << 16 and self._stdin >= 0:
                fcntl.ioctl(self._stdin, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _end_input(self) -> None:
        if self._stdin < 0:
            return
        if self._tty:
            with contextlib.suppress(OSError):
                os.write(self._stdin, b"\x04")
            return
        os.close(self._stdin)
        self._stdin = -1

    async def _write(self, data: bytes) -> None:
        while data and self._stdin >= 0:
            try:
                data = data[os.write(self._stdin, data) :]
            except BlockingIOError:
                await _ready(self._stdin, writing=True)
            except OSError:
                return  # nobody reads any more


async def _ready(fd: int, *, writing: bool) -> None:
    """Until the descriptor can be read, or written."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    add, remove = (loop.add_writer, loop.remove_writer) if writing else (loop.add_reader, loop.remove_reader)
    add(fd, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        remove(fd)
