"""Job files for the commands that take one: HCL, or JSON as the API has it (spec jobspec-hcl §18).

The file is parsed here, by the code a server has, with functions that read files. What was read goes along as the
job's submission, so that `yurt job inspect -hcl` shows it again.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import orjson

from yurt.server.cli.fetch import fetch, is_url
from yurt.server.cli.output import fail
from yurt.server.hcl.diagnostics import HclError
from yurt.server.jobspec.parse import Inputs, Parsed, parse_file

_FAILED = "Error getting job struct: "
_PREFIXES = ("NOMAD_VAR_", "YURT_VAR_")  # later ones win


@dataclass(frozen=True, slots=True)
class JobFile:
    """A job with what it was made from, as requests have them."""

    job: dict[str, Any]
    submission: dict[str, Any]
    # The flags that gave values to its variables, as they are written on a command line.
    flags: str = ""

    @property
    def id(self) -> str:
        """The job's ID; ends the command if it has none."""
        found = self.job.get("ID")
        if not isinstance(found, str) or not found:
            fail("Error: the job has no ID")
        return found


def job_file(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add FILE (a path, a URL or `-`) and the flags for reading it; the command gets a `load` that does it."""

    @click.argument("path", metavar="FILE")
    @click.option("--json", "is_json", is_flag=True, help="Read FILE as the API's JSON.")
    @click.option("--var", "variables", multiple=True, metavar="NAME=VALUE", help="Value of a variable; repeatable.")
    @click.option(
        "--var-file", "variable_files", multiple=True, metavar="FILE", help="Values of variables; repeatable."
    )
    @click.option(
        "--hcl2-strict/--no-hcl2-strict",
        "is_strict",
        default=True,
        help="Refuse values of variables that the job does not declare (on; -hcl2-strict=false).",
    )
    @wraps(command)
    def with_file(*arguments: Any, **rest: Any) -> Any:
        names = ("path", "is_json", "variables", "variable_files", "is_strict")
        given = {name: rest.pop(name) for name in names}
        return command(*arguments, path=given["path"], load=lambda: load(**given), **rest)

    return with_file


def load(
    path: str, *, is_json: bool, variables: tuple[str, ...], variable_files: tuple[str, ...], is_strict: bool
) -> JobFile:
    """The job of a file, of a URL or (`-`) of standard input; ends the command with what is wrong."""
    source = _read(path)
    name = "stdin" if path == "-" else Path(urlsplit(path).path if is_url(path) else path).name
    if is_json or _is_api_json(source):
        return JobFile(_api_job(source), {"Source": source, "Format": "json"})
    flags = [_pair(one) for one in variables]
    environment = _environment()
    files = [(one, _read_variables(one, path)) for one in variable_files]
    inputs = Inputs(
        environment=environment, files=files, flags=flags, is_strict=is_strict, reads_files=True, what="file"
    )
    try:
        parsed = parse_file(source, name, inputs)
    except HclError as error:
        fail(f"{_FAILED}Error parsing job file from {path}:\n{error}")
    words = [f"-var={one}" for one in variables] + [f"-var-file={one}" for one in variable_files]
    return JobFile(parsed.job, _submission(source, parsed, inputs), "".join(shlex.quote(one) + " " for one in words))


def _read(path: str) -> str:
    if is_url(path):
        try:
            return fetch(path).decode("utf-8", "surrogateescape")
        except OSError as error:
            fail(f"{_FAILED}Error getting job file from {path}: {error}")
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        fail(f'{_FAILED}Error opening file "{path}": open {path}: {reason}')
    return data.decode("utf-8", "surrogateescape")


def _read_variables(path: str, job_path: str) -> str:
    try:
        return Path(path).read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        text = f'<nil>: Failed to read file; failed to read "{path}": open {path}: {reason}'
        fail(f"{_FAILED}Error parsing job file from {job_path}:\nunable to parse var file: {text}")


def _is_api_json(source: str) -> bool:
    """Whether a source is the API's JSON: an object that names a job otherwise than HCL in JSON does."""
    if not source.lstrip().startswith("{"):
        return False
    try:
        body = orjson.loads(source.encode("utf-8", "replace"))
    except orjson.JSONDecodeError:
        return False
    return "job" not in body or "Job" in body


def _api_job(source: str) -> dict[str, Any]:
    try:
        body = orjson.loads(source.encode("utf-8", "replace"))
    except orjson.JSONDecodeError as error:
        fail(f"{_FAILED}Failed to parse JSON job: {error}")
    job = body.get("Job", body) if isinstance(body, dict) else None
    if not isinstance(job, dict):
        fail(f"{_FAILED}Failed to parse JSON job: want an object")
    return job


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        fail(f"{_FAILED}No '=' in -var \"{text}\": want NAME=VALUE")
    return name, value


def _environment() -> dict[str, str]:
    found: dict[str, str] = {}
    for prefix in _PREFIXES:
        for name, value in os.environ.items():
            if name.startswith(prefix):
                found[name.removeprefix(prefix)] = value
    return found


def _submission(source: str, parsed: Parsed, inputs: Inputs) -> dict[str, Any]:
    """Source and variables: simple ones as strings, the others as text that can be read again."""
    simple: dict[str, str] = {}
    texts = [text for _, text in inputs.files]
    for name, value in [*inputs.environment.items(), *inputs.flags]:
        if name in parsed.complex_variables:
            texts.append(f"{name} = {value}")
        elif name in parsed.simple_variables:
            simple[name] = value
    found: dict[str, Any] = {"Source": source, "Format": "hcl2"}
    if simple:
        found["VariableFlags"] = simple
    if texts:
        found["Variables"] = "\n".join(texts)
    return found
