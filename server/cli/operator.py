"""`yurt operator`: looking after a cluster."""

from __future__ import annotations

import click

from yurt.server.cli.operator_autopilot import autopilot
from yurt.server.cli.operator_raft import raft


@click.group()
def operator() -> None:
    """Look after the cluster."""


operator.add_command(raft)
operator.add_command(autopilot)
