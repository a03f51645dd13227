"""The node agent's requests about its allocations, here or handed over by a server (spec node-agent §15, §16).

Every handler takes the agent and the request. Which agent it is, is the server's business (`http/routes/client.py`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import orjson

from yurt.fsm.errors import Refusal
from yurt.fsm.lang.strconv import parse_bool, parse_int
from yurt.fsm.structs.base import to_json
from yurt.server.client import files
from yurt.server.client.agent import NodeAgent
from yurt.server.client.alloc_runner import AllocRunner
from yurt.server.client.allocdir import AllocDir
from yurt.server.client.drivers.base import DriverError
from yurt.server.client.lifecycle import PENDING
from yurt.server.client.log_reader import LogReader
from yurt.server.client.usage import allocation_usage, host_usage
from yurt.server.http.asgi.answers import IndexAnswer
from yurt.server.http.asgi.context import JSON, TEXT, Answer, Context, json_answer

Handler = Callable[[NodeAgent, Context], Awaitable[Answer]]
DONE = to_json(IndexAnswer(index=0))
_CLOSE = (b"connection", b"close")


def _runner(agent: NodeAgent, context: Context) -> AllocRunner:
    alloc_id = context.arguments[0]
    if alloc_id not in agent.runners:
        raise Refusal(404, f'Unknown allocation "{alloc_id}"')
    return agent.runners[alloc_id]


def _directory(agent: NodeAgent, context: Context) -> AllocDir:
    return _runner(agent, context).directory


def _flag(context: Context, name: str, *, default: bool = False) -> bool:
    value = context.query.get(name, "")
    if not value:
        return default
    try:
        return parse_bool(value)
    except ValueError as error:
        raise Refusal(400, f"failed to parse {name} field to boolean: {error}") from None


def _offset(context: Context, name: str = "offset", *, needed: bool = False) -> int:
    value = context.query.get(name, "")
    if not value and not needed:
        return 0
    try:
        return parse_int(value)
    except ValueError as error:
        raise Refusal(400, f"error parsing {name}: {error}") from None


def _from_end(context: Context) -> bool:
    origin = context.query.get("origin", "") or "start"
    if origin not in ("start", "end"):
        raise Refusal(400, "origin must be start or end")
    return origin == "end"


async def _as_json(frames: AsyncIterator[files.Frame | None]) -> AsyncIterator[bytes]:
    async for frame in frames:
        yield frame.json() if frame is not None else files.HEARTBEAT


async def _as_bytes(frames: AsyncIterator[files.Frame | None]) -> AsyncIterator[bytes]:
    async for frame in frames:
        if frame is not None:
            yield frame.data


# --- files


async def list_files(agent: NodeAgent, context: Context) -> Answer:
    """GET /v1/client/fs/ls/:id."""
    return json_answer(files.list_directory(_directory(agent, context), context.query.get("path", "") or "/"))


async def stat_file(agent: NodeAgent, context: Context) -> Answer:
    """GET /v1/client/fs/stat/:id."""
    return json_answer(files.file_status(_directory(agent, context), context.query.get("path", "")))


async def cat_file(agent: NodeAgent, context: Context) -> Answer:
    """GET /v1/client/fs/cat/:id: the bytes; what goes wrong is told with status 200, as clients expect it."""
    directory = _directory(agent, context)
    try:
        fd = files.open_file(directory, context.query.get("path", ""))
    except Refusal as refusal:
        return Answer(200, refusal.text.encode(), (TEXT,))
    return Answer(200, b"", (TEXT, _CLOSE), stream=files.contents(fd, 0, None))


async def read_at(agent: NodeAgent, context: Context) -> Answer:
    """GET /v1/client/fs/readat/:id: some bytes from an offset on, with the same quirk."""
    directory = _directory(agent, context)
    try:
        offset = _offset(context, needed=True)
        limit = _offset(context, "limit") if context.query.get("limit") else None
        fd = files.open_file(directory, context.query.get("path", ""))
    except Refusal as refusal:
        return Answer(200, refusal.text.encode(), (TEXT,))
    return Answer(200, b"", (TEXT, _CLOSE), stream=files.contents(fd, max(0, offset), limit))


async def stream_file(agent: NodeAgent, context: Context) -> Answer:
    """GET /v1/client/fs/stream/:id: frames of a file as it grows."""
    directory, path = _directory(agent, context), context.query.get("path", "")
    if not path:
        raise Refusal(400, "must provide a file name")
    offset, from_end = _offset(context), _from_end(context)
    on = _flag(context, "follow", default=True)
    try:
        fd = files.open_file(directory, path)
    except Refusal as refusal:
        raise Refusal(400 if refusal.status == 404 else refusal.status, refusal.text) from None
    if from_end:
        offset = max(0, files.size_of(fd) - offset)
    frames = files.follow(fd, path.lstrip("/"), offset, on=on)
    return Answer(200, b"", (TEXT, _CLOSE), stream=_as_json(frames))


async def read_logs(agent: NodeAgent, context: Context) -> Answer:
    """GET /v1/client/fs/logs/:id: a task's output."""
    query, task = context.query, context.query.get("task", "")
    if not task:
        raise Refusal(400, "must provide task name")
    on = _flag(context, "follow")
    kind = query.get("type", "")
    if kind not in ("stdout", "stderr"):
        raise Refusal(400, "must provide log type (stdout/stderr)")
    offset, from_end = _offset(context), _from_end(context)
    plain = _flag(context, "plain")
    runner = _runner(agent, context)
    if task not in runner.runners:
        raise Refusal(400, f'unknown task name "{task}"')
    state = runner.runners[task].state
    if state.state == PENDING and not state.started_at:
        raise Refusal(404, f'task "{task}" not started yet. No logs available')
    frames = LogReader(runner.directory, task, kind, runner.ended.is_set).frames(
        max(0, offset), from_end=from_end, on=on
    )
    if plain:
        return Answer(200, b"", (TEXT, _CLOSE), stream=_as_bytes(frames))
    return Answer(200, b"", (JSON, _CLOSE), stream=_as_json(frames))


