"""The public Go SDK as a black box: it deploys a job, reads its allocation and streams its log."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.process.servers import single, wait_for

SOURCE = Path(__file__).parent / "go_sdk"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built program; where there is no Go, or no way to its modules, there is nothing to test."""
    if shutil.which("go") is None:
        pytest.skip("go is not installed")
    built = tmp_path_factory.mktemp("go") / "sdk"
    ended = subprocess.run(
        ["go", "build", "-o", str(built), "."], cwd=SOURCE, capture_output=True, text=True, timeout=240, check=False,
        env={**os.environ, "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"},
    )  # fmt: skip
    if ended.returncode:
        pytest.skip(f"the SDK cannot be built here: {ended.stderr[-300:]}")
    return built


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_go_sdk_deploys_a_job_and_streams_its_log(program: Path, tmp_path: Path) -> None:
    plugin = {"raw_exec": {"config": {"enabled": True}}}
    with single(tmp_path, client={"enabled": True, "network_interface": "lo"}, plugin=plugin) as server:
        wait_for(
            lambda: [one for one in server.request("GET", "/v1/nodes")[1] if one["Status"] == "ready"], 20, "a node"
        )
        ended = subprocess.run(
            [program], env={**os.environ, "NOMAD_ADDR": f"http://127.0.0.1:{server.http_port}"}, capture_output=True,
            text=True, timeout=60, check=False,
        )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (0, "from go\nthe end\n"), ended.stderr
