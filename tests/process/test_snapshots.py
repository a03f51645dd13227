"""Saving, restoring, inspecting and recovering real servers with the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench.snapshot import archive
from tests.process.servers import ServerProcess, children, cluster, leader_of, single, small_job, wait_for


def yurt(*arguments: str, server: ServerProcess | None = None, code: int = 0) -> str:
    """The output of a command; its exit code is as it should be."""
    environment = {**os.environ, **({"YURT_ADDR": server.address} if server else {})}
    command = [sys.executable, "-m", "yurt.server.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def index_of(server: ServerProcess, job: str) -> Any:
    status, body = server.request("GET", f"/v1/job/{job}")
    return body["JobModifyIndex"] if status == 200 else status


@pytest.mark.slow
def test_a_snapshot_taken_through_one_follower_is_put_back_through_another(tmp_path: Path) -> None:
    file = tmp_path / "state.snap"
    with cluster(tmp_path) as servers:
        leader = leader_of(servers)
        one, other = (server for server in servers if server is not leader)
        kept = leader.request("PUT", "/v1/jobs", small_job("kept", Meta={"x": os.urandom(200_000).hex()}))
        assert kept[0] == 200
        assert f"State file written to {file}" in yurt("operator", "snapshot", "save", str(file), server=one)
        gone = leader.request("PUT", "/v1/jobs", small_job("gone"))[1]["JobModifyIndex"]
        assert "Snapshot Restored" in yurt("operator", "snapshot", "restore", str(file), server=other)
        for server in servers:
            assert index_of(server, "gone") == 404
            assert index_of(server, "kept") == kept[1]["JobModifyIndex"]
        again = other.request("PUT", "/v1/jobs", small_job("again"))[1]["JobModifyIndex"]
        assert again > gone + 1, "the index goes on above both"
        one.kill()
        one.start().wait_ready()
        assert (index_of(one, "gone"), index_of(one, "again")) == (404, again)
        damaged = bytearray(file.read_bytes())
        damaged[len(damaged) // 2] ^= 1
        file.write_bytes(damaged)
        assert "failed to restore from snapshot" in yurt(
            "operator", "snapshot", "restore", str(file), server=other, code=1
        )
        assert index_of(one, "again") == again


@pytest.mark.slow
def test_what_a_snapshot_holds_is_shown(tmp_path: Path) -> None:
    file = tmp_path / "state.snap"
    with single(tmp_path) as server:
        for number in range(5):
            server.request("PUT", "/v1/jobs", small_job(f"j{number}"))
        sizes = {row["Table"]: row for row in json.loads(yurt("operator", "state", "-json", server=server))}
        assert sizes["jobs"]["Rows"] == 5 and sizes["jobs"]["Bytes"] > 500
        assert "jobs" in yurt("operator", "state", server=server)
        yurt("operator", "snapshot", "save", str(file), server=server)
        shown = json.loads(yurt("operator", "snapshot", "inspect", "-json", str(file)))
        assert {row["Table"]: row["Rows"] for row in shown["Tables"]}["jobs"] == 5
        assert "Index" in yurt("operator", "snapshot", "inspect", str(file))
        state = json.loads(yurt("operator", "snapshot", "state", str(file)))
        assert [job["ID"] for job in state["jobs"]] == [f"j{number}" for number in range(5)]
        status, text = server.request("PUT", "/v1/operator/snapshot", "no snapshot")
        assert (status, text) == (
            500, "failed to restore from snapshot: failed to decompress snapshot: gzip: invalid header",
        )  # fmt: skip
        assert server.request("DELETE", "/v1/operator/snapshot")[0] == 405
        assert server.stop() == 0
        data = str(tmp_path / "data")
        assert "No damage." in yurt("operator", "raft", "inspect", data)
        segment = next((tmp_path / "data/server/raft/log").glob("*.log"))
        content = bytearray(segment.read_bytes())
        content[200] ^= 1
        segment.write_bytes(content)
        assert "cannot be used, byte" in yurt("operator", "raft", "inspect", data, code=1)
        server.start()
        assert server.process is not None and server.process.wait(20) == 1
        assert "yurt operator raft inspect" in server.log()


@pytest.mark.slow
def test_survivors_go_on_without_the_lost_majority(tmp_path: Path) -> None:
    with cluster(tmp_path, size=5) as servers:
        leader = leader_of(servers)
        acknowledged = {
            name: leader.request("PUT", "/v1/jobs", small_job(name))[1]["JobModifyIndex"]
            for name in (f"job-{number}" for number in range(20))
        }
        survivors = servers[:2]
        for server in servers:
            server.kill()
        identities = [(one.directory / "data/server/node-id").read_text().strip() for one in survivors]
        flags = [
            flag
            for identity, one in zip(identities, survivors, strict=True)
            for flag in ("-server", f"{identity}=127.0.0.1:{one.rpc_port}")
        ]
        for one in survivors:
            data = str(one.directory / "data")
            before = yurt("operator", "raft", "inspect", "-json", data)
            shown = yurt("operator", "raft", "recover", data, *flags)
            assert "Nothing was changed" in shown and shown.count("lost") >= 3
            assert yurt("operator", "raft", "inspect", "-json", data) == before
            assert "Done" in yurt("operator", "raft", "recover", data, *flags, "-yes")
        for one in survivors:
            one.start()
        for one in survivors:
            one.wait_ready()
            for name, index in acknowledged.items():
                assert index_of(one, name) == index
        peers = survivors[0].request("GET", "/v1/operator/raft/configuration")[1]["Servers"]
        assert sorted(peer["ID"] for peer in peers) == sorted(identities)
        assert survivors[1].request("PUT", "/v1/jobs", small_job("after"))[0] == 200


@pytest.mark.slow
def test_a_peers_file_is_carried_out_at_the_start(tmp_path: Path) -> None:
    with cluster(tmp_path, size=3) as servers:
        assert leader_of(servers).request("PUT", "/v1/jobs", small_job("kept"))[0] == 200
        wait_for(lambda: index_of(servers[0], "kept") != 404, 5, "replicated")
        for server in servers:
            server.kill()
        survivor = servers[0]
        raft = survivor.directory / "data/server/raft"
        identity = (survivor.directory / "data/server/node-id").read_text().strip()
        assert "recover" in (raft / "peers.info").read_text()
        (raft / "peers.json").write_text(json.dumps([{"id": identity, "address": f"127.0.0.1:{survivor.rpc_port}"}]))
        survivor.start().wait_ready()
        assert not (raft / "peers.json").exists()
        assert index_of(survivor, "kept") != 404
        assert survivor.request("PUT", "/v1/jobs", small_job("alone"))[0] == 200


@pytest.mark.slow
def test_a_kill_during_a_snapshot_leaves_no_child_and_nothing_locked(tmp_path: Path) -> None:
    saved = archive(tmp_path, 20_000)
    block = {"enabled": True, "bootstrap_expect": 1, "raft_snapshot_threshold": 20, "raft_snapshot_interval": "10ms"}
    with single(tmp_path / "server", server=block) as server:
        yurt("operator", "snapshot", "restore", str(saved), server=server)
        number = 0

        def forked() -> list[int]:
            nonlocal number
            number += 1
            assert server.process is not None
            server.request("PUT", "/v1/jobs", small_job(f"more-{number}"))
            return children(server.process.pid)

        left = wait_for(forked, 60, "a snapshot is being written")

        def holds_nothing() -> bool:
            """It closes what it inherited before it does anything else; it may be seen before that, and may end."""
            try:
                held = [str(path.readlink()) for path in Path(f"/proc/{left[0]}/fd").iterdir()]
            except FileNotFoundError:
                return True
            return not [one for one in held if "socket" in one or one.endswith("/lock")]

        wait_for(holds_nothing, 5, "the child has closed what is not its own")
        server.kill()
        server.start().wait_ready()
        wait_for(lambda: not any(Path(f"/proc/{one}").exists() for one in left), 5, "the child is gone")
        assert index_of(server, "more-1") != 404 and index_of(server, "job-0019999") != 404
