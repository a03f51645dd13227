"""Limits by cgroups, on a directory in place of the kernel's (spec node-agent §11)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.server.client.test_raw_exec import start_of
from tests.server.client.test_runners import asynchronous
from yurt.server.client.cgroups import Cgroups, weight_of
from yurt.server.client.drivers.raw_exec import RawExecDriver


@pytest.mark.parametrize(("shares", "weight"), [(0, 1), (2, 1), (1024, 39), (262_144, 10_000), (10**9, 10_000)])
def test_weights(shares: int, weight: int) -> None:
    assert weight_of(shares) == weight


def test_limits(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").touch()
    (made,) = Cgroups("nomad.slice", tmp_path).make("a.t", memory_bytes=1 << 20, cpu_shares=1024)
    path = Path(made)
    assert path == tmp_path / "nomad.slice/a.t.scope"
    found = {one.name: one.read_text() for one in path.iterdir()}
    assert found == {"memory.max": "1048576", "memory.swap.max": "0", "cpu.weight": "39", "pids.max": "4096"}
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+pids"


def test_limits_of_the_first_version(tmp_path: Path) -> None:
    for name in ("memory", "cpu"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cgroup.procs").touch()
    made = Cgroups("s", tmp_path).make("a.t", memory_bytes=1 << 20, cpu_shares=1)
    assert made == [str(tmp_path / name / "s/a.t.scope") for name in ("memory", "cpu")]
    found = {one.name: one.read_text() for path in made for one in Path(path).iterdir()}
    assert found == {"memory.limit_in_bytes": "1048576", "memory.memsw.limit_in_bytes": "1048576", "cpu.shares": "2"}


def test_machines_without(tmp_path: Path) -> None:
    assert Cgroups("nomad.slice", tmp_path).make("a.t", memory_bytes=1, cpu_shares=1) == []
    (tmp_path / "cgroup.controllers").touch()
    (tmp_path / "nomad.slice").touch()  # in the way
    assert Cgroups("nomad.slice", tmp_path).make("a.t", memory_bytes=1, cpu_shares=1) == []


@asynchronous
async def test_a_task_joins_its_group_and_an_end_for_its_memory_is_told(tmp_path: Path) -> None:
    root = tmp_path / "cgroup"
    root.mkdir()
    (root / "cgroup.controllers").touch()
    driver = RawExecDriver(enabled=True, cgroups=Cgroups("s", root))
    script = f"echo 'oom_kill 1' > {root}/s/a.t.scope/memory.events; kill -9 $$"
    handle = await driver.start(start_of(tmp_path, "/bin/sh", "-c", script, memory_bytes=1 << 20))
    ended = await handle.wait()
    assert (ended.exit_code, ended.oom_killed) == (137, True)
    assert (root / "s/a.t.scope/cgroup.procs").read_text() == "0"


@asynchronous
async def test_a_task_that_eats_memory_is_ended_by_the_kernel(tmp_path: Path) -> None:
    cgroups = Cgroups(f"yurt-test-{os.getpid()}.slice")
    handle = None
    try:
        if not any("memory" in path for path in cgroups.make("probe", memory_bytes=1 << 26, cpu_shares=0)):
            pytest.skip("this machine lets nobody limit memory")
        driver = RawExecDriver(enabled=True, cgroups=cgroups)
        script = "import sys; sys.stdout.write(str(len(bytearray(300_000_000))))"
        handle = await driver.start(start_of(tmp_path, sys.executable, "-c", script, memory_bytes=1 << 26))
        ended = await handle.wait()
        assert (ended.exit_code, ended.oom_killed) == (137, True)
    finally:
        cgroups.remove()
