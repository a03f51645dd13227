"""Files that describe one object, in HCL or JSON, by the names of the documentation."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import orjson

from yurt.server.cli.output import fail
from yurt.server.hcl.diagnostics import HclError
from yurt.server.hcl.document import load_document


def read_spec(path: str, *, given_json: bool) -> dict[str, Any]:
    """The file's members; `-` reads standard input. JSON if asked for or if it begins like it."""
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        text = data.decode()
    except OSError as error:
        fail(f"Error reading file: {error.strerror}: {path}")
    except UnicodeDecodeError:
        fail(f"Error reading file: {path} is no UTF-8")
    try:
        found = orjson.loads(text) if given_json or text.lstrip().startswith("{") else load_document(text, path)
    except (orjson.JSONDecodeError, HclError) as error:
        fail(f"Error parsing file: {error}")
    if not isinstance(found, dict):
        fail(f"Error parsing file: {path} holds no object")
    return found


def renamed(found: dict[str, Any], names: dict[str, str], what: str) -> dict[str, Any]:
    """The members under the wire's names, whichever of the two they were written by; ends with an error for others."""
    body = {}
    for key, value in found.items():
        name = names.get(key) or (key if key in names.values() else None)
        if name is None:
            fail(f'Error: a {what} has no "{key}"; known: {", ".join(names)}')
        body[name] = value
    return body
