"""The job's schema: what blocks become, what dynamic blocks make, what is said of blocks that do not fit."""

from __future__ import annotations

from typing import Any

import pytest

from yurt.server.hcl.diagnostics import HclError
from yurt.server.jobspec.decode import SHAPES
from yurt.server.jobspec.parse import Inputs, parse_job
from yurt.server.jobspec.schema import BLOCK_TYPES


def job(body: str, *, canonical: bool = False) -> dict[str, Any]:
    """The job of a body."""
    return parse_job(f'job "j" {{\n{body}\n}}\n', "f", Inputs(), canonical=canonical)


def group(body: str) -> dict[str, Any]:
    found: dict[str, Any] = job(f'group "g" {{\n{body}\n}}')["TaskGroups"][0]
    return found


def task(body: str) -> dict[str, Any]:
    found: dict[str, Any] = group(f'task "t" {{\n{body}\n}}')["Tasks"][0]
    return found


def lines(body: str) -> list[str]:
    """What is wrong with the body of a job, which begins in line 2."""
    with pytest.raises(HclError) as caught:
        job(body)
    return str(caught.value).replace("f:", "").split("\n")


def test_every_type_of_the_schema_is_reached_from_the_job() -> None:
    reached, waiting = set(), ["job"]
    while waiting:
        name = waiting.pop()
        if name in BLOCK_TYPES and name not in reached:
            reached.add(name)
            waiting += [child.type for child in BLOCK_TYPES[name].children.values()]
    assert reached == set(BLOCK_TYPES) == set(SHAPES)


def test_nothing_set_is_null_or_zero() -> None:
    found = task("")
    assert (found["Name"], found["Driver"], found["Leader"], found["KillTimeout"], found["ShutdownDelay"]) == (
        "t",
        "",
        False,
        None,
        0,
    )
    assert "CSIPluginConfig" not in found and found["Identity"] is None and found["Config"] is None


def test_strings_come_as_blocks_or_arguments_where_both_may_be() -> None:
    assert task("env {\n  A = 1\n  b-c = true\n}")["Env"] == {"A": "1", "b-c": "true"}
    assert task('env = { "x y" = 1.50 }')["Env"] == {"x y": "1.5"}
    assert task("meta = {}")["Meta"] == {} and task("meta {}")["Meta"] == {}


def test_config_wraps_blocks_and_objects_that_are_written_out() -> None:
    config = 'a = { b = 1 }\nc = ({ b = 1 })\nd {\n  e = { f = 1 }\n}\nd {}\nl "x" "y" { v = 1 }\nn = null\nm = [null]\nbig = 9223372036854775808'
    assert task(f"config {{\n{config}\n}}")["Config"] == {
        "a": [{"b": 1}], "c": {"b": 1}, "d": [{"e": [{"f": 1}]}, {}], "l": [{"x": [{"y": [{"v": 1}]}]}], "m": [None],
        "big": 9223372036854775808.0,
    }  # fmt: skip


CONSTRAINTS = [
    ("attribute = \"a\"\nvalue = 2", {"LTarget": "a", "RTarget": "2", "Operand": "="}),
    ("distinct_hosts = false", {"LTarget": "", "RTarget": "false", "Operand": "distinct_hosts"}),
    ("distinct_property = \"p\"\nvalue = 2", {"LTarget": "p", "RTarget": "2", "Operand": "distinct_property"}),
    ("attribute = \"a\"\nversion = \"> 1\"\nregexp = \"x\"", {"LTarget": "a", "RTarget": "x", "Operand": "regexp"}),
    ("attribute = \"a\"\nset_contains_any = \"x,y\"", {"LTarget": "a", "RTarget": "x,y", "Operand": "set_contains_any"}),
    ("attribute = \"a\"\nis_not_set = true", {"LTarget": "a", "RTarget": "", "Operand": "is_not_set"}),
    ("", {"LTarget": "", "RTarget": "", "Operand": "="}),
]  # fmt: skip


@pytest.mark.parametrize(("body", "wanted"), CONSTRAINTS)
def test_constraints_have_short_forms(body: str, wanted: dict[str, str]) -> None:
    assert job(f"constraint {{\n{body}\n}}")["Constraints"] == [wanted]


def test_ports_with_a_number_are_reserved() -> None:
    network = group('network {\n  port "a" {}\n  port "b" { static = 80 }\n  port "c" { to = 1 }\n}')["Networks"][0]
    assert [one["Label"] for one in network["DynamicPorts"]] == ["a", "c"]
    assert [(one["Label"], one["Value"]) for one in network["ReservedPorts"]] == [("b", 80)]


def test_secrets_are_handed_down_once_and_vault_whole() -> None:
    found = job(
        'secret "j" {}\nvault { role = "r" }\ngroup "g" {\n  secret "g" {}\n  task "own" {\n    secret "t" {}\n    vault {}\n  }\n  task "none" {}\n}'
    )
    own, none = found["TaskGroups"][0]["Tasks"]
    assert [one["Name"] for one in own["Secrets"]] == ["t", "g", "j"]
    assert [one["Name"] for one in none["Secrets"]] == ["g", "j"]
    assert own["Vault"]["Role"] == "" and none["Vault"]["Role"] == "r" and none["Vault"]["Env"] is True


