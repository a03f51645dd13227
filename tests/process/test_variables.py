"""Variables on three servers: keys on every disk, nothing in plain text, leaders killed (spec cluster §12)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.process.servers import cluster, leader_of, wait_for

SECRET = "a-secret-that-nobody-should-find"


@pytest.mark.slow
def test_every_server_can_read_and_no_disk_tells(tmp_path: Path) -> None:
    with cluster(tmp_path, server={"raft_snapshot_threshold": 20, "raft_snapshot_interval": "1s"}) as servers:
        leader = leader_of(servers)
        follower = next(one for one in servers if one is not leader)
        assert follower.request("PUT", "/v1/var/app/db", {"Items": {"password": SECRET}})[0] == 200
        for server in servers:
            assert server.request("GET", "/v1/var/app/db")[1]["Items"] == {"password": SECRET}
        keystores = [one.directory / "data/server/keystore" for one in servers]
        wait_for(lambda: all(len(list(path.glob("*.json"))) == 1 for path in keystores), 10, "the key on every disk")
        assert len({next(path.glob("*.json")).read_bytes() for path in keystores}) == 1
        leader.kill()
        left = [one for one in servers if one is not leader]
        wait_for(lambda: left[0].request("GET", "/v1/var/app/db")[0] == 200, 20, "a new leader")
        for number in range(40):
            assert left[1].request("PUT", f"/v1/var/app/n{number}", {"Items": {"password": SECRET}})[0] == 200
        assert left[0].request("PUT", "/v1/operator/keyring/rotate?full=true")[0] == 200
        assert left[0].request("GET", "/v1/var/app/db")[1]["Items"] == {"password": SECRET}
        leader.start().wait_ready()
        wait_for(lambda: len(list(keystores[servers.index(leader)].glob("*.json"))) == 2, 15, "the new key here too")
        assert leader.request("GET", "/v1/var/app/n7")[1]["Items"] == {"password": SECRET}

        def snapshots() -> bool:
            return any((one.directory / "data/server/raft/snapshots").glob("*") for one in servers)

        wait_for(snapshots, 15, "a snapshot")
    files = [path for one in servers for path in (one.directory / "data").rglob("*") if path.is_file()]
    assert files and not [path for path in files if SECRET.encode() in path.read_bytes()]


@pytest.mark.slow
def test_a_new_key_needs_most_servers(tmp_path: Path) -> None:
    with cluster(tmp_path) as servers:
        leader = leader_of(servers)
        assert leader.request("PUT", "/v1/var/a", {"Items": {"k": "v"}})[0] == 200
        others = [one for one in servers if one is not leader]
        others[0].kill()
        assert leader.request("PUT", "/v1/operator/keyring/rotate")[0] == 200  # two of three keep it
        assert leader.request("PUT", "/v1/var/a", {"Items": {"k": "w"}})[0] == 200
        leader.kill()
        others[0].start().wait_ready()
        for server in others:
            wait_for(lambda one=server: one.request("GET", "/v1/var/a")[0] == 200, 20, "the key fetched")
            assert server.request("GET", "/v1/var/a")[1]["Items"] == {"k": "w"}
