"""`yurt alloc logs` and `yurt alloc fs`: what tasks wrote."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator
from typing import Any

import click
import orjson

from yurt.server.cli.alloc_lookup import resolve
from yurt.server.cli.client import Client
from yurt.server.cli.options import api, as_json
from yurt.server.cli.output import fail, print_json, table

LINES, LINE_BYTES = 10, 120  # -tail without -n and -c, as the ecosystem has it


def allocation_of_job(client: Client, job_id: str) -> str:
    """The ID of a running allocation of a job, the newest one; of one that has ended if none runs."""
    found = client.get(f"/v1/job/{job_id}/allocations")
    if not found:
        fail(f'Error: job "{job_id}" has no allocations')
    running = [one for one in found if one["ClientStatus"] == "running"]
    return str(max(running or found, key=lambda one: one["CreateIndex"])["ID"])


def task_of(allocation: dict[str, Any], given: str) -> str:
    """The named task, or the only one; several end the command with their names."""
    group = next(one for one in allocation["Job"]["TaskGroups"] if one["Name"] == allocation["TaskGroup"])
    names = [one["Name"] for one in group["Tasks"]]
    if given in names or (not given and len(names) == 1):
        return given or str(names[0])
    if given:
        fail(f'Error: could not find task "{given}" in allocation "{allocation["ID"][:8]}"; it has {", ".join(names)}')
    fail(f"Error: the allocation has several tasks, name one with -task: {', '.join(names)}")


def _window(tail: bool, lines: int | None, count: int | None) -> dict[str, str]:
    """How much of the end is asked for."""
    if count is not None:
        return {"origin": "end", "offset": str(count)}
    if tail or lines is not None:
        return {"origin": "end", "offset": str((lines or LINES) * LINE_BYTES)}
    return {"origin": "start", "offset": "0"}


def _last_lines(pieces: Iterator[bytes], lines: int) -> Iterator[bytes]:
    """Of the first piece only the last so many lines; then all that comes."""
    first = next(pieces, b"")
    ends = [place for place, byte in enumerate(first[:-1]) if byte == 10]
    yield first[ends[-lines] + 1 :] if len(ends) >= lines else first
    yield from pieces


def show(pieces: Iterator[bytes]) -> None:
    """Write to stdout as it comes; Ctrl-C ends it quietly."""
    try:
        for piece in pieces:
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
    except KeyboardInterrupt:
        raise SystemExit(130) from None


@click.command()
@click.argument("alloc_id", required=False)
@click.argument("task", required=False, default="")
@click.option("--stderr", "kind", flag_value="stderr", help="The other stream.")
@click.option("--stdout", "kind", flag_value="stdout", default="stdout", hidden=True)
@click.option("--task", "named", default="", help="The task.")
@click.option("--job", "job_id", default="", help="The newest running allocation of this job.")
@click.option("-f", "--follow", is_flag=True, help="Go on as it grows, until the allocation ends.")
@click.option("--tail", is_flag=True, help="Only the end.")
@click.option("-n", "lines", type=int, help="So many lines of the end.")
@click.option("-c", "count", type=int, help="So many bytes of the end.")
@api
def logs(
    client: Client, alloc_id: str | None, task: str, kind: str, named: str, job_id: str, follow: bool, tail: bool,
    lines: int | None, count: int | None,
) -> None:  # fmt: skip
    """Print what a task wrote to stdout, or to stderr."""
    if job_id:  # then the only argument is the task
        found, task = allocation_of_job(client, job_id), alloc_id or task
    elif alloc_id:
        found = resolve(client, alloc_id)
    else:
        fail("Error: name an allocation, or a job with -job")
    chosen = task_of(client.get(f"/v1/allocation/{found}"), named or task)
    query = {"task": chosen, "type": kind or "stdout", "plain": "true", **_window(tail, lines, count)}
    pieces = client.stream(f"/v1/client/fs/logs/{found}", **query, follow="true" if follow else "false")
    show(_last_lines(pieces, lines or LINES) if (tail or lines is not None) and count is None else pieces)


def _listing(entries: list[dict[str, Any]]) -> str:
    rows = [
        (one["FileMode"], one["Size"], one["ModTime"], one["Name"] + ("/" if one["IsDir"] else "")) for one in entries
    ]
    return table(("Mode", "Size", "Modified Time", "Name"), rows)


def _frames(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The data of JSON objects that come back to back."""
    rest = b""
    for piece in pieces:
        rest += piece
        while (end := rest.find(b"}")) >= 0:
            frame, rest = orjson.loads(rest[: end + 1]), rest[end + 1 :]
            if data := frame.get("Data"):
                yield base64.b64decode(data)


@click.command()
@click.argument("alloc_id", required=False)
@click.argument("path", required=False, default="/")
@click.option("--job", "job_id", default="", help="The newest running allocation of this job.")
@click.option("--stat", "only_status", is_flag=True, help="What a file is, not what is in it.")
@click.option("-f", "--follow", is_flag=True, help="Go on as it grows.")
@click.option("--tail", is_flag=True, help="Only the end.")
@click.option("-n", "lines", type=int, help="So many lines of the end.")
@click.option("-c", "count", type=int, help="So many bytes of the end.")
@as_json
@api
def fs(
    client: Client, alloc_id: str | None, path: str, job_id: str, only_status: bool, follow: bool, tail: bool,
    lines: int | None, count: int | None, as_json: bool,
) -> None:  # fmt: skip
    """List a directory of an allocation, or print a file."""
    if job_id:
        found, path = allocation_of_job(client, job_id), alloc_id or path
    elif alloc_id:
        found = resolve(client, alloc_id)
    else:
        fail("Error: name an allocation, or a job with -job")
    entry = client.get(f"/v1/client/fs/stat/{found}", path=path)
    if only_status:
        click.echo(_listing([entry])) if not as_json else print_json(entry)
    elif entry["IsDir"]:
        entries = client.get(f"/v1/client/fs/ls/{found}", path=path)
        click.echo(_listing(entries)) if not as_json else print_json(entries)
    elif follow or tail or lines is not None or count is not None:
        window = {name: value for name, value in _window(tail, lines, count).items() if value != ""}
        pieces = _frames(
            client.stream(f"/v1/client/fs/stream/{found}", path=path, **window, follow="true" if follow else "false")
        )
        show(_last_lines(pieces, lines or LINES) if (tail or lines is not None) and count is None else pieces)
    else:
        show(client.stream(f"/v1/client/fs/cat/{found}", path=path))