def test_loose_tasks_become_groups_before_the_others() -> None:
    found = job('group "g" {}\ntask "a" {}\ntask "b" {}')["TaskGroups"]
    assert [one["Name"] for one in found] == ["a", "b", "g"] and found[0]["Tasks"][0]["Name"] == "a"


def test_the_default_identity_is_apart() -> None:
    found = task('identity {\n  name = "x"\n}\nidentity { env = true }')
    assert [one["Name"] for one in found["Identities"]] == ["x"] and found["Identity"]["Env"] is True
    assert task("identity {}")["Identities"] == []


def test_dynamic_blocks_nest_and_keep_their_place() -> None:
    found = job(
        'group "a" {}\ndynamic "group" {\n  for_each = { x = 1, y = 2 }\n  labels = [group.key]\n  content {\n    count = group.value\n'
        '    dynamic "task" {\n      for_each = ["t"]\n      iterator = it\n      labels = ["${group.key}-${it.value}-${it.key}"]\n'
        '      content {\n        config {\n          dynamic "z" { v = 1 }\n        }\n      }\n    }\n  }\n}\ngroup "b" {}'
    )["TaskGroups"]
    assert [(one["Name"], one["Count"]) for one in found] == [("a", None), ("x", 1), ("y", 2), ("b", None)]
    assert found[1]["Tasks"][0]["Name"] == "x-t-0"
    assert found[1]["Tasks"][0]["Config"] == {"dynamic": [{"z": [{"v": 1}]}]}, "no dynamic blocks in free form"


DURATIONS = [
    ('"1.5s"', 1_500_000_000), ('"-1h2m"', -3_720_000_000_000), ('"0"', 0), ("5", 5), ('"1us2ns"', 1002),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), DURATIONS)
def test_durations(text: str, wanted: int) -> None:
    assert group(f"shutdown_delay = {text}")["ShutdownDelay"] == wanted


V = "Unsuitable value type; Unsuitable value: "
D = "Unsuitable value type; Unsuitable duration value: time: "
BAD = [
    ("priority = 1.5", f"2,12-15: {V}value must be a whole number, between -9223372036854775808 and 9223372036854775807"),
    ("priority = [1]", f"2,12-13: {V}number required, but have tuple"),
    ('priority = "x"', f"2,13-14: {V}a number is required"),
    ("datacenters = [null]", f"2,15-16: {V}null value is not allowed"),
    ("meta = { a = null }", f"2,8-9: {V}null value is not allowed"),
    ("priority = -x", "2,13-14: Invalid operand; Unsuitable value for unary operand: a number is required."),
    ("spread { weight = 200 }", f"2,19-22: {V}value must be a whole number, between -128 and 127"),
    ('affinity { weight = "x" }', '2,21-24: Incorrect attribute value type; Inappropriate value for attribute "weight": a number is required.'),
    ('group "g" { shutdown_delay = "30" }', f'2,31-33: {D}missing unit in duration "30"'),
    ('group "g" { shutdown_delay = "5 minutes" }', f'2,31-40: {D}unknown unit " minutes" in duration "5 minutes"'),
    ('group "g" { shutdown_delay = "x" }', f'2,31-32: {D}invalid duration "x"'),
    ('group "g" { shutdown_delay = true }', f"2,30-34: {V}expected a string but found {{{{{{}} %!s(cty.primitiveTypeKind=66)}}}}"),
    ('group "g" { shutdown_delay = null }', "2,30-34: Unsuitable value; Unsuitable duration value: nil"),
    ('update "x" {}', "2,8-11: Extraneous label for update; No labels are expected for update blocks."),
    ("group {}", "2,7-8: Missing name for group; All group blocks must have 1 labels (name)."),
    ('grup "x" {}', '2,1-5: Unsupported block type; Blocks of type "grup" are not expected here. Did you mean "group"?'),
    ("datacenters {}", '2,1-12: Unsupported block type; Blocks of type "datacenters" are not expected here. Did you mean to define argument "datacenters"? If so, use the equals sign to assign it a value.'),
    ("datacentres = []", '2,1-12: Unsupported argument; An argument named "datacentres" is not expected here. Did you mean "datacenters"?'),
    ("update = {}", '2,1-7: Unsupported argument; An argument named "update" is not expected here. Did you mean to define a block of type "update"?'),
    ("update {}\nupdate {}", "3,1-7: Duplicate update block; Only one update block is allowed. Another was defined at 2,1-7."),
    ("vault {}\nvault {}", '3,1-6: Duplicate vault block; Only one block of type "vault" is allowed. Previous definition was at 2,1-6.'),
    ("meta = {}\nmeta {}", "3,1-5: Duplicate meta block; meta may not be defined more than once. Another definition is defined at 2,1-10."),
    ("meta {\n  a {}\n}", '3,3-4: Unexpected "a" block; Blocks are not allowed here.'),
    ('group "g" {\n  scaling {}\n}', '3,11-11: Missing required argument; The argument "max" is required, but no definition was found.'),
    ('group "g" {\n  scaling {\n    max = 1\n    type = "x"\n  }\n}', '3,3-10: Invalid group scaling type; task group scaling policy had invalid type: "x"'),
    ('task "t" {\n  scaling "disk" {}\n}', '3,11-17: Invalid scaling policy name; scaling policy name must be "cpu" or "mem"'),
    ('task "t" {\n  scaling "cpu" {}\n  scaling "CPU" {}\n}', '4,3-16: Duplicate scaling "cpu" block; Only one scaling "cpu" block is allowed.'),
    ('dynamic "group" {\n  for_each = 1\n  labels = ["x"]\n  content {}\n}', "3,14-15: Invalid dynamic for_each value; Cannot use a number value in for_each. An iterable collection is required."),
    ('dynamic "group" {\n  for_each = [1]\n  labels = ["x", "y"]\n  content {}\n}', '4,18-21: Extraneous dynamic block labels; Blocks of type "group" require 1 label(s).'),
    ('dynamic "group" {\n  for_each = [1]\n  labels = []\n  content {}\n}', '4,12-14: Insufficient dynamic block labels; Blocks of type "group" require 1 label(s).'),
    ('dynamic "update" {\n  for_each = [1]\n}', '2,18-18: Missing dynamic content block; A dynamic block must have a nested block of type "content" to describe the body of each generated block.'),
    ('task "t" {\n  config {\n    a = local.x\n    b = local.y\n  }\n}', '4,14-16: Unsupported attribute; This object does not have an attribute named "x"., and 3 other diagnostic(s)'),
    ('task "t" {\n  config {\n    a = 1 / 0\n  }\n}', f"4,9-10: {V}a finite number is required"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "wanted"), BAD)
