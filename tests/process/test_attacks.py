"""Somebody attacks, and ordinary requests go on; the figures are `python -m tests.bench.attacks`."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.attacks import ATTACKS, IDLE, under
from tests.bench.product import resident_mb
from tests.process.servers import single, small_job

GROWN_MB_MAX = 400  # 10,000 connections take about 10 KB each, requests in work what they have sent
FILES_WANTED = IDLE + 500


@pytest.fixture
def files() -> Iterator[None]:
    """As many open files as this process, and the server that it starts, may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("name", ATTACKS)
def test_a_server_under_attack_answers(tmp_path: Path, name: str) -> None:
    if name == "idle" and resource.getrlimit(resource.RLIMIT_NOFILE)[0] < FILES_WANTED:
        pytest.skip(f"{FILES_WANTED} open files are not permitted here")
    with single(tmp_path, limits={"http_max_conns_per_client": 0}) as server:
        for number in range(50):
            assert server.request("PUT", "/v1/jobs", small_job(f"job-{number}"))[0] == 200
        assert server.request("PUT", "/v1/jobs", small_job("read-me"))[0] == 200
        before = resident_mb(server)
        did, noticed = under(ATTACKS[name], server, seconds=2.0)
        assert did, "the attack was carried out"
        worst = float(noticed.partition("worst ")[2].partition(" ms")[0])
        assert worst < 10_000, noticed
        assert server.request("PUT", "/v1/jobs", small_job("afterwards"))[0] == 200
        assert resident_mb(server) - before < GROWN_MB_MAX
        assert "Traceback" not in server.log()
