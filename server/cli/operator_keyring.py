"""`yurt operator root keyring list|rotate|rewrap|remove`: the keys that variables are encrypted with."""

from __future__ import annotations

from urllib.parse import quote

import click

from yurt.server.cli.client import Client
from yurt.server.cli.options import api, as_json, verbose
from yurt.server.cli.output import date, missing_keys, print_json, short, table


@click.group()
def root() -> None:
    """Manage the keys that encrypt variables."""


@root.group()
def keyring() -> None:
    """Manage root keys."""


@keyring.command(name="list")
@as_json
@verbose
@api
def list_(client: Client, as_json: bool, verbose: bool) -> None:
    """List the root keys; the keys themselves stay in the servers' keystores."""
    found = client.get("/v1/operator/keyring/keys")
    if as_json:
        print_json(found)
        return
    rows = [
        (short(one["KeyID"], verbose), one["State"], date(one["CreateTime"]), date(one["PublishTime"])) for one in found
    ]
    click.echo(table(("Key", "State", "Create Time", "Publish Time"), rows))
    if lacking := missing_keys(client.get("/v1/operator/keyring/servers"), "Name"):
        click.echo(lacking)


@keyring.command()
@click.option("--full", is_flag=True, help="Encrypt every variable again with the new key.")
@as_json
@verbose
@api
def rotate(client: Client, full: bool, as_json: bool, verbose: bool) -> None:
    """Create a new root key for variables written from now on."""
    made = client.request("PUT", "/v1/operator/keyring/rotate", query={"full": "true"} if full else {})[0]
    if as_json:
        print_json(made)
    else:
        click.echo(f"Root key {short(made['Key']['KeyID'], verbose)} is active")


@keyring.command()
@as_json
@api
def rewrap(client: Client, as_json: bool) -> None:
    """Wrap all root keys with the first of server.key_encryption_keys.

    Every server must already accept that key; earlier keys may be removed from the configuration afterwards.
    """
    done = client.request("PUT", "/v1/operator/keyring/rewrap")[0]
    if as_json:
        print_json(done)
    else:
        click.echo(f"All root keys are wrapped with {done['KeyEncryptionKeyID']} ({done['Rewrapped']} changed)")


@keyring.command()
@click.argument("key_id")
@click.option("--force", is_flag=True, help="Delete the key even if variables are encrypted with it: they are lost.")
@api
def remove(client: Client, key_id: str, force: bool) -> None:
    """Delete a root key that is not active."""
    client.delete(f"/v1/operator/keyring/key/{quote(key_id, safe='')}", **({"force": "true"} if force else {}))
    click.echo(f"Removed key {key_id}")
