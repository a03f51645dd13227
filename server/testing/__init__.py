"""A real cluster inside somebody's test: `from yurt.testing import Cluster` (docs/testing.md).

Importing it starts nothing and loads neither the server nor a test library.
"""

from __future__ import annotations

from yurt.server.testing.agent import Agent, Clock, ClusterError
from yurt.server.testing.checker import Verdict, check
from yurt.server.testing.client import Api, Operation
from yurt.server.testing.cluster import Cluster
from yurt.server.testing.history import Event, Recorder, Window
from yurt.server.testing.history import read as read_history
from yurt.server.testing.process import AgentProcess, free_ports
from yurt.server.testing.rules import Violation

__all__ = [
    "Agent", "AgentProcess", "Api", "Clock", "Cluster", "ClusterError", "Event", "Operation", "Recorder", "Verdict",
    "Violation", "Window", "check", "free_ports", "read_history",
]  # fmt: skip
