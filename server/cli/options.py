"""Flags that many commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from yurt.server.cli.client import ApiError, Client, TlsChoice
from yurt.server.cli.output import fail


def api(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add -address, -region, -namespace, -token and those of TLS; hand the command a `Client` as its first argument.

    A refusal of the server ends the command with `Error: …` on stderr and exit code 1.
    """

    @click.option("--address", default="", help="Address of a server [YURT_ADDR, NOMAD_ADDR].")
    @click.option("--region", default="", help="Region of the request [YURT_REGION, NOMAD_REGION].")
    @click.option("--namespace", default="", help="Namespace of the request [YURT_NAMESPACE, NOMAD_NAMESPACE].")
    @click.option("--token", default="", help="Secret of an ACL token [YURT_TOKEN, NOMAD_TOKEN].")
    @click.option(
        "--ca-cert", default="", help="CA certificate file to verify the server with [YURT_CACERT, NOMAD_CACERT]."
    )
    @click.option("--ca-path", default="", help="Directory of such CA certificates [YURT_CAPATH, NOMAD_CAPATH].")
    @click.option("--client-cert", default="", help="Client certificate file [YURT_CLIENT_CERT, NOMAD_CLIENT_CERT].")
    @click.option(
        "--client-key", default="", help="Key file of the client certificate [YURT_CLIENT_KEY, NOMAD_CLIENT_KEY]."
    )
    @click.option(
        "--tls-server-name", default="", help="Expected name in the server's certificate [YURT_TLS_SERVER_NAME, …]."
    )
    @click.option("--tls-skip-verify", is_flag=True, help="Accept any certificate [YURT_SKIP_VERIFY, …].")
    @wraps(command)
    def with_client(
        *,
        address: str,
        region: str,
        namespace: str,
        token: str,
        ca_cert: str,
        ca_path: str,
        client_cert: str,
        client_key: str,
        tls_server_name: str,
        tls_skip_verify: bool,
        **rest: Any,
    ) -> Any:
        tls = TlsChoice(ca_cert, ca_path, client_cert, client_key, tls_server_name, tls_skip_verify)
        client = Client(address=address, region=region, namespace=namespace, token=token, tls=tls)
        try:
            return command(client, **rest)
        except ApiError as error:
            fail(f"Error: {error}")

    return with_client


class GoFlags(click.Command):
    """A command whose on/off flags can also be written `--flag=true` and `--flag=false`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, with such words replaced by the flag or its opposite."""
        words = {}
        for option in self.params:
            if isinstance(option, click.Option) and option.is_flag and option.secondary_opts:
                words[f"{option.opts[0]}=true"] = option.opts[0]
                words[f"{option.opts[0]}=false"] = option.secondary_opts[0]
        return super().parse_args(ctx, [words.get(word, word) for word in args])


def _without_color(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted and not os.environ.get("NO_COLOR"):
        os.environ["NO_COLOR"] = "1"
        ctx.call_on_close(lambda: os.environ.pop("NO_COLOR", None))


no_color = click.option(
    "--no-color", is_flag=True, expose_value=False, callback=_without_color, help="Print without colors."
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
verbose = click.option("--verbose", is_flag=True, help="Print full IDs.")
detach = click.option("--detach", is_flag=True, help="Do not wait for the evaluation.")
