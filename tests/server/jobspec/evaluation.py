"""Evaluating one expression, as a job file would."""

from __future__ import annotations

import json
from typing import Any

from yurt.server.hcl.bodies import parse_expression
from yurt.server.hcl.diagnostics import Source
from yurt.server.jobspec.evaluate import evaluate
from yurt.server.jobspec.jsontext import json_text
from yurt.server.jobspec.scope import Scope, Shared
from yurt.server.jobspec.values import object_of


def evaluated(source: str, *, reads_files: bool = False) -> tuple[Any, list[str]]:
    """The value as JSON has it (None if it is unknown) and the diagnostics without their file."""
    diagnostics: list[Any] = []
    empty = object_of({})
    scope = Scope(Shared(reads_files=reads_files), {"local": empty, "var": empty}, diagnostics)
    value = evaluate(parse_expression(Source(source, "f")), scope)
    plain = json.loads(json_text(value)) if value.is_known else None
    return plain, [str(one).removeprefix("f:") for one in diagnostics]


def good(source: str) -> Any:
    """The value of an expression that has one."""
    value, told = evaluated(source)
    assert told == [], told
    return value


def wrong(source: str) -> str:
    """The first diagnostic of an expression that has no value."""
    _, told = evaluated(source)
    assert told, "no diagnostic"
    return told[0]
