"""`yurt job init`: an example to start from."""

from __future__ import annotations

from pathlib import Path

import click
import orjson

from yurt.server.cli.output import fail

EXAMPLE = {
    "Job": {
        "ID": "example",
        "Type": "batch",
        "Meta": {"owner": "you"},
        "ParameterizedJob": {"Payload": "optional", "MetaOptional": ["who"]},
        "TaskGroups": [
            {
                "Name": "main",
                "Tasks": [
                    {
                        "Name": "hello",
                        "Driver": "raw_exec",
                        "Config": {"command": "/bin/echo", "args": ["hello", "${NOMAD_META_who}"]},
                        "Resources": {"CPU": 100, "MemoryMB": 64},
                    }
                ],
            }
        ],
    }
}


@click.command()
@click.argument("path", metavar="[FILE]", default="example.json")
def init(path: str) -> None:
    """Write an example job (JSON) to FILE, unless it is there."""
    target = Path(path)
    try:
        with target.open("xb") as file:
            file.write(orjson.dumps(EXAMPLE, option=orjson.OPT_INDENT_2) + b"\n")
    except FileExistsError:
        fail(f"Job file already exists: {target}")
    except OSError as error:
        fail(f"Error writing job file: {error.strerror}: {target}")
    click.echo(f"Example job file written to {target}")
