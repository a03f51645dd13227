"""A node whose disk is full, a task that eats memory, a driver from another package: through a real agent."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.process.servers import single, wait_for
from tests.process.test_tasks import Pair, job, pair

pytestmark = pytest.mark.slow


def small(job_id: str, script: str, **fields: Any) -> dict[str, Any]:
    """A job that wants hardly any disk."""
    made = job(job_id, script, LogConfig={"MaxFiles": 2, "MaxFileSizeMB": 1}, **fields)
    made["Job"]["TaskGroups"][0]["EphemeralDisk"] = {"SizeMB": 10}
    return made


@contextmanager
def small_disk(where: Path, size: str) -> Iterator[Path]:
    where.mkdir(parents=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(where)], check=False, capture_output=True
    )
    if not os.path.ismount(where):
        pytest.skip("no tmpfs may be mounted here")
    try:
        yield where
    finally:
        subprocess.run(["umount", "-l", str(where)], check=False)


def test_a_full_disk_under_the_agent(tmp_path: Path) -> None:
    """Tasks on it fail and say why, running ones and the agent go on, and all is well when there is room again."""
    with small_disk(tmp_path / "node", "64m") as disk, pair(tmp_path) as both:
        calm = both.run(small("calm", "exec sleep 300"))
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(b"x" * 4096)
        late = both.run(small("late", "exec sleep 300"))  # what needs no room runs
        payload = small("fat", "exec sleep 300", Templates=[{"EmbeddedTmpl": "x" * 100_000, "DestPath": "local/x"}])
        failed = both.run(payload, "failed")
        assert any("No space left on device" in event for event in both.events(failed))
        assert both.ask(f"/v1/allocation/{calm}")[1]["ClientStatus"] == "running"
        assert both.node.is_running and both.ask("/v1/nodes")[1][0]["Status"] == "ready"
        filler.unlink()
        both.run(small("after", "exec sleep 300"))
        time.sleep(2.5)  # what could not be written is written now
        before = {alloc: both.handle(alloc) for alloc in (calm, late)}
        both.node.kill()
        both.node.start()
        wait_for(lambda: both.node.answers("/v1/agent/self"), 20, "the agent again")
        for alloc, handle in before.items():
            assert both.ask(f"/v1/allocation/{alloc}")[1]["ClientStatus"] == "running"
            assert both.handle(alloc) == handle, "the very same processes"
            assert Path(f"/proc/{handle['supervisor']}").exists()


def test_a_task_that_fills_the_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "node", "64m"), pair(tmp_path) as both:
        calm = both.run(small("calm", "exec sleep 300"))
        greedy = both.run(small("greedy", "cat /dev/zero > local/all || exit 7", kind="batch"), "failed")
        assert any("Exit Code: 7" in event for event in both.events(greedy))
        assert both.ask(f"/v1/allocation/{calm}")[1]["ClientStatus"] == "running"
        assert both.ask("/v1/client/gc?node_id=" + both.ask("/v1/nodes")[1][0]["ID"])[0] == 200
        both.run(small("after", "exec sleep 300"))


def test_a_task_that_eats_memory(tmp_path: Path) -> None:
    if not any(
        os.access(path, os.W_OK)
        for path in ("/sys/fs/cgroup/memory/cgroup.procs", "/sys/fs/cgroup/cgroup.subtree_control")
    ):
        pytest.skip("this machine lets nobody limit memory")
    with pair(tmp_path) as both:
        calm = both.run(small("calm", "exec sleep 300"))
        script = f"exec {sys.executable} -c 'bytearray(400_000_000)'"
        hungry = small("hungry", script, kind="batch", Resources={"CPU": 10, "MemoryMB": 40})
        ended = both.run(hungry, "failed")
        told = both.ask(f"/v1/allocation/{ended}")[1]["TaskStates"]["t"]["Events"]
        assert [one["Details"]["oom_killed"] for one in told if one["Type"] == "Terminated"] == ["true"]
        assert both.ask(f"/v1/allocation/{calm}")[1]["ClientStatus"] == "running"


DRIVER = """
from yurt.server.client.drivers.mock import MockDriver


class Other(MockDriver):
    name = "other"


def make(config):
    assert config == {"greeting": "hi"}
    return Other()
"""


def test_a_driver_of_another_package(tmp_path: Path) -> None:
    """An installed package offers it as an entry point; its `plugin` block is handed over."""
    package = tmp_path / "installed"
    (package / "yurt_other-1.dist-info").mkdir(parents=True)
    (package / "yurt_other.py").write_text(DRIVER)
    (package / "yurt_other-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: yurt-other\nVersion: 1\n")
    (package / "yurt_other-1.dist-info/entry_points.txt").write_text("[yurt.drivers]\nother = yurt_other:make\n")
    with single(tmp_path / "server") as server:
        both = Pair(tmp_path, server)
        both.node.config["plugin"] = {"other": {"config": {"greeting": "hi"}}}
        try:
            both.node.start(PYTHONPATH=str(package))
            wait_for(lambda: both.ask("/v1/nodes")[1], 20, "a node")
            assert "other" in both.ask("/v1/nodes")[1][0]["Drivers"]
            both.run(small("strange", "", Driver="other", Config={"run_for": "1h"}))
        finally:
            both.node.end()
            both.end_tasks()


def test_meta_changes_while_the_node_runs(tmp_path: Path) -> None:
    with pair(tmp_path) as both:
        node = both.ask("/v1/nodes")[1][0]["ID"]
        path = f"/v1/client/metadata?node_id={node}"
        assert both.ask(path) == (200, {"Dynamic": None, "Meta": {}, "Static": {}})
        waiting = {
            **job("picky", "exec sleep 300")["Job"],
            "Constraints": [{"LTarget": "${meta.rack}", "RTarget": "r1", "Operand": "="}],
        }
        both.ask("/v1/jobs", "PUT", {"Job": waiting})
        changed = both.ask(path, "POST", {"Meta": {"rack": "r1", "a.b": "c"}})
        assert changed == (
            200,
            {"Dynamic": {"rack": "r1", "a.b": "c"}, "Meta": {"rack": "r1", "a.b": "c"}, "Static": {}},
        )
        both.until("picky", "running")
        assert both.ask(f"/v1/node/{node}")[1]["Meta"] == {"rack": "r1", "a.b": "c"}
        status, text = both.ask(path, "POST", {"Meta": {"a..b": "x"}})
        assert (status, text) == (400, '"a..b" is invalid; metadata keys must be valid dotted hcl identifiers')
        both.node.kill()
        both.node.start()
        wait_for(lambda: both.node.answers("/v1/agent/self"), 20, "the agent again")
        assert both.ask(path)[1]["Meta"] == {"rack": "r1", "a.b": "c"}
        assert both.ask(path, "POST", {"Meta": {"a.b": None}})[1]["Meta"] == {"rack": "r1"}
        assert both.ask(path, "PUT", {"Meta": {}})[0] == 405
