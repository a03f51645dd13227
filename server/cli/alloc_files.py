"""`yurt alloc logs` and `yurt alloc fs`: what tasks wrote."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import wraps
from typing import Any

import click
import orjson

from yurt.server.cli.alloc_lookup import chosen
from yurt.server.cli.client import Client
from yurt.server.cli.options import api, as_json
from yurt.server.cli.output import fail, print_json, table

LINES, LINE_BYTES = 10, 120  # -tail without -n and -c, as the ecosystem has it


def task_of(allocation: dict[str, Any], given: str) -> str:
    """The named task, or the only one; several end the command with their names."""
    group = next(one for one in allocation["Job"]["TaskGroups"] if one["Name"] == allocation["TaskGroup"])
    names = [one["Name"] for one in group["Tasks"]]
    if given in names or (not given and len(names) == 1):
        return given or str(names[0])
    if given:
        fail(f'Error: could not find task "{given}" in allocation "{allocation["ID"][:8]}"; it has {", ".join(names)}')
    fail(f"Error: the allocation has several tasks, name one with -task: {', '.join(names)}")


@dataclass(frozen=True)
class End:
    """How much of a file's end is wanted: lines, bytes, or (both None) all of it."""

    lines: int | None
    count: int | None

    @property
    def is_wanted(self) -> bool:
        """Whether it is less than all."""
        return self.lines is not None or self.count is not None

    def query(self) -> dict[str, str]:
        """As the API is asked for it; lines are guessed, as the ecosystem does."""
        if self.count is not None:
            return {"origin": "end", "offset": str(self.count)}
        if self.lines is not None:
            return {"origin": "end", "offset": str(self.lines * LINE_BYTES)}
        return {"origin": "start", "offset": "0"}

    def cut(self, pieces: Iterator[bytes], *, follow: bool) -> Iterator[bytes]:
        """Yield the wanted last lines of the output so far (if followed: of the first piece), then all that follows."""
        if self.lines is None or self.count is not None:
            yield from pieces
            return
        text = next(pieces, b"") if follow else b"".join(pieces)
        ends = [place for place, byte in enumerate(text[:-1]) if byte == 10]
        yield text[ends[-self.lines] + 1 :] if 0 < self.lines <= len(ends) else text
        yield from pieces


def end_options(command: Any) -> Any:
    """-f, -tail, -n and -c; the command gets `follow` and `end`."""

    @click.option("-f", "--follow", is_flag=True, help="Follow the output until the allocation ends.")
    @click.option("--tail", is_flag=True, help="Print only the end.")
    @click.option("-n", "lines", type=int, help="Number of lines to print from the end.")
    @click.option("-c", "count", type=int, help="Number of bytes to print from the end.")
    @wraps(command)
    def with_end(*, tail: bool, lines: int | None, count: int | None, **rest: Any) -> Any:
        return command(end=End(lines if lines is not None else LINES if tail else None, count), **rest)

    return with_end


def show(pieces: Iterator[bytes]) -> None:
    """Write to stdout as it comes; Ctrl-C ends it quietly."""
    try:
        for piece in pieces:
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
    except KeyboardInterrupt:
        raise SystemExit(130) from None


@click.command()
@click.argument("words", nargs=-1, metavar="[ALLOCATION] [TASK]")
@click.option("--stderr", "kind", flag_value="stderr", help="Print stderr instead of stdout.")
@click.option("--stdout", "kind", flag_value="stdout", default="stdout", hidden=True)
@click.option("--task", "named", default="", help="Name of the task.")
@click.option("--job", "job_id", default="", help="Use the newest running allocation of this job.")
@end_options
@api
def logs(client: Client, words: tuple[str, ...], kind: str, named: str, job_id: str, follow: bool, end: End) -> None:
    """Print a task's stdout, or its stderr."""
    found, rest = chosen(client, job_id, list(words))
    task = task_of(client.get(f"/v1/allocation/{found}"), named or next(iter(rest), ""))
    query = {"task": task, "type": kind or "stdout", "plain": "true", "follow": str(follow).lower(), **end.query()}
    show(end.cut(client.stream(f"/v1/client/fs/logs/{found}", **query), follow=follow))


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
@click.argument("words", nargs=-1, metavar="[ALLOCATION] [PATH]")
@click.option("--job", "job_id", default="", help="Use the newest running allocation of this job.")
@click.option("--stat", "only_status", is_flag=True, help="Show the file's status instead of its contents.")
@end_options
@as_json
@api
def fs(
    client: Client, words: tuple[str, ...], job_id: str, only_status: bool, follow: bool, end: End, as_json: bool
) -> None:
    """List a directory of an allocation, or print a file."""
    found, rest = chosen(client, job_id, list(words))
    path = next(iter(rest), "/")
    entry = client.get(f"/v1/client/fs/stat/{found}", path=path)
    if only_status or entry["IsDir"]:
        told = entry if only_status else client.get(f"/v1/client/fs/ls/{found}", path=path)
        if as_json:
            print_json(told)
        else:
            click.echo(_listing([told] if only_status else told))
    elif follow or end.is_wanted:
        query = {"path": path, "follow": str(follow).lower(), **end.query()}
        show(end.cut(_frames(client.stream(f"/v1/client/fs/stream/{found}", **query)), follow=follow))
    else:
        show(client.stream(f"/v1/client/fs/cat/{found}", path=path))
