"""The cluster secret on real servers: demanded, rotated, and taken up by a cluster that had none."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.process.servers import ServerProcess, cluster, free_ports, leader_of, single, small_job, wait_for
from tests.process.test_attacks_rpc import stranger
from tests.process.test_membership import RetryingWriter, newcomer, peers
from tests.process.test_wrapped_keys import kept

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
BEFORE = "484f224"  # the last commit whose servers know no secret
FIRST, SECOND = "the first secret of this cluster", "the second secret of this cluster"


def demands(server: ServerProcess) -> dict[str, str]:
    """What a server says of the secret: of itself its demand, of the others whether they proved it."""
    members = server.request("GET", "/v1/agent/members")[1]["Members"]
    return {member["Name"].partition(".")[0]: member["Tags"].get("cluster_secret", "") for member in members}


def is_required(server: ServerProcess) -> bool:
    found = demands(server)
    return found.pop(server.name) == "required" and set(found.values()) <= {"proved"}


def test_s5_a_stranger_without_the_secret_gets_nothing_and_a_server_with_it_joins(tmp_path: Path) -> None:
    with cluster(tmp_path, server={"cluster_secret": FIRST}, acl={"enabled": True}) as servers:
        management = servers[0].request("PUT", "/v1/acl/bootstrap")[1]["SecretID"]
        token = {"X-Nomad-Token": management}
        leader = leader_of(servers)
        with stranger(leader) as thief, pytest.raises((EOFError, OSError)):
            thief.greet()
        members = leader.request("GET", "/v1/operator/raft/configuration", headers=token)[1]["Servers"]
        with stranger(leader, members[0]["ID"]) as thief, pytest.raises((EOFError, OSError)):
            thief.greet()  # as a member, by its ID
        wait_for(lambda: "this cluster requires its secret" in leader.log(), 5, "a line in the log")

        outsider = newcomer(tmp_path / "s4", leader)
        insider = newcomer(tmp_path / "s5", leader)
        insider.name, insider.config["server"]["cluster_secret"] = "s5", FIRST
        try:
            outsider.start()
            wait_for(lambda: outsider.log().count("unauthorized raft connection"), 20, "the refusal is told to it")
            assert "requires its secret" in outsider.log()
            insider.start().wait_ready()
            listed = lambda: leader_of(servers).request("GET", "/v1/operator/raft/configuration", headers=token)[1]  # noqa: E731
            wait_for(lambda: len(listed()["Servers"]) == 4, 20, "the server with the secret is let in")
            names = {server["Node"] for server in listed()["Servers"]}
            assert names == {"s1.global", "s2.global", "s3.global", "s5.global"}
            assert not (tmp_path / "s4/data/server/raft/cluster.json").exists(), "it learned no configuration"
        finally:
            outsider.end()
            insider.end()


def hang_up(server: ServerProcess) -> None:
    """SIGHUP, and wait until it was carried out."""
    before = server.log().count("configuration read again")
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGHUP)
    wait_for(lambda: server.log().count("configuration read again") > before, 10, "the configuration to be read again")


def test_a_secret_is_rotated_while_the_cluster_works(tmp_path: Path) -> None:
    file = tmp_path / "secrets"
    file.write_text(f"{FIRST}\n")
    with cluster(tmp_path, server={"cluster_secret_file": str(file)}) as servers:
        for server in servers:
            wait_for(lambda server=server: is_required(server), 20, "the secret is required")
        writer = RetryingWriter(servers)
        writer.start()
        for secrets in (f"{FIRST}\n{SECOND}\n", f"{SECOND}\n{FIRST}\n", f"# the new one\n{SECOND}\n"):
            file.write_text(secrets)
            for server in servers:
                hang_up(server)
        for server in servers:
            wait_for(lambda server=server: is_required(server), 20, "all have proved the new one")
        done = len(writer.acknowledged)
        wait_for(lambda: len(writer.acknowledged) > done + 10, 20, "writes with the new secret")
        writer.ended.set()
        writer.join(20)
        file.write_text("short\n")
        assert servers[0].process is not None
        os.kill(servers[0].process.pid, signal.SIGHUP)
        wait_for(lambda: "was not read again" in servers[0].log(), 10, "a refusal in the log")
        file.write_text(f"{FIRST}\n")
        late = newcomer(tmp_path / "s4", servers[0])
        late.config["server"]["cluster_secret"] = FIRST
        try:
            late.start()
            wait_for(lambda: "cluster secrets of the two servers differ" in late.log(), 20, "the old secret is refused")
            assert len(peers(leader_of(servers))) == 3
        finally:
            late.end()


def sources_of(commit: str, directory: Path) -> str:
    """The product as it was at a commit; its import path. Skips where the history is not there."""
    git = shutil.which("git")
    known = git and subprocess.run([git, "cat-file", "-e", f"{commit}^{{commit}}"], cwd=ROOT, capture_output=True)
    if not git or not known or known.returncode:
        pytest.skip(f"this checkout does not have the commit {commit}")
    package = directory / "before"
    package.mkdir()
    archive = subprocess.run([git, "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(package)], input=archive, check=True)
    return str(package / "src")


@pytest.mark.parametrize(
    "encrypt", ["", "k5P9wyJd0PEyHr2FoYHYvO4HDIvkQHkq3YJVTHOQbXk="], ids=["without", "with encrypt"]
)
def test_a_cluster_of_the_version_before_is_upgraded_until_the_secret_is_required(tmp_path: Path, encrypt: str) -> None:
    before = sources_of(BEFORE, tmp_path)
    path = os.pathsep.join((before, os.environ.get("PYTHONPATH", "")))
    ports = free_ports(6)
    block = {
        "enabled": True, "bootstrap_expect": 3, "encrypt": encrypt,
        "server_join": {"retry_join": [f"127.0.0.1:{port}" for port in ports[3:]]},
    }  # fmt: skip
    servers = [
        ServerProcess(tmp_path / f"s{n + 1}", f"s{n + 1}", ports[n], ports[n + 3], server=dict(block)) for n in range(3)
    ]
    try:
        for server in servers:
            server.start(PYTHONPATH=path)
        for server in servers:
            server.wait_ready()
        writer = RetryingWriter(servers)
        writer.start()
        leader = leader_of(servers)
        for server in [*(one for one in servers if one is not leader), leader]:
            wait_for(lambda: writer.acknowledged, 20, "writes")
            assert server.stop() == 0
            if not encrypt:
                server.config["server"]["cluster_secret"] = FIRST
            server.start().wait_ready()
            assert server.request("GET", "/v1/agent/health?type=ready")[0] == 200
            if server is not leader:
                assert demands(server)[server.name] == "accepted", "a member has not proved it yet"
        for server in servers:
            wait_for(lambda server=server: is_required(server), 20, "the secret is required")
        wait_for(lambda: min(kept(servers, ".wrapped.json")) >= 1, 20, "the root key of the state is wrapped")
        wait_for(lambda: kept(servers, ".key.json") == [0, 0, 0], 20, "and in no open file")
        done = len(writer.acknowledged)
        wait_for(lambda: len(writer.acknowledged) > done + 10, 20, "writes when it is required")
        writer.ended.set()
        writer.join(20)
        for server in servers:
            stored = {job["ID"] for job in server.request("GET", "/v1/jobs")[1]}
            assert set(writer.acknowledged) <= stored
        assert not [text for text in writer.refusals if "No cluster leader" in text], "no time without a leader"
        with stranger(servers[0]) as thief, pytest.raises((EOFError, OSError)):
            thief.greet()
        back = servers[0]
        assert back.stop() == 0
        back.config["server"].pop("cluster_secret", None)  # which the version before does not know
        starts = back.log().count("agent started")
        back.start(PYTHONPATH=path)
        wait_for(lambda: back.log().count("agent started") > starts, 20, "the version before opens the directory")
        reason = "this cluster requires its secret"
        wait_for(lambda: any(reason in other.log() for other in servers[1:]), 20, "the others refuse it")
        answer = leader_of(servers[1:]).request("PUT", "/v1/jobs", small_job("without-it"))
        assert answer[0] == 200, answer
        assert not back.answers("/v1/jobs")
    finally:
        for server in servers:
            server.end()


def test_the_demand_outlives_a_restart_and_the_loss_of_the_secret_is_told(tmp_path: Path) -> None:
    with single(tmp_path, server={"enabled": True, "bootstrap_expect": 1, "cluster_secret": FIRST}) as server:
        assert demands(server) == {"one": "required"}, "a new server requires it from the start"
        assert server.stop() == 0
        server.config["server"] = {"enabled": True, "bootstrap_expect": 1}
        server.start()
        assert server.process is not None and server.process.wait(20) == 1
        assert "requires the cluster secret of the others, and it has none itself" in server.log()
        server.start(YURT_CLUSTER_SECRET=f"{SECOND},{FIRST}").wait_ready()


def agent(*flags: str, **config: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "yurt.server.cli", "agent", *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, **config)


def test_s5_access_control_beyond_loopback_needs_a_secret_or_tls(tmp_path: Path) -> None:
    data = tmp_path / "data"
    flags = ("-server", "-bootstrap-expect=1", f"-data-dir={data}", "-bind=0.0.0.0", "-acl-enabled")
    refused = agent(*flags)
    assert refused.returncode == 1
    assert 'server { cluster_secret = "' in refused.stderr and "tls { rpc = true }" in refused.stderr
    assert "allow_insecure_rpc = true" in refused.stderr
    assert not data.exists(), "nothing was begun"


def test_a_dev_server_makes_a_secret_of_its_own(tmp_path: Path) -> None:
    http_port, rpc_port = free_ports(2)
    server = ServerProcess(tmp_path, "dev", http_port, rpc_port)
    try:
        server.start("-dev").wait_ready()
        own = tmp_path / "data/server/cluster-secret"
        assert own.stat().st_mode & 0o777 == 0o600 and len(own.read_text().strip()) >= 32
        assert demands(server) == {"dev": "required"}
        with stranger(server) as thief, pytest.raises((EOFError, OSError)):
            thief.greet()
    finally:
        server.end()
