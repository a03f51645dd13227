"""`yurt version`."""

from __future__ import annotations

import click

from yurt import __version__


@click.command()
def version() -> None:
    """Print the version."""
    click.echo(f"Yurt v{__version__}")
