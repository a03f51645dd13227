"""Existing clients against three real processes: python-nomad, and the project's own command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import nomad
import pytest

from tests.process.servers import ServerProcess, cluster, leader_of, small_job, wait_for


@pytest.mark.slow
def test_python_nomad_lives_a_jobs_life_on_three_servers(tmp_path: Path) -> None:
    with cluster(tmp_path) as servers:
        follower = next(server for server in servers if server is not leader_of(servers))
        client = nomad.Nomad(host="127.0.0.1", port=follower.http_port, timeout=20)
        answer = client.job.register_job("web", small_job("web", Type="service"))
        assert answer["EvalID"]
        assert "web" in client.jobs
        assert client.job.get_job("web")["Version"] == 0
        wait_for(lambda: client.evaluation.get_evaluation(answer["EvalID"])["Status"] == "complete", 10, "evaluated")

        client.job.register_job("web", small_job("web", Type="service", Priority=70))
        assert client.job.get_job("web")["Version"] == 1
        client.job.revert_job("web", 0)
        assert client.job.get_job("web")["Priority"] == 50

        scaling = {"Target": {"Group": "group"}, "Count": 0, "Message": "as small as before"}
        client.job.request("web", "scale", json=scaling, method="post")
        assert client.job.get_summary("web")["JobID"] == "web"
        assert len(client.job.get_versions("web")["Versions"]) == 4

        parent = small_job("parent", Type="batch", ParameterizedJob={"MetaRequired": ["who"]})
        client.job.register_job("parent", parent)
        child = client.job.dispatch_job("parent", meta={"who": "me"})["DispatchedJobID"]
        assert client.job.get_job(child)["ParentID"] == "parent"

        client.job.deregister_job("web")
        assert client.job.get_job("web")["Stop"] is True
        client.job.deregister_job("web", purge=True)
        with pytest.raises(nomad.api.exceptions.URLNotFoundNomadException):
            client.job.get_job("web")
        assert client.status.leader.get_leader().startswith("127.0.0.1:")
        assert len(client.agent.get_members()["Members"]) == 3


def yurt(server: ServerProcess, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "yurt.server.cli", *arguments],
        input=given, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "NOMAD_ADDR": server.address},
    )  # fmt: skip


def output(server: ServerProcess, *arguments: str, given: str = "") -> str:
    done = yurt(server, *arguments, given=given)
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    return done.stdout


@pytest.mark.slow
def test_the_command_line_lives_a_jobs_life_on_three_servers(tmp_path: Path) -> None:
    with cluster(tmp_path) as servers:
        server = servers[0]
        job: dict[str, Any] = small_job("web", Type="service")
        assert "complete" in output(server, "job", "run", "-", given=json.dumps(job))
        assert "web" in output(server, "status")
        assert "Task Group" in output(server, "job", "status", "web")
        assert json.loads(output(server, "job", "inspect", "web"))["Job"]["ID"] == "web"
        job["Job"]["Priority"] = 60
        output(server, "job", "run", "-detach", "-check-index", str(modify_index(server)), "-", given=json.dumps(job))
        assert yurt(server, "job", "run", "--check-index", "0", "-", given=json.dumps(job)).returncode == 1
        assert [v["Version"] for v in json.loads(output(server, "job", "history", "-json", "web"))] == [1, 0]
        output(server, "job", "revert", "web", "0")
        output(server, "job", "scale", "-detach", "web", "0")
        output(server, "job", "eval", "web")
        parent = small_job("parent", Type="batch", ParameterizedJob={"MetaOptional": ["who"]})
        output(server, "run", "-", given=json.dumps(parent))
        assert "parent/dispatch-" in output(server, "job", "dispatch", "-detach", "-meta", "who=me", "parent")
        output(server, "job", "stop", "-purge", "-detach", "web")
        assert yurt(server, "job", "inspect", "web").returncode == 1
        assert output(server, "server", "members").count("alive") == 3
        assert output(server, "operator", "raft", "list-peers").count("leader") == 1
        assert "Yurt v" in output(server, "-version")
        waiting = small_job("waiting", Type="service")
        waiting["Job"]["TaskGroups"][0]["Count"] = 1
        assert yurt(server, "job", "run", "-", given=json.dumps(waiting)).returncode == 2, "nothing found a place"


def modify_index(server: ServerProcess) -> int:
    index: int = server.request("GET", "/v1/job/web")[1]["JobModifyIndex"]
    return index


@pytest.mark.slow
def test_a_local_cluster_keeps_its_state(tmp_path: Path) -> None:
    """SIGTERM ends it, even where it was started with SIGINT ignored, as shells do for what runs behind them."""
    for known in ([], ["kept"]):
        process = subprocess.Popen(
            [sys.executable, "-m", "yurt.deploy.local_cluster", "3", str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        )
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(4)]
            address = lines[3].split("=")[1].strip()
            server = ServerProcess(tmp_path, "client", int(address.rsplit(":", 1)[1]), 0)
            assert [job["ID"] for job in server.request("GET", "/v1/jobs")[1]] == known
            assert server.request("PUT", "/v1/jobs", small_job("kept"))[0] == 200
        finally:
            process.terminate()
            process.wait(30)
