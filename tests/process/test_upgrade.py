"""A rolling upgrade: servers of two versions form one cluster, and no write is lost on the way."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from tests.process.servers import cluster, wait_for
from tests.process.test_membership import RetryingWriter
from yurt.fsm.commands import COMMAND_VERSION

ROOT = Path(__file__).resolve().parents[2]


def next_version(directory: Path) -> str:
    """A copy of the product that knows one more version of the log's vocabulary; its import path."""
    return of_version(directory, COMMAND_VERSION + 1)


def of_version(directory: Path, version: int) -> str:
    """A copy of the product that knows the log's vocabulary up to a version; its import path."""
    package = directory / f"version{version}" / "yurt"
    package.mkdir(parents=True)
    for name in ("__init__.py", "py.typed"):
        if (ROOT / "src/yurt" / name).exists():
            shutil.copy(ROOT / "src/yurt" / name, package / name)
    for room in ("fsm", "scheduler", "server", "deploy"):
        shutil.copytree(ROOT / room, package / room, ignore=shutil.ignore_patterns("__pycache__"))
    commands = package / "fsm/commands.py"
    text = commands.read_text()
    known = f"COMMAND_VERSION = {COMMAND_VERSION}\n"
    assert known in text
    commands.write_text(text.replace(known, f"COMMAND_VERSION = {version}\n"))
    init = package / "__init__.py"
    init.write_text(init.read_text().replace('__version__ = "', '__version__ = "9.'))
    return str(package.parent)


@pytest.mark.slow
def test_three_servers_are_upgraded_one_by_one_under_writes(tmp_path: Path) -> None:
    path = os.pathsep.join((next_version(tmp_path), os.environ.get("PYTHONPATH", "")))
    with cluster(tmp_path) as servers:
        writer = RetryingWriter(servers)
        writer.start()
        for server in servers:
            time.sleep(0.3)
            assert server.stop() == 0
            server.start(PYTHONPATH=path).wait_ready()
            assert server.request("GET", "/v1/agent/health?type=ready")[0] == 200
            assert server.request("GET", "/v1/agent/self")[1]["config"]["Version"]["Version"].startswith("9.")
        done = len(writer.acknowledged)
        wait_for(lambda: len(writer.acknowledged) > done + 20, 20, "writes on the new version")
        writer.ended.set()
        writer.join(20)
        for server in servers:
            stored = {job["ID"] for job in server.request("GET", "/v1/jobs")[1]}
            assert set(writer.acknowledged) <= stored
