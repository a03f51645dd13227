"""The environment that a node agent's parts share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from yurt.fsm.structs.node import Node
from yurt.server.client.artifacts import Artifacts
from yurt.server.client.collector import Limits
from yurt.server.client.drivers.base import Driver
from yurt.server.client.registrar import Registrar
from yurt.server.client.servers import Operations
from yurt.server.platform.supervision import Supervisor

KILL_TIMEOUT_MAX_NS = 30_000_000_000


@dataclass(slots=True)
class Surroundings:
    """The node, its drivers and directories. `host` are the agent's own environment variables, which tasks inherit.

    `ends_with_agent`: a development agent, whose tasks and directories go when it stops.
    """

    node: Node
    drivers: Mapping[str, Driver]
    alloc_dir: Path
    state_dir: Path
    region: str
    host: Mapping[str, str]
    kill_timeout_max_ns: int = KILL_TIMEOUT_MAX_NS
    ends_with_agent: bool = False
    remote_exec: bool = True
    now_ns: Callable[[], int] = time.time_ns  # the wall clock, nanoseconds since 1970
    registrar: Registrar | None = None
    operations: Operations | None = None  # what is asked of the servers
    contact: asyncio.Event = field(default_factory=asyncio.Event)  # a server was reached since the agent's start
    limits: Limits = field(default_factory=Limits)
    supervisor: Supervisor = field(default_factory=Supervisor)
    artifacts: Artifacts = field(default_factory=Artifacts)
