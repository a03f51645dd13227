"""`yurt acl bootstrap|policy|token|role`: who may do what."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from yurt.server.cli.acl_policy import policy
from yurt.server.cli.acl_role import role
from yurt.server.cli.acl_token import show, token
from yurt.server.cli.client import Client
from yurt.server.cli.options import api, as_json
from yurt.server.cli.output import fail


@click.group()
def acl() -> None:
    """Manage ACL policies, tokens and roles."""


for part in (policy, token, role):
    acl.add_command(part)


@acl.command()
@click.argument("secret_file", required=False, metavar="[FILE]")
@as_json
@api
def bootstrap(client: Client, secret_file: str | None, as_json: bool) -> None:
    """Create the first management token; FILE (`-`: standard input) holds a UUID to be its secret."""
    body: dict[str, Any] | None = None
    if secret_file:
        try:
            text = sys.stdin.read() if secret_file == "-" else Path(secret_file).read_text()
        except OSError as error:
            fail(f"Error: {secret_file}: {error.strerror}")
        body = {"BootstrapSecret": text.strip()}
    show(client.put("/v1/acl/bootstrap", body), as_json)
