"""`yurt alloc exec` and `yurt job action`: a command beside a task, with this terminal as its own."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import shutil
import signal
import sys
import termios
import threading
import tty as terminal
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit

import click
import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from yurt.server.cli.alloc_files import task_of
from yurt.server.cli.alloc_lookup import allocation_of_job, chosen, resolve
from yurt.server.cli.client import ApiError, Client, job_path
from yurt.server.cli.options import api
from yurt.server.cli.output import fail

KEEP_ALIVE_SECONDS = 10.0
READ_BYTES = 32 << 10


class _Session:
    """One connection with this terminal at its other end."""

    def __init__(self, connection: ClientConnection, *, tty: bool, interactive: bool, escape: bytes) -> None:
        self._connection, self._tty, self._interactive, self._escape = connection, tty, interactive, escape
        self._left = asyncio.Event()

    async def run(self) -> int:
        """The command's exit code."""
        loop = asyncio.get_running_loop()
        if self._tty:
            await self._size()
            loop.add_signal_handler(signal.SIGWINCH, lambda: loop.create_task(self._size()))
        helpers = [loop.create_task(self._keep_alive())]
        if self._interactive:
            threading.Thread(target=self._read_input, args=(loop,), daemon=True).start()
        else:
            await self._send({"stdin": {"close": True}})
        output = loop.create_task(self._output())
        left = loop.create_task(self._left.wait())
        await asyncio.wait((output, left), return_when=asyncio.FIRST_COMPLETED)
        for one in (*helpers, left):
            one.cancel()
        return output.result() if output.done() else 0

    async def _output(self) -> int:
        while (text := await self._frame()) is not None:
            frame = orjson.loads(text)
            for name, stream in (("stdout", sys.stdout), ("stderr", sys.stderr)):
                if data := (frame.get(name) or {}).get("data"):
                    stream.buffer.write(base64.b64decode(data))
                    stream.buffer.flush()
            if frame.get("exited"):
                return int((frame.get("result") or {}).get("exit_code", 0))
        reason = self._connection.close_reason
        raise ApiError(0, reason or "the connection was closed before the command ended")

    async def _frame(self) -> str | bytes | None:
        try:
            return await self._connection.recv()
        except ConnectionClosed:
            return None

    async def _send(self, frame: dict[str, Any]) -> None:
        with contextlib.suppress(ConnectionClosed):
            await self._connection.send(orjson.dumps(frame).decode())

    async def _size(self) -> None:
        size = shutil.get_terminal_size()
        await self._send({"tty_size": {"height": size.lines, "width": size.columns}})

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(KEEP_ALIVE_SECONDS)
            await self._send({})

    def _read_input(self, loop: asyncio.AbstractEventLoop) -> None:
        """In a thread of its own: stdin may be a terminal, a pipe or a file."""
        fresh, escaped = True, False
        while data := os.read(0, READ_BYTES):
            if self._tty and self._escape:  # `~.` at the begin of a line leaves
                if escaped and data == b".":
                    loop.call_soon_threadsafe(self._left.set)
                    return
                escaped, was = fresh and data == self._escape, escaped
                fresh = data[-1:] in (b"\r", b"\n")
                if escaped:
                    continue
                data = self._escape + data if was else data
            frame = {"stdin": {"data": base64.b64encode(data).decode()}}
            asyncio.run_coroutine_threadsafe(self._send(frame), loop).result()
        asyncio.run_coroutine_threadsafe(self._send({"stdin": {"close": True}}), loop)


@contextlib.contextmanager
def _raw(wanted: bool) -> Iterator[None]:
    """Put the terminal into raw mode until the end, if `wanted`."""
    if not wanted:
        yield
        return
    before = termios.tcgetattr(0)
    terminal.setraw(0)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


async def _converse(url: str, client: Client, *, tty: bool, interactive: bool, escape: str) -> int:
    headers = {"X-Nomad-Token": client.token} if client.token else {}
    tls: dict[str, Any] = {}
    if url.startswith("wss:"):
        tls = {"ssl": client.tls.context(), "server_hostname": client.tls.server_name or None}
    try:
        connection = await connect(url, additional_headers=headers, compression=None, max_size=1 << 22, **tls)
    except (OSError, TimeoutError, InvalidHandshake, InvalidURI) as error:
        fail(f"Error: {url}: {error}")
    async with connection:
        with _raw(tty and interactive and sys.stdin.isatty()):
            session = _Session(connection, tty=tty, interactive=interactive, escape=escape.encode())
            return await session.run()