# --- allocations


def _body(context: Context) -> dict[str, object]:
    try:
        found = orjson.loads(context.body or b"{}")
    except orjson.JSONDecodeError as error:
        raise Refusal(400, f"failed to decode body: {error}") from None
    if not isinstance(found, dict):
        raise Refusal(400, "failed to decode body: no object")
    return found


async def restart(agent: NodeAgent, context: Context) -> Answer:
    """PUT /v1/client/allocation/:id/restart: one task, all that run, or all of them."""
    body = _body(context)
    task, every = str(body.get("TaskName") or ""), bool(body.get("AllTasks"))
    if task and every:
        raise Refusal(500, "task name cannot be set when restarting all tasks")
    try:
        await _runner(agent, context).restart(task, every=every)
    except DriverError as error:
        raise Refusal(500, str(error)) from None
    return json_answer(DONE)


async def send_signal(agent: NodeAgent, context: Context) -> Answer:
    """PUT /v1/client/allocation/:id/signal: to one task or to all."""
    body = _body(context)
    try:
        _runner(agent, context).signal(str(body.get("Task") or ""), str(body.get("Signal") or ""))
    except DriverError as error:
        raise Refusal(500, str(error)) from None
    return json_answer(DONE)


async def collect(agent: NodeAgent, context: Context) -> Answer:
    """PUT|GET /v1/client/allocation/:id/gc: remove the directories of an allocation that has ended."""
    runner = _runner(agent, context)
    if runner.ended.is_set():
        await agent.collect(runner)
    return json_answer(b"null")


async def statistics(agent: NodeAgent, context: Context) -> Answer:
    """GET /v1/client/allocation/:id/stats."""
    runner, task = _runner(agent, context), context.query.get("task", "")
    if task and task not in runner.runners:
        raise Refusal(500, f'unknown task name "{task}"')
    return json_answer(to_json(allocation_usage(runner, task)))


async def checks(agent: NodeAgent, context: Context) -> Answer:
    """GET /v1/client/allocation/:id/checks: the newest results of its health checks."""
    return json_answer(to_json(_runner(agent, context).checks()))


async def host_statistics(agent: NodeAgent, _context: Context) -> Answer:
    """GET /v1/client/stats."""
    return json_answer(to_json(host_usage(agent.surroundings.alloc_dir)))


async def collect_all(agent: NodeAgent, _context: Context) -> Answer:
    """GET /v1/client/gc: remove the directories of all allocations that have ended."""
    for runner in list(agent.runners.values()):
        if runner.ended.is_set():
            await agent.collect(runner)
    return json_answer(b"null")


async def pause(agent: NodeAgent, context: Context) -> Answer:
    """GET|PUT /v1/client/allocation/:id/pause: schedules of tasks are not open (spec cluster §4)."""
    _runner(agent, context)
    if context.method != "GET" and str(_body(context).get("ScheduleState") or "") not in ("pause", "run", "scheduled"):
        raise Refusal(400, "Not a valid task schedule state")
    raise Refusal(500, "Enterprise only")


async def metadata(agent: NodeAgent, context: Context) -> Answer:
    """GET or POST /v1/client/metadata: the node's meta, or a change of it; null takes a key away."""
    if context.method == "POST":
        await agent.change_meta(_body(context).get("Meta"))
    return json_answer(to_json(agent.metadata.shown()))


OF_ALLOCATIONS: dict[str, Handler] = {
    "ls": list_files, "stat": stat_file, "cat": cat_file, "readat": read_at, "stream": stream_file, "logs": read_logs,
    "restart": restart, "signal": send_signal, "gc": collect, "stats": statistics, "checks": checks,
    "pause": pause,
}  # fmt: skip
OF_NODES: dict[str, Handler] = {"stats": host_statistics, "gc": collect_all, "metadata": metadata}
