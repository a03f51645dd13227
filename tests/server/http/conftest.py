"""One real server for all tests of the API; each test makes jobs of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.process.servers import ServerProcess, free_ports

_numbers = count()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    directory: Path = tmp_path_factory.mktemp("api")
    http_port, rpc_port = free_ports(2)
    one = ServerProcess(directory, "api", http_port, rpc_port)
    try:
        yield one.start("-dev").wait_ready()
    finally:
        one.end()


@pytest.fixture
def fresh_id() -> Callable[[], str]:
    """Job IDs that no other test uses."""
    return lambda: f"job-{next(_numbers)}"
