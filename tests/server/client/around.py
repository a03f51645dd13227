"""What a node agent's parts share, for tests: directories of their own that go with the process."""

from __future__ import annotations

import itertools
import os
import tempfile
from pathlib import Path
from typing import Any

from yurt.fsm.structs.node import Node
from yurt.server.client.drivers.base import Driver
from yurt.server.client.drivers.mock import MockDriver
from yurt.server.client.drivers.raw_exec import RawExecDriver
from yurt.server.client.surroundings import Surroundings

_ROOT = tempfile.TemporaryDirectory(prefix="yurt-test-")
_numbers = itertools.count()


def surroundings(**fields: Any) -> Surroundings:
    """Fresh directories, all drivers."""
    root = Path(_ROOT.name) / str(next(_numbers))
    known: tuple[Driver, ...] = (MockDriver(), RawExecDriver(enabled=True))
    values: dict[str, Any] = {
        "node": Node(id="n", name="node-1", datacenter="dc1"),
        "drivers": {driver.name: driver for driver in known},
        "alloc_dir": root / "alloc",
        "state_dir": root / "client",
        "region": "global",
        "host": {"PATH": os.environ["PATH"]},
        "ends_with_agent": True,
        **fields,
    }
    return Surroundings(**values)
