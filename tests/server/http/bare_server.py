"""A server without engine and peers: a state that can be written to, to be asked through its HTTP side."""

from __future__ import annotations

from itertools import count
from types import SimpleNamespace
from typing import Any

from yurt.fsm.machine import Machine
from yurt.fsm.store.schema import JOBS
from yurt.fsm.structs.job import Job
from yurt.server.config.agent import AgentConfig
from yurt.server.platform.turns import Turns
from yurt.server.server import Server
from yurt.server.telemetry.metrics import Metrics


def write(server: Server, name: str) -> None:
    """Commit a job."""
    store = server.machine.store
    transaction = store.begin(store.index + 1)
    transaction.put(JOBS, Job(id=name, namespace="default", modify_index=store.index + 1))
    store.commit(transaction)


def bare_server() -> Server:
    """A server with one job, whose clock goes on by a millisecond each time that a pass looks at it."""
    engine: Any = SimpleNamespace(own=SimpleNamespace(id="a"), configuration=[], is_ready=True, applied_index=1)
    transport: Any = SimpleNamespace(hellos={})
    server = Server(AgentConfig(), Machine(), engine, transport, Metrics())
    milliseconds = count()
    server.turns = Turns(lambda: next(milliseconds) / 1000)
    write(server, "first")
    return server
