"""Namespaces, node pools and the tidying of the state on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.process.servers import ServerProcess, small_job, wait_for
from tests.server.cli.conftest import Ended

Yurt = Callable[..., Ended]
FreshId = Callable[[], str]


def test_a_namespaces_life(yurt: Yurt, fresh_id: FreshId, tmp_path: Path) -> None:
    name = fresh_id()
    ended = yurt("namespace", "apply", "-description", "for tests", name)
    assert (ended.code, ended.out) == (0, f'Successfully applied namespace "{name}"!\n')
    path = tmp_path / "space.hcl"
    path.write_text(
        f'name = "{name}"\nmeta {{ owner = "me" }}\ncapabilities {{\n  enabled_task_drivers = ["docker"]\n}}\n'
    )
    assert yurt("namespace", "apply", str(path)).code == 0
    assert yurt("namespace", "apply", "-description", "still here", name).code == 0
    shown = yurt("namespace", "status", name).out
    for line in ("Description          = still here", "EnabledDrivers       = docker", "DisabledDrivers      = <none>"):
        assert line in shown.splitlines()
    assert shown.endswith("Metadata\nowner = me\n"), "what is not given stays as it was"
    assert json.loads(yurt("namespace", "inspect", name).out)["Capabilities"]["EnabledTaskDrivers"] == ["docker"]
    assert [name, "still", "here"] in [line.split() for line in yurt("namespace", "list").out.splitlines()]
    assert yurt("namespace", "delete", name).out == f'Successfully deleted namespace "{name}"!\n'
    ended = yurt("namespace", "status", name)
    assert ended.code == 1 and "Namespace not found" in ended.err


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('nam = "x"', 'a namespace has no "nam"; known: name, description'),
        ('name = "x', "Error parsing file"),
        ("[1]", "Error parsing file"),
        ('{"Name": ', "Error parsing file"),
        ('{"Name": "a b"}', 'Invalid namespace "a b"'),
        ('capabilities { drivers = [] }', 'a namespace\'s capabilities has no "drivers"'),
    ],
)  # fmt: skip
def test_no_namespace(yurt: Yurt, text: str, error: str) -> None:
    ended = yurt("namespace", "apply", "-", stdin=text)
    assert ended.code == 1 and error in ended.err


def test_a_node_pools_life(yurt: Yurt, fresh_id: FreshId, tmp_path: Path) -> None:
    name = fresh_id()
    path = tmp_path / "pool.hcl"
    path.write_text(f'node_pool "{name}" {{\n  description = "fast ones"\n  meta {{ disk = "ssd" }}\n}}\n')
    ended = yurt("node", "pool", "apply", str(path))
    assert (ended.code, ended.out) == (0, f'Successfully applied node pool "{name}"!\n')
    shown = yurt("node", "pool", "info", name).out
    assert shown == f"Name        = {name}\nDescription = fast ones\n\nMetadata\ndisk = ssd\n"
    assert json.loads(yurt("node", "pool", "info", "-json", name).out)["Meta"] == {"disk": "ssd"}
    assert {"all", "default", name} <= {one["Name"] for one in json.loads(yurt("node", "pool", "list", "-json").out)}
    again = json.dumps({"Name": name, "Description": "slow ones"})
    assert yurt("node", "pool", "apply", "-json", "-", stdin=again).code == 0
    assert [name, "slow", "ones"] in [line.split() for line in yurt("node", "pool", "list").out.splitlines()]
    assert yurt("node", "pool", "delete", name).code == 0
    assert yurt("node", "pool", "delete", "default").code == 1
    assert yurt("node", "pool", "apply", "-", stdin='node_pool "a" {}\nnode_pool "b" {}').code == 1


def test_garbage_is_collected_on_demand(yurt: Yurt, fresh_id: FreshId, server: ServerProcess) -> None:
    job_id = fresh_id()
    assert server.request("PUT", "/v1/jobs", small_job(job_id, Type="batch"))[0] == 200
    wait_for(lambda: server.request("GET", f"/v1/job/{job_id}")[1]["Status"] == "dead", 10, "a dead job")
    assert yurt("system", "reconcile", "summaries") == (0, "", "")
    assert yurt("system", "gc") == (0, "", "")
    wait_for(lambda: server.request("GET", f"/v1/job/{job_id}")[0] == 404, 10, "the job is collected")


@pytest.mark.parametrize(
    "words", ["job tag", "job tag apply", "job periodic", "job periodic force", "job dispatch", "job scaling-events",
              "namespace", "namespace apply", "node pool", "node pool apply", "system", "system gc", "version"],
)  # fmt: skip
def test_every_command_has_help(yurt: Yurt, words: str) -> None:
    ended = yurt(*words.split(), "-h")
    assert ended.code == 0 and ended.out.startswith("Usage: ")


def test_wrong_usage_ends_with_1(yurt: Yurt) -> None:
    ended = yurt("namespace", "status")
    assert ended.code != 0 and "Missing argument" in ended.err
