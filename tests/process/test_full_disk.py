"""Disks filled by variables, versions and submissions: a clear refusal, reads go on, and so do writes once there is room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.process.servers import ServerProcess, cluster, small_job, wait_for
from tests.process.test_task_disasters import small_disk

pytestmark = pytest.mark.slow

DISK = "44m"  # room for two segments of the log, not for three
FULL = (
    "the disk has no space left for the log; nothing was written, reads go on: free some space",
    "the disks of most servers have no space left for the log; nothing was written, reads go on: free some space",
)
VERSIONS = "/v1/job/versioned/versions"
Write = Callable[[ServerProcess, str], tuple[int, Any]]


def random_text(characters: int) -> str:
    return os.urandom(characters // 2).hex()


class Writes:
    """What somebody writes who wants the disk full, and what of it was acknowledged."""

    def __init__(self) -> None:
        self.variables: dict[str, str] = {}
        self.sources: dict[str, str] = {}
        self.versions: dict[str, str] = {}  # tag → filler
        self.answers: list[tuple[int, Any]] = []

    def variable(self, server: ServerProcess, name: str) -> bool:
        text = random_text(60_000)
        return self._kept(server.request("PUT", f"/v1/var/{name}", {"Items": {"a": text}}), self.variables, name, text)

    def submission(self, server: ServerProcess, name: str) -> bool:
        text = random_text(900_000)
        body = small_job(name) | {"Submission": {"Source": text, "Format": "hcl2"}}
        return self._kept(server.request("PUT", "/v1/jobs", body), self.sources, name, text)

    def version(self, server: ServerProcess, name: str) -> bool:
        """A version that its tag keeps for good."""
        text = random_text(200_000)
        answer = server.request("PUT", "/v1/jobs", small_job("versioned", Meta={"filler": text}))
        if answer[0] == 200:
            answer = server.request("PUT", f"{VERSIONS}/{name}/tag", {"Version": len(self.versions)})
        return self._kept(answer, self.versions, name, text)

    def _kept(self, answer: tuple[int, Any], where: dict[str, str], name: str, text: str) -> bool:
        self.answers.append(answer)
        if answer[0] == 200:
            where[name] = text
        return answer[0] == 200

    @property
    def kinds(self) -> tuple[Callable[[ServerProcess, str], bool], ...]:
        return self.variable, self.submission, self.version

    def fill(self, servers: list[ServerProcess]) -> None:
        """Write all kinds through all servers until one is refused."""
        for number in range(1000):
            for kind in self.kinds:
                if not kind(servers[number % len(servers)], f"n{number}"):
                    return
        raise AssertionError(f"a disk of {DISK} gets full")

    def check(self, server: ServerProcess) -> None:
        """All that was acknowledged is there, and of variables and submissions nothing else."""
        shown = {one["Path"]: one for one in server.request("GET", "/v1/vars")[1]}
        assert set(shown) == set(self.variables)
        for name, text in self.variables.items():
            assert server.request("GET", f"/v1/var/{name}")[1]["Items"] == {"a": text}
        for name, text in self.sources.items():
            assert server.request("GET", f"/v1/job/{name}/submission?version=0")[1]["Source"] == text
        found = {one["VersionTag"]["Name"]: one["Meta"]["filler"] for one in tagged(server)}
        assert found == self.versions


def tagged(server: ServerProcess) -> list[dict[str, Any]]:
    return [one for one in server.request("GET", VERSIONS)[1]["Versions"] if one["VersionTag"]]


@contextmanager
def on_small_disks(directory: Path, size: int) -> Iterator[list[ServerProcess]]:
    """Servers that have a disk of their own each."""
    with ExitStack() as stack:
        for number in range(size):
            stack.enter_context(small_disk(directory / f"s{number + 1}/data", DISK))
        yield stack.enter_context(cluster(directory, size))


def disk_of(server: ServerProcess) -> Path:
    return server.directory / "data"


def take_the_rest(server: ServerProcess) -> None:
    """Not a byte is left on its disk."""
    with (disk_of(server) / "filler").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def make_room(server: ServerProcess) -> None:
    (disk_of(server) / "filler").unlink()
    subprocess.run(["mount", "-o", "remount,size=256m", str(disk_of(server))], check=True)


@pytest.mark.parametrize("size", [1, 3])
def test_full_disks_refuse_writes_with_a_reason_and_lose_nothing(tmp_path: Path, size: int) -> None:
    with on_small_disks(tmp_path, size) as servers:
        writes = Writes()
        writes.fill(servers)
        for server in servers:
            take_the_rest(server)
        for server in servers:
            for kind in writes.kinds:
                assert not kind(server, "refused")
                status, text = writes.answers[-1]
                assert status == 500 and text.removeprefix("rpc error: ") in FULL
            writes.check(server)
            assert server.is_running
        for server in servers:
            make_room(server)
        for server in servers:
            wait_for(lambda one=server: writes.variable(one, f"after-{one.name}"), 20, "writes go on by themselves")
            for kind in writes.kinds:
                assert kind(server, f"more-{server.name}")
        for server in servers:
            server.kill()
        for server in servers:
            server.start()
        for server in servers:
            writes.check(server.wait_ready())
