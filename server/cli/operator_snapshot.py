"""`yurt operator snapshot` and `yurt operator state`: the whole state as a file, and how large it is."""

from __future__ import annotations

import base64
import hashlib
import os
import time
from collections.abc import Iterator
from typing import Any

import click
import msgspec

from yurt.fsm.errors import YurtError
from yurt.fsm.machine import Loaded, Machine
from yurt.fsm.store.schema import TABLES
from yurt.fsm.store.view import View
from yurt.fsm.structs.base import to_builtins
from yurt.server.cli.client import Client
from yurt.server.cli.options import api, as_json
from yurt.server.cli.output import fail, pairs, print_json, table
from yurt.server.snapshot.archive import unpack

PATH = "/v1/operator/snapshot"


@click.group()
def snapshot() -> None:
    """Save, restore and inspect the state of a cluster."""


@snapshot.command()
@click.argument("file", default="")
@click.option("--stale", is_flag=True, help="Save the state of the server that is asked, without a leader.")
@api
def save(client: Client, file: str, stale: bool) -> None:
    """Save the state to FILE (by default yurt-state-TIME.snap)."""
    name = file or time.strftime("yurt-state-%Y%m%d%H%M%S.snap", time.gmtime())
    temporary = f"{name}.unverified"
    try:
        with open(temporary, "w+b") as target:
            headers = client.download(PATH, target, **({"stale": "true"} if stale else {}))
            target.flush()
            os.fsync(target.fileno())
            target.seek(0)
            found = base64.b64encode(hashlib.file_digest(target, "sha256").digest()).decode()
            if headers.get("digest") != f"sha-256={found}":
                fail(f"Error: the checksum of what came is {found}, not {headers.get('digest')}: try again")
            target.seek(0)
            unpack(target, _drain)
        os.replace(temporary, name)
    except (OSError, YurtError) as error:
        fail(f"Error saving the snapshot: {error}")
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)
    click.echo(f"State file written to {name}")


def _drain(chunks: Iterator[bytes]) -> None:
    for _ in chunks:
        pass


@snapshot.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@api
def restore(client: Client, file: str) -> None:
    """Replace the cluster's state with that in FILE. Everything written since is lost; indexes go on."""
    with open(file, "rb") as source:
        client.upload(PATH, source)
    click.echo("Snapshot Restored")


@snapshot.command(name="inspect")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@as_json
def inspect_snapshot(file: str, as_json: bool) -> None:
    """Verify FILE and show its contents."""
    meta, view = _read(file)
    rows = [_size_of(view, one) for one in TABLES]
    if as_json:
        print_json({"Meta": meta, "Tables": rows})
        return
    shown = [(key, meta.get(key, "")) for key in ("ID", "Size", "Index", "Term", "Version")]
    click.echo(pairs(shown) + "\n")
    click.echo(_sizes_table(rows))


@snapshot.command(name="state")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
def state_of_snapshot(file: str) -> None:
    """Print the state in FILE as JSON: every table with its rows."""
    _, view = _read(file)
    print_json({one.name: [to_builtins(row) for row in view.scan(one)] for one in TABLES})


@click.command()
@as_json
@api
def state(client: Client, as_json: bool) -> None:
    """Show the size of each table of the state (bytes are estimated from a sample)."""
    rows = client.get("/v1/operator/state")
    if as_json:
        print_json(rows)
    else:
        click.echo(_sizes_table(rows))


def _read(file: str) -> tuple[dict[str, Any], View]:
    try:
        with open(file, "rb") as source:
            meta, loaded = unpack(source, Machine.load)
    except (OSError, YurtError) as error:
        fail(f"Error reading the snapshot: {error}")
    assert isinstance(loaded, Loaded)
    machine = Machine()
    machine.swap(loaded)
    return meta, machine.view()


def _size_of(view: View, one: Any) -> dict[str, Any]:
    size = sum(len(msgspec.msgpack.encode(row)) for row in view.scan(one))
    return {"Table": one.name, "Rows": view.count(one), "Bytes": size, "Index": view.table_index(one)}


def _sizes_table(rows: list[dict[str, Any]]) -> str:
    ordered = sorted(rows, key=lambda row: (-row["Bytes"], row["Table"]))
    total = {"Table": "Total", "Rows": sum(r["Rows"] for r in rows), "Bytes": sum(r["Bytes"] for r in rows)}
    cells = [(r["Table"], r["Rows"], _bytes(r["Bytes"]), r.get("Index", "")) for r in (*ordered, total)]
    return table(("Table", "Rows", "Size", "Index"), cells)


def _bytes(size: float) -> str:
    units = ["B", "KiB", "MiB", "GiB"]
    while size >= 1024 and len(units) > 1:
        size, units = size / 1024, units[1:]
    return f"{size:.1f} {units[0]}".replace(".0 B", " B")
