"""`yurt operator`: looking after a cluster."""

from __future__ import annotations

import click

from yurt.server.cli.operator_autopilot import autopilot
from yurt.server.cli.operator_gossip import gossip
from yurt.server.cli.operator_keyring import root
from yurt.server.cli.operator_raft import raft
from yurt.server.cli.operator_recover import inspect, recover
from yurt.server.cli.operator_snapshot import snapshot, state


@click.group()
def operator() -> None:
    """Operate the cluster."""


operator.add_command(raft)
operator.add_command(autopilot)
operator.add_command(snapshot)
operator.add_command(state)
operator.add_command(root)
operator.add_command(gossip)
raft.add_command(inspect)
raft.add_command(recover)
