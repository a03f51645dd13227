"""`yurt system gc|reconcile summaries`: work on the whole state."""

from __future__ import annotations

import click

from yurt.server.cli.client import Client
from yurt.server.cli.options import api


@click.group()
def system() -> None:
    """Maintain the cluster's state."""


@system.command()
@api
def gc(client: Client) -> None:
    """Collect dead jobs, evaluations, allocations and nodes now, regardless of their age."""
    client.put("/v1/system/gc")


@system.group()
def reconcile() -> None:
    """Recompute derived records."""


@reconcile.command()
@api
def summaries(client: Client) -> None:
    """Recompute the summaries of all jobs."""
    client.put("/v1/system/reconcile/summaries")
