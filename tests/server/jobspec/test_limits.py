"""Hostile job files: an error soon, and no job file ends in anything else than a job or diagnostics."""

from __future__ import annotations

import contextlib
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yurt.server.hcl.diagnostics import HclError, LimitError
from yurt.server.jobspec.parse import Inputs, parse_job


def config(value: str) -> str:
    """A job file with a value in a task's configuration."""
    return f'job "j" {{\n  group "g" {{\n    task "t" {{\n      config {{\n        x = {value}\n      }}\n    }}\n  }}\n}}\n'


def chain(first: str, step: str, count: int = 40) -> str:
    """Locals, each made from the one before."""
    return (
        "locals {\n  a0 = "
        + first
        + "\n"
        + "".join(f"  a{n + 1} = {step.replace('@', f'local.a{n}')}\n" for n in range(count))
        + "}\n"
    )


BOMBS = {
    "size": "# x\n" * (1 << 20),
    "brackets": config("[" * 1_000_000),
    "braces": "a " + "{" * 1_000_000,
    "interpolations": config('"${' * 300_000),
    "types": 'variable "v" {\n  type = ' + "list(" * 50_000 + "\n}\n",
    "json": '{"job":' * 100_000,
    "words": 'job "j" {\n' + "a = 1\n" * 150_000 + "}",
    "range": config("range(0, 1e12)"),
    "loops": config("[for a in range(1000) : [for b in range(1000) : [for c in range(1000) : a]]]"),
    "product": config("setproduct(range(1000), range(1000), range(1000))"),
    "width": config('format("%999999999d", 1)'),
    "precision": config('format("%.999999999f", 1)'),
    "indent": config('indent(1e15, "a\\nb")'),
    "replace": config('replace(join("", [for i in range(20000) : "aaaaaaaaaa"]), "a", join("", [for i in range(5000) : "bbbbbbbbbb"]))'),
    "doubled text": chain('"xxxxxxxxxx"', '"${@}${@}"') + config("local.a40"),
    "doubled list": chain("[1]", "[@, @]") + config("local.a40"),
    "doubled list compared": chain("[1]", "[@, @]") + config("local.a40 == local.a39"),
    "doubled list encoded": chain("[1]", "[@, @]") + config("jsonencode(local.a40)"),
    "deep": chain("[1]", "[@]", 3000) + config("local.a3000"),
    "blocks": 'job "j" {\n  dynamic "group" {\n    for_each = range(50000)\n    labels = ["x"]\n    content {}\n  }\n}',
    "hashes": config('[for i in range(1000) : bcrypt("x", 12)]'),
    "runtime names": 'job "j" {\n  name = "${a}' + " }" * 200_000 + '"\n}',
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_end_soon(name: str) -> None:
    started = time.process_time()
    with pytest.raises(LimitError) as caught:
        parse_job(BOMBS[name], "f", Inputs())
    assert "Limit exceeded; " in str(caught.value)
    assert time.process_time() - started < 2.5, "a generous bound; one second is what it should take at most"


def test_large_but_honest_files_are_parsed() -> None:
    meta = "".join(f'    key_{n} = "value ${{1 + {n}}}"\n' for n in range(2000))
    assert len(parse_job(f'job "j" {{\n  meta {{\n{meta}  }}\n}}\n', "f", Inputs())["Meta"]) == 2000
    sums = parse_job(f'job "j" {{\n  priority = {"+".join(["1"] * 5000)}\n}}\n', "f", Inputs())
    assert sums["Priority"] == 5000


WORDS = st.sampled_from([
    "job", "group", "task", "config", "env", "meta", "count", "local", "var", "a", '"x"', '"${', "}", "{", "[", "]", "(", ")", "=",
    "\n", "\n", ",", ".", "*", "?", ":", "==", "+", "-", "!", "1", "1e9", "null", "true", "for", "in", "if", "=>", "...",
    "upper(", "format(", "dynamic", "for_each", "content", "labels", "variable", "default", "type", "list(", "locals", "<<E\n",
    "\nE\n", "%{ if ", "~}", "range(", "jsondecode(", "yamldecode(", "try(", "[*]",
])  # fmt: skip
SHAPES = st.sampled_from([
    'job "j" {{\n{}\n}}\n', 'job "j" {{\n  group "g" {{\n    task "t" {{\n      config {{\n{}\n}}\n}}\n}}\n}}\n', "locals {{\n{}\n}}\njob \"j\" {{}}\n",
    'job "j" {{\n  name = {}\n}}\n', '{}\njob "j" {{}}\n', 'variable "v" {{\n{}\n}}\njob "j" {{ name = "${{var.v}}" }}\n',
])  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(SHAPES, st.lists(WORDS, max_size=25))
def test_any_job_file_is_a_job_or_diagnostics(shape: str, words: list[str]) -> None:
    with contextlib.suppress(HclError):
        job = parse_job(shape.format(" ".join(words)), "f", Inputs(), canonical=True)
        assert json.loads(json.dumps(job, allow_nan=False))["ID"] == "j"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "group", "task", "config", "name", "meta", "${x}"]), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(JSON)
def test_any_json_is_a_job_or_diagnostics(body: object) -> None:
    with contextlib.suppress(HclError):
        parse_job(json.dumps({"job": {"j": body}}), "f", Inputs(), canonical=True)
