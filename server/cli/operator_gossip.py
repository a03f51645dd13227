"""`yurt operator gossip keyring generate`: a secret for the servers of a cluster."""

from __future__ import annotations

import click

from yurt.server.config.secrets import new_secret


@click.group()
def gossip() -> None:
    """Manage the servers' cluster secret."""


@gossip.group()
def keyring() -> None:
    """Generate a cluster secret."""


@keyring.command()
def generate() -> None:
    """Print a new secret for server { cluster_secret } or { encrypt }."""
    click.echo(new_secret())
