"""Root keys of whole clusters on virtual time: which server lacks which, and what is said about it."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path
from typing import Any

import pytest

from yurt.server.keyring.keyring import RETRY_SECONDS_MAX, Keyring
from yurt.server.keyring.keystore import Keystore
from yurt.server.testing.agent import wait_for
from yurt.server.testing.simulation.replaced_disks import (
    check_variables,
    may_lose_one,
    replace_disk,
    write_variables,
)
from yurt.server.testing.virtual.server import VirtualServer
from yurt.testing import Cluster

ITEMS = {"password": "p"}


def virtual(cluster: Cluster) -> list[VirtualServer]:
    """The cluster's servers."""
    return [server for server in cluster.servers if isinstance(server, VirtualServer)]


def test_s22_a_lost_root_key_is_seen_in_health_and_by_every_list() -> None:
    with Cluster(3, in_process=True, seed=1) as cluster:
        servers = virtual(cluster)
        assert servers[0].request("PUT", "/v1/var/a", {"Items": ITEMS})[0] == 200
        (key,) = servers[0].request("GET", "/v1/operator/keyring/keys")[1]
        cluster.clock.sleep(5)
        assert cluster.leader().request("GET", "/v1/operator/autopilot/health")[1]["FailureTolerance"] == 1
        keystores = [server.directory / "server/keystore" for server in servers]
        kept = keystores[0].rename(keystores[0].with_name("kept"))
        for server, keystore in zip(servers, keystores, strict=True):
            shutil.rmtree(keystore, ignore_errors=True)
            server.kill()
        for server in servers:
            server.start()
        for server in servers:
            server.wait_ready()
            status, told = server.request("GET", "/v1/agent/health?type=ready")
            assert status == 500 and key["KeyID"] in told["server"]["message"]
        status, health = cluster.leader().request("GET", "/v1/operator/autopilot/health")
        assert (status, health["Healthy"], health["FailureTolerance"]) == (429, False, 0)
        assert {row["Name"]: row["MissingKeys"] for row in health["Servers"]} == {
            f"{server.name}.global": [key["KeyID"]] for server in servers
        }
        peers = servers[0].request("GET", "/v1/operator/raft/configuration")[1]["Servers"]
        assert [row["MissingKeys"] for row in peers] == [[key["KeyID"]]] * 3
        told = servers[1].request("GET", "/v1/operator/keyring/servers")[1]
        assert [(row["Name"], row["MissingKeys"]) for row in told] == [(one.name, [key["KeyID"]]) for one in servers]

        kept.rename(keystores[0])
        cluster.restart(servers[0])
        cluster.clock.sleep(5)
        status, health = cluster.leader().request("GET", "/v1/operator/autopilot/health")
        assert (status, health["Healthy"], health["FailureTolerance"]) == (200, True, 1)
        assert "MissingKeys" not in health["Servers"][0]
        for server in servers:
            assert server.request("GET", "/v1/agent/health?type=ready")[0] == 200
            assert server.request("GET", "/v1/var/a")[1]["Items"] == ITEMS


def test_s22_every_disk_is_replaced_in_turn_and_variables_stay() -> None:
    config = {
        "server": {"raft_snapshot_threshold": 10, "raft_trailing_logs": 3, "raft_snapshot_interval": "1s"},
        "autopilot": {"server_stabilization_time": "1s"},
    }
    with Cluster(3, in_process=True, seed=2, config=config) as cluster:
        servers = virtual(cluster)
        write_variables(servers)
        for number in range(20):
            assert servers[0].request("PUT", f"/v1/var/n{number}", {"Items": ITEMS})[0] == 200
        for _ in range(2):
            for server in sorted(servers, key=lambda one: one is not cluster.leader()):  # the leader first
                while not may_lose_one(servers):
                    cluster.clock.sleep(1.0)
                    assert cluster.clock.now() < 600, cluster.report()
                assert replace_disk(servers, server)
        check_variables(servers)
        assert servers[1].request("GET", "/v1/var/n7?stale")[1]["Items"] == ITEMS


