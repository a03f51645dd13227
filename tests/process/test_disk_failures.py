"""A disk that stops working under a real server: it ends, and loses nothing acknowledged."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.process.servers import single, small_job


@pytest.mark.slow
def test_a_log_that_cannot_be_written_ends_the_server(tmp_path: Path) -> None:
    """The log directory is taken away: the next segment cannot be made."""
    where = tmp_path / "disk"
    where.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=80m", "tmpfs", str(where)], check=False, capture_output=True)
    if not os.path.ismount(where):
        pytest.skip("no tmpfs may be mounted here")
    try:
        with single(where) as server:
            acknowledged = server.request("PUT", "/v1/jobs", small_job("kept"))[1]["JobModifyIndex"]
            log = where / "data" / "server" / "raft" / "log"
            log.rename(log.with_name("gone"))
            for number in range(600):  # enough for the segment to be full and the next to be needed
                try:
                    status, body = server.request(
                        "PUT", "/v1/jobs", small_job(f"j{number}", Meta={"x": os.urandom(20_000).hex()})
                    )
                except OSError:
                    break
                if status != 200:
                    assert status == 500 and body
                    break
            else:
                pytest.fail("the server went on without its log")
            assert server.process is not None and server.process.wait(20) == 1
            assert "everything acknowledged is kept" in server.log()
            log.with_name("gone").rename(log)
            server.start().wait_ready()
            assert server.request("GET", "/v1/job/kept")[1]["JobModifyIndex"] == acknowledged
    finally:
        subprocess.run(["umount", "-l", str(where)], check=False)
