"""Flags that many commands share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from yurt.server.cli.client import ApiError, Client
from yurt.server.cli.output import fail


def api(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add -address, -region, -namespace and -token, and hand the command a `Client` as its first argument.

    A refusal of the server ends the command with `Error: …` on stderr and exit code 1.
    """

    @click.option("--address", default="", help="Address of a server [YURT_ADDR, NOMAD_ADDR].")
    @click.option("--region", default="", help="Region of the request [YURT_REGION, NOMAD_REGION].")
    @click.option("--namespace", default="", help="Namespace of the request [YURT_NAMESPACE, NOMAD_NAMESPACE].")
    @click.option("--token", default="", help="Secret of an ACL token [YURT_TOKEN, NOMAD_TOKEN].")
    @wraps(command)
    def with_client(*, address: str, region: str, namespace: str, token: str, **rest: Any) -> Any:
        client = Client(address=address, region=region, namespace=namespace, token=token)
        try:
            return command(client, **rest)
        except ApiError as error:
            fail(f"Error: {error}")

    return with_client


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
verbose = click.option("--verbose", is_flag=True, help="Print full IDs.")
detach = click.option("--detach", is_flag=True, help="Do not wait for the evaluation.")