def test_a_leader_that_cannot_unwrap_says_so_and_lets_another_one_lead(tmp_path: Path) -> None:
    kek = tmp_path / "kek"
    right, wrong = (base64.b64encode(letter * 32) for letter in (b"r", b"w"))
    kek.write_bytes(right)
    config = {"server": {"key_encryption_keys": [f"file:{kek}"]}}
    with Cluster(3, in_process=True, seed=3, config=config) as cluster:
        servers = virtual(cluster)
        assert servers[0].request("PUT", "/v1/var/a", {"Items": ITEMS})[0] == 200
        kek.write_bytes(wrong)
        cluster.restart(servers[0])
        kek.write_bytes(right)
        status, told = servers[0].request("GET", "/v1/agent/health?type=ready")
        assert status == 500 and "key-encryption keys that this server does not have" in told["server"]["message"]
        assert "root keys cannot be used: this server is not ready" in servers[0].log()
        cluster.clock.sleep(5)
        others = [server for server in servers if server is not servers[0]]
        address = next(row["Address"] for row in peers(servers[1]) if row["Node"] == "server1.global")
        status, _ = servers[1].request("PUT", f"/v1/operator/raft/transfer-leadership?address={address}")
        assert status == 200
        cluster.clock.sleep(8)
        assert cluster.leader() in others
        health = cluster.leader().request("GET", "/v1/operator/autopilot/health")[1]
        assert (health["FailureTolerance"], health["Healthy"]) == (0, False)
        assert [row["Node"] for row in peers(servers[2]) if "MissingKeys" in row] == ["server1.global"]
        status, text = cluster.leader().request("PUT", "/v1/operator/keyring/rewrap")
        assert status == 500 and "on 2 of 3 servers" in text
        cluster.restart(servers[0])
        assert servers[0].request("GET", "/v1/agent/health?type=ready")[0] == 200
        assert servers[0].request("GET", "/v1/var/a?stale")[1]["Items"] == ITEMS


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Keyring]:
    """The looks of all servers at their keys."""
    looks: list[Keyring] = []
    look = Keyring._look_after

    async def counts(self: Keyring) -> bool:
        looks.append(self)
        return await look(self)

    monkeypatch.setattr(Keyring, "_look_after", counts)
    return looks


def test_a_key_whose_files_cannot_be_removed_is_removed_later_and_the_server_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    remove, calls = Keystore.remove, []

    def fails_twice(self: Keystore, key_id: str) -> None:
        calls.append(key_id)
        if len(calls) <= 2:
            raise OSError(30, "Read-only file system")
        remove(self, key_id)

    with Cluster(1, in_process=True, seed=4) as cluster:
        (server,) = virtual(cluster)
        keystore = server.directory / "server/keystore"
        assert server.request("PUT", "/v1/var/a", {"Items": ITEMS})[0] == 200
        (first,) = server.request("GET", "/v1/operator/keyring/keys")[1]
        assert server.request("PUT", "/v1/operator/keyring/rotate?full=true")[0] == 200
        monkeypatch.setattr(Keystore, "remove", fails_twice)
        assert server.request("DELETE", f"/v1/operator/keyring/key/{first['KeyID']}")[0] == 200
        assert server.is_running
        wait_for(lambda: not list(keystore.glob(f"{first['KeyID']}*")), 30, "its files are gone", cluster.clock)
        assert calls == [first["KeyID"]] * 3
        assert "a root key cannot be removed from disk" in server.log()


def test_a_server_that_lacks_a_key_looks_less_and_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    with Cluster(1, in_process=True, seed=5) as cluster:
        (server,) = virtual(cluster)
        server.kill()
        keystore = server.directory / "server/keystore"
        kept = keystore.rename(keystore.with_name("kept"))
        server.start()
        server.wait_ready()
        looks = counted(monkeypatch)
        cluster.clock.sleep(120)
        assert 120 / RETRY_SECONDS_MAX <= len(looks) <= 120 / RETRY_SECONDS_MAX + 10
        kept.rename(keystore)
        cluster.clock.sleep(RETRY_SECONDS_MAX + 1)
        assert server.request("GET", "/v1/agent/health?type=ready")[0] == 200
        looks.clear()
        cluster.clock.sleep(120)
        assert looks == []


def test_a_key_is_published_on_time_without_looking_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    with Cluster(1, in_process=True, seed=6) as cluster:
        (server,) = virtual(cluster)
        assert server.request("PUT", "/v1/var/a", {"Items": ITEMS})[0] == 200
        looks = counted(monkeypatch)
        due = server.wall_clock_ns() + 100 * 10**9
        assert server.request("PUT", f"/v1/operator/keyring/rotate?publish_time={due}")[0] == 200

        def states() -> list[str]:
            return sorted(key["State"] for key in server.request("GET", "/v1/operator/keyring/keys")[1])

        cluster.clock.sleep(98)
        assert states() == ["active", "prepublished"]
        assert len(looks) < 5
        cluster.clock.sleep(4)
        assert states() == ["active", "inactive"]


def peers(server: VirtualServer) -> list[dict[str, Any]]:
    """The servers of Raft's configuration, as one of them shows it."""
    found: list[dict[str, Any]] = server.request("GET", "/v1/operator/raft/configuration")[1]["Servers"]
    return found
