"""`yurt var list|get|put|purge`: encrypted variables."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import orjson

from yurt.server.cli.client import ApiError, Client
from yurt.server.cli.options import api, as_json
from yurt.server.cli.output import date, fail, pairs, print_json, table


@click.group()
def var() -> None:
    """Manage variables."""


def _path(path: str) -> str:
    return f"/v1/var/{quote(path)}"


@var.command(name="list")
@click.argument("prefix", required=False, default="")
@as_json
@api
def list_(client: Client, prefix: str, as_json: bool) -> None:
    """List the variables whose path begins with PREFIX, without their items."""
    found = client.get("/v1/vars", prefix=prefix)
    if as_json:
        print_json(found)
    elif found:
        rows = [(one["Namespace"], one["Path"], date(one["ModifyTime"])) for one in found]
        click.echo(table(("Namespace", "Path", "Last Updated"), rows))
    else:
        click.echo("No variables found")


@var.command()
@click.argument("path")
@click.option("--item", default="", help="Print only the value of this item.")
@as_json
@api
def get(client: Client, path: str, item: str, as_json: bool) -> None:
    """Show a variable with its items."""
    try:
        one = client.get(_path(path))
    except ApiError as error:
        if error.status != 404:
            raise
        fail("Variable not found")
    if item:
        if item not in one["Items"]:
            fail(f'Variable does not contain "{item}" item')
        click.echo(one["Items"][item])
    elif as_json:
        print_json(one)
    else:
        rows = [(key, one[key]) for key in ("Namespace", "Path")]
        rows += [("Create Time", date(one["CreateTime"])), ("Check Index", one["ModifyIndex"])]
        click.echo(pairs(rows) + "\n\nItems\n" + (pairs(sorted(one["Items"].items())) if one["Items"] else "none"))


@var.command()
@click.argument("path")
@click.argument("items", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--in", "file", default="", help="JSON file with Items, or with KEY: VALUE pairs (`-`: standard input).")
@click.option(
    "--check-index", type=int, default=None, help="Write only if the variable has this ModifyIndex (0: if it is new)."
)
@click.option("--force", is_flag=True, help="Overwrite the variable, ignoring -check-index.")
@as_json
@api
def put(
    client: Client, path: str, items: tuple[str, ...], file: str, check_index: int | None, force: bool, as_json: bool
) -> None:
    """Write a variable, replacing all its items; a value that begins with `@` is read from that file."""
    found = _from_file(file) if file else {}
    for one in items:
        key, equals, value = one.partition("=")
        if not equals or not key:
            fail(f'Error: "{one}" is not KEY=VALUE')
        found[key] = _read(value[1:]) if value.startswith("@") else value
    if not found:
        fail("Error: no items are given")
    query = {"cas": str(check_index)} if check_index is not None and not force else {}
    with _conflicts_told():
        made = client.request("PUT", _path(path), query=query, body={"Items": found})[0]
    print_json(made) if as_json else click.echo(
        f'Created variable "{made["Path"]}" with modify index {made["ModifyIndex"]}'
    )


@contextmanager
def _conflicts_told() -> Iterator[None]:
    try:
        yield
    except ApiError as error:
        if error.status == 409:
            fail("Check-and-set conflict: the variable was changed by somebody else; read it and try again")
        raise


def _read(path: str) -> str:
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text()
    except OSError as error:
        fail(f"Error: {path}: {error.strerror}")


def _from_file(path: str) -> dict[str, str]:
    try:
        value: Any = orjson.loads(_read(path))
    except orjson.JSONDecodeError as error:
        fail(f"Error: {path}: {error}")
    items = value.get("Items", value) if isinstance(value, dict) else None
    if not isinstance(items, dict) or not all(isinstance(one, str) for one in items.values()):
        fail(f"Error: {path}: want an object of texts")
    return dict(items)


@var.command()
@click.argument("path")
@click.option("--check-index", type=int, default=None, help="Delete only if the variable has this ModifyIndex.")
@api
def purge(client: Client, path: str, check_index: int | None) -> None:
    """Delete a variable."""
    query = {"cas": str(check_index)} if check_index is not None else {}
    with _conflicts_told():
        client.delete(_path(path), **query)
    click.echo(f'Successfully purged variable "{path}"!')