def test_what_does_not_fit(body: str, wanted: str) -> None:
    assert lines(body)[0] == wanted


def test_all_errors_of_a_job_are_told_in_order() -> None:
    found = lines('nope = 1\npriority = "x"\ngroup "g" {\n  count = []\n}')
    assert [one.split(":")[0] for one in found] == ["2,1-5", "3,13-14", "5,11-12"]


def test_hcl_in_json() -> None:
    source = (
        '{"//": "c", "variable": {"v": {"type": "list(string)", "default": ["a"]}}, "locals": {"l": "x${var.v[0]}"},'
        ' "job": [{"j": {"name": "${local.l}-$${y}", "group": [{"a": {}}, {"b": {"count": 2, "task": {"t": {"config": {"k": {"o": 1}}}}}}]}}]}'
    )
    found = parse_job(source, "f", Inputs())
    assert found["Name"] == "xa-${y}" and [one["Name"] for one in found["TaskGroups"]] == ["a", "b"]
    assert found["TaskGroups"][1]["Tasks"][0]["Config"] == {"k": {"o": 1}}
    for text, wanted in (
        ('{"job": {"a": {"wibble": 1}}}', 'f:1,16-24: Extraneous JSON object property; No argument or block type is named "wibble".'),
        ('{"job": {"a": }}', "f:1,15-16: Missing JSON value; A JSON value must start with a brace, a bracket, a number, a string, or a keyword."),
        ('\n{"job": {"a": {}}}', "f:2,1-2: Argument or block definition required; An argument or block definition is required here."),
        ("[]", "f:1,1-2: Argument or block definition required; An argument or block definition is required here."),
    ):  # fmt: skip
        with pytest.raises(HclError) as caught:
            parse_job(text, "f", Inputs())
        assert str(caught.value) == wanted


def test_canonical_jobs_are_filled_in() -> None:
    found = job('type = "batch"\nupdate { max_parallel = 3 }\ngroup "g" {\n  update { canary = 1 }\n  restart { attempts = 1 }\n'
                '  task "t" {\n    artifact {\n      source = "http://x/a/b.tgz"\n      mode = "file"\n    }\n    template { change_mode = "signal" }\n'
                '    resources { cores = 2 }\n  }\n}', canonical=True)  # fmt: skip
    group_ = found["TaskGroups"][0]
    task_ = group_["Tasks"][0]
    assert (found["Priority"], found["Region"], found["Namespace"], found["Datacenters"]) == (
        50,
        "global",
        "default",
        None,
    )
    assert (group_["Update"]["MaxParallel"], group_["Update"]["Canary"], group_["Count"], group_["Migrate"]) == (
        3,
        1,
        1,
        None,
    )
    assert (
        group_["ReschedulePolicy"]["DelayFunction"] == "constant"
        and group_["RestartPolicy"]["Interval"] == 24 * 3600 * 10**9
    )
    assert task_["RestartPolicy"]["Attempts"] == 1 and task_["Artifacts"][0]["RelativeDest"] == "local/b.tgz"
    assert task_["Templates"][0]["ChangeSignal"] == "SIGHUP" and (
        task_["Resources"]["CPU"],
        task_["Resources"]["Cores"],
    ) == (0, 2)