def converse(client: Client, path: str, query: dict[str, str], *, tty: bool, interactive: bool, escape: str) -> int:
    """Run to its end; the command's exit code."""
    parts = urlsplit(client.address if "://" in client.address else f"http://{client.address}")
    scheme = "wss" if parts.scheme == "https" else "ws"
    for name in ("region", "namespace"):
        if value := getattr(client, name):
            query[name] = value
    query["tty"] = "true" if tty else "false"
    url = f"{scheme}://{parts.netloc}{path}?{urlencode(query)}"
    with contextlib.suppress(KeyboardInterrupt):
        return asyncio.run(_converse(url, client, tty=tty, interactive=interactive, escape=escape))
    return 130


def terminal_options(command: Any) -> Any:
    """-i, -t and -e."""
    for option in (
        click.option("-i/--no-i", "interactive", default=True, help="Pass stdin to the command (on; -i=false)."),
        click.option(
            "-t/--no-t", "tty", default=None, help="Allocate a terminal (default: if stdin and stdout are one)."
        ),
        click.option(
            "-e", "escape", default="~", help="Escape character; followed by a dot it ends the session (or `none`)."
        ),
    ):
        command = option(command)
    return command


def _settled(interactive: bool, tty: bool | None, escape: str) -> dict[str, Any]:
    both = sys.stdin.isatty() and sys.stdout.isatty()
    return {
        "interactive": interactive,
        "tty": both if tty is None else tty,
        "escape": "" if escape == "none" else escape,
    }


@click.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--task", default="", help="Name of the task.")
@click.option("--job", "job_id", default="", help="Use the newest running allocation of this job.")
@terminal_options
@click.argument("words", nargs=-1, required=True, metavar="ALLOCATION COMMAND…")
@api
def execute(
    client: Client, words: tuple[str, ...], task: str, job_id: str, interactive: bool, tty: bool | None, escape: str
) -> None:
    """Run a command beside a task, with its environment, directory and user; exit with the command's code."""
    found, command = chosen(client, job_id, list(words))
    if not command:
        fail("Error: a command is needed, as in: yurt alloc exec ALLOCATION /bin/sh")
    where = task_of(client.get(f"/v1/allocation/{found}"), task)
    query = {"task": where, "command": orjson.dumps(command).decode()}
    settled = _settled(interactive, tty, escape)
    raise SystemExit(converse(client, f"/v1/client/allocation/{found}/exec", query, **settled))


@click.command()
@click.option("--job", "job_id", required=True, help="ID of the job.")
@click.option("--allocation", default="", help="ID of an allocation of the job (default: the newest running one).")
@click.option("--group", default="", help="Use an allocation of this group.")
@click.option("--task", default="", help="Name of the task that has the action.")
@terminal_options
@click.argument("name")
@api
def action(
    client: Client, name: str, job_id: str, allocation: str, group: str, task: str, interactive: bool,
    tty: bool | None, escape: str,
) -> None:  # fmt: skip
    """Run an action that the job defines; exit with the action's code."""
    if allocation:
        found = resolve(client, allocation)
    elif group:
        rows = [one for one in client.get(job_path(job_id, "allocations")) if one["TaskGroup"] == group]
        running = [one for one in rows if one["ClientStatus"] == "running"]
        if not running:
            fail(f'Error: no allocation of group "{group}" runs')
        found = str(running[0]["ID"])
    else:
        found = allocation_of_job(client, job_id)
    one = client.get(f"/v1/allocation/{found}")
    query = {"action": name, "allocID": found, "task": task or _task_with(one, name)}
    settled = _settled(interactive, tty, escape)
    raise SystemExit(converse(client, job_path(job_id, "action"), query, **settled))


def _task_with(allocation: dict[str, Any], action: str) -> str:
    group = next(one for one in allocation["Job"]["TaskGroups"] if one["Name"] == allocation["TaskGroup"])
    names = [task["Name"] for task in group["Tasks"] if action in [one["Name"] for one in task.get("Actions") or ()]]
    if len(names) != 1:
        fail(f'Error: {"several tasks have" if names else "no task has"} the action "{action}"; name one with -task')
    return str(names[0])
