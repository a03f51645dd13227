"""The pytest plugin: fixtures `yurt_server`, `yurt`, `yurt_cluster` and `yurt_clock` (docs/testing.md).

Loaded by pytest through its entry point; it starts nothing until a test asks for a fixture. Under pytest-xdist each
worker has a server of its own.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from yurt.server.testing.agent import ClusterError
from yurt.server.testing.client import Api, Refused
from yurt.server.testing.cluster import Cluster


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options: how many servers `yurt_server` has, and where clusters keep their files."""
    group = parser.getgroup("yurt", "clusters of Yurt")
    group.addoption("--yurt-servers", type=int, default=1, help="servers behind the `yurt_server` fixture (1)")
    group.addoption("--yurt-keep", default="", metavar="DIR", help="keep the clusters' files below DIR")


def _directory(config: pytest.Config, name: str) -> Path | None:
    kept: str = config.getoption("--yurt-keep")
    return Path(kept) / f"{name}-{uuid.uuid4().hex[:8]}" if kept else None


@pytest.fixture(scope="session")
def yurt_server(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """One cluster for all tests of this run: `.address`, `.env()`, `.api()`."""
    servers: int = request.config.getoption("--yurt-servers")
    with Cluster(servers, directory=_directory(request.config, "session"), faults=False) as cluster:
        yield cluster


@dataclass(frozen=True)
class Yurt:
    """A fresh namespace on the session's cluster."""

    cluster: Cluster
    namespace: str
    api: Api

    @property
    def address(self) -> str:
        """The HTTP address of a server."""
        return self.cluster.address

    def env(self) -> dict[str, str]:
        """Environment variables that point the ecosystem's tools at this namespace."""
        return {**self.cluster.env(), "NOMAD_NAMESPACE": self.namespace, "YURT_NAMESPACE": self.namespace}


@pytest.fixture
def yurt(yurt_server: Cluster) -> Iterator[Yurt]:
    """A namespace of the test's own; its jobs are purged afterwards."""
    namespace = f"test-{uuid.uuid4().hex[:12]}"
    admin = yurt_server.api()
    admin.ask("PUT", "/v1/namespace", {"Name": namespace})
    api = yurt_server.api(namespace=namespace)
    try:
        yield Yurt(yurt_server, namespace, api)
    finally:
        for job in api.jobs():
            api.stop(job["ID"], purge=True)
        with contextlib.suppress(Refused):  # something in it still ends; nobody else uses the name
            admin.ask("DELETE", f"/v1/namespace/{namespace}", seconds=2.0)


@dataclass(frozen=True)
class TestClock:
    """The time of the test's clusters that live in this process (`yurt_cluster(in_process=True)`)."""

    __test__ = False  # no class of tests
    _clusters: list[Cluster]

    def _virtual(self) -> list[Cluster]:
        found = [one for one in self._clusters if one.is_in_process]
        if not found:
            raise ClusterError("no cluster lives on virtual time yet: make one with yurt_cluster(in_process=True)")
        return found

    def now(self) -> float:
        """Seconds since the newest cluster was made."""
        return self._virtual()[-1].clock.now()

    def advance(self, seconds: float) -> None:
        """Everything that is due in the next so many seconds happens now, in each of the clusters."""
        for cluster in self._virtual():
            cluster.clock.sleep(seconds)


@pytest.fixture
def _yurt_clusters() -> list[Cluster]:
    """The clusters that this test has made."""
    return []


@pytest.fixture
def yurt_clock(_yurt_clusters: list[Cluster]) -> TestClock:
    """Virtual time passes when it is told to: `yurt_clock.advance(3600)`."""
    return TestClock(_yurt_clusters)


@pytest.fixture
def yurt_cluster(request: pytest.FixtureRequest, _yurt_clusters: list[Cluster]) -> Iterator[Callable[..., Cluster]]:
    """A factory of clusters that can be broken: `yurt_cluster(servers=3)`; they end with the test.

    When the test fails its report has a section with the faults and the servers' logs.
    """
    made = _yurt_clusters

    def make(servers: int = 3, **options: Any) -> Cluster:
        options.setdefault("directory", _directory(request.config, request.node.name))
        cluster = Cluster(servers, **options)
        made.append(cluster)
        return cluster.start()

    yield make
    failed = getattr(request.node, "yurt_failed", False)
    for cluster in made:
        if failed:
            request.node.add_report_section("teardown", "yurt", cluster.report())
        cluster.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Remember that the test failed, so that its clusters tell what they know."""
    report: pytest.TestReport = yield  # type: ignore[assignment]  # pluggy sends the hook's result in
    if report.when == "call" and report.failed:
        item.yurt_failed = True  # type: ignore[attr-defined]
    return report  # type: ignore[return-value]


__all__ = ["TestClock", "Yurt", "yurt", "yurt_clock", "yurt_cluster", "yurt_server"]
