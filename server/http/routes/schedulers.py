"""The schedulers of a server (spec cluster §2)."""

from __future__ import annotations

import msgspec

from yurt.fsm.errors import Refusal
from yurt.fsm.job.decode import load_json
from yurt.fsm.store.schema import SCHEDULER_CONFIG
from yurt.fsm.structs.base import to_json
from yurt.server.http.asgi.context import Answer, Context, json_answer


class SchedulerStatus(msgspec.Struct, frozen=True):
    """The status of a scheduler; `started` is RFC 3339."""

    enabled_schedulers: tuple[str, ...]
    id: str
    started: str
    status: str
    workload_status: str


class SchedulersAnswer(msgspec.Struct, frozen=True):
    """The schedulers of a server."""

    schedulers: tuple[SchedulerStatus, ...]
    server_id: str


class SchedulersConfiguration(msgspec.Struct, frozen=True):
    """How many schedulers a server has, and for which jobs."""

    enabled_schedulers: tuple[str, ...]
    num_schedulers: int
    server_id: str


def _own_name(context: Context) -> str:
    return f"{context.server.name}.{context.server.region}"


async def schedulers(context: Context) -> Answer:
    """GET /v1/agent/schedulers: the one that works while this server leads."""
    server = context.server
    configuration = server.view().get(SCHEDULER_CONFIG, "")
    paused = not server.is_ready or (configuration is not None and configuration.pause_eval_broker)
    one = SchedulerStatus(
        enabled_schedulers=tuple(server.config.server.enabled_schedulers),
        id=server.engine.own.id,
        started=server.started,
        status="Paused" if paused else "Started",
        workload_status="Paused" if paused else "WaitingToDequeue",
    )
    return json_answer(to_json(SchedulersAnswer((one,), _own_name(context))))


def _configuration(context: Context) -> SchedulersConfiguration:
    config = context.server.config.server
    return SchedulersConfiguration(
        enabled_schedulers=tuple(config.enabled_schedulers),
        num_schedulers=1 if config.num_schedulers is None else config.num_schedulers,
        server_id=_own_name(context),
    )


async def read_configuration(context: Context) -> Answer:
    """GET /v1/agent/schedulers/config."""
    return json_answer(to_json(_configuration(context)))


async def write_configuration(context: Context) -> Answer:
    """PUT /v1/agent/schedulers/config: one scheduler works in the leader, so other numbers are refused."""
    given = load_json(context.body) if context.body else None
    if not isinstance(given, dict) or not (given.get("num_schedulers") or given.get("enabled_schedulers")):
        raise Refusal(400, "Invalid request")
    number, present = given.get("num_schedulers"), _configuration(context)
    if not isinstance(number, int) or number < 0:
        raise Refusal(400, "Invalid request")
    enabled = given.get("enabled_schedulers") or present.enabled_schedulers
    if number != present.num_schedulers or set(enabled) != set(present.enabled_schedulers):
        raise Refusal(
            400,
            "the schedulers of a running server cannot be changed: pause them by the scheduler "
            "configuration (PauseEvalBroker), or configure and restart the server",
        )
    return json_answer(to_json(present))
