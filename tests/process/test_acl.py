"""Access control on real clusters: three servers, nodes of their own, python-nomad with tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jwt
import nomad
import pytest
from nomad.api.exceptions import BaseNomadException

from tests.process.servers import ServerProcess, cluster, free_ports, leader_of, single, small_job, wait_for
from tests.server.http.guarded import Guarded

READ = 'namespace "default" { policy = "read" }'
WRITE = 'namespace "default" { policy = "write" }'
ONE = {"Job": {"ID": "web", "TaskGroups": [{"Name": "g", "Count": 1, "Tasks": [
    {"Name": "t", "Driver": "mock_driver", "Config": {"run_for": "1h"}, "Resources": {"CPU": 10, "MemoryMB": 10}},
]}]}}  # fmt: skip
ON: dict[str, Any] = {"acl": {"enabled": True}}


def asked(server: ServerProcess, method: str, path: str, body: Any = None, secret: str = "") -> tuple[int, Any]:
    guarded = Guarded.__new__(Guarded)
    guarded.server = server
    return guarded.call(method, path, body, secret)


def holder(server: ServerProcess, management: str, name: str, rules: str) -> dict[str, Any]:
    body = {"Name": name, "Rules": rules}
    assert asked(server, "PUT", f"/v1/acl/policy/{name}", body, management)[0] == 200
    made: dict[str, Any] = asked(
        server, "PUT", "/v1/acl/token", {"Type": "client", "Policies": [name]}, management
    )[1]  # fmt: skip
    return made


@pytest.mark.slow
def test_python_nomad_with_tokens_on_three_servers(tmp_path: Path) -> None:
    with cluster(tmp_path, **ON) as servers:
        leader = leader_of(servers)
        follower = next(one for one in servers if one is not leader)
        management = asked(follower, "PUT", "/v1/acl/bootstrap")[1]["SecretID"]
        reader = holder(follower, management, "reader", READ)
        writer = holder(leader, management, "writer", WRITE)["SecretID"]

        def api(server: ServerProcess, secret: str | None) -> nomad.Nomad:
            return nomad.Nomad(host="127.0.0.1", port=server.http_port, token=secret)

        for server in servers:
            with pytest.raises(BaseNomadException):
                api(server, None).jobs.get_jobs()
        api(follower, writer).job.register_job("web", small_job("web"))
        for server in servers:  # each of them knows the tokens, and what was written, at once
            assert [one["ID"] for one in api(server, reader["SecretID"]).jobs.get_jobs()] == ["web"]
        with pytest.raises(BaseNomadException):
            api(follower, reader["SecretID"]).job.deregister_job("web")
        names = [one["Name"] for one in api(follower, management).acl.get_policies()]
        assert names == ["reader", "writer"]
        api(follower, management).acl.delete_token(reader["AccessorID"])
        for server in servers:
            with pytest.raises(BaseNomadException):
                api(server, reader["SecretID"]).jobs.get_jobs()
        leader.kill()
        left = [one for one in servers if one is not leader]
        wait_for(lambda: asked(left[0], "GET", "/v1/jobs", None, writer)[0] == 200, 20, "a new leader")
        assert asked(left[1], "PUT", "/v1/jobs", small_job("more"), writer)[0] == 200
        assert asked(left[1], "PUT", "/v1/jobs", small_job("more"), "")[0] == 403


@pytest.mark.slow
def test_a_node_shows_an_introduction_and_asks_who_asks(tmp_path: Path) -> None:
    with single(tmp_path / "server", **ON) as server:
        management = asked(server, "PUT", "/v1/acl/bootstrap")[1]["SecretID"]
        introduction = holder(server, management, "nodes", 'node { policy = "write" }')["SecretID"]
        block = {"enabled": True, "servers": [f"127.0.0.1:{server.http_port}"]}
        ports = free_ports(4)
        stranger = ServerProcess(tmp_path / "n1", "stranger", ports[0], ports[1], client=block)
        known = ServerProcess(
            tmp_path / "n2", "known", ports[2], ports[3], client={**block, "introduction_token": introduction}
        )
        try:
            stranger.start()
            known.start()

            def nodes() -> list[str]:
                return [one["Name"] for one in asked(server, "GET", "/v1/nodes", None, management)[1]]

            wait_for(lambda: nodes() == ["known"], 20, "the introduced node")
            wait_for(lambda: "introduction_token" in stranger.log(10**6), 20, "the refusal in the stranger's log")
            assert asked(server, "PUT", "/v1/jobs", ONE, management)[0] == 200

            def running() -> Any:
                found = asked(server, "GET", "/v1/allocations", None, management)[1]
                return found and found[0]["ClientStatus"] == "running" and found[0]["ID"]

            alloc = wait_for(running, 20, "a running allocation")
            reader = holder(server, management, "files", 'namespace "default" { capabilities = ["read-fs"] }')
            path = f"/v1/client/fs/ls/{alloc}?path=/"
            for agent in (server, known):  # by way of the server, and directly
                assert asked(agent, "GET", path) == (403, "Permission denied")
                assert asked(agent, "GET", path, None, introduction) == (403, "Permission denied")
                assert asked(agent, "GET", path, None, reader["SecretID"])[0] == 200
                assert asked(agent, "GET", "/v1/client/stats", None, reader["SecretID"])[0] in (400, 403)
            assert asked(known, "GET", "/v1/client/stats", None, introduction)[0] == 200
            assert nodes() == ["known"]
        finally:
            stranger.end()
            known.end()


@pytest.mark.slow
def test_a_task_shows_who_it_is(tmp_path: Path) -> None:
    with single(
        tmp_path / "server", **ON, client={"enabled": True}, plugin={"raw_exec": {"config": {"enabled": True}}}
    ) as server:
        management = asked(server, "PUT", "/v1/acl/bootstrap")[1]["SecretID"]
        script = 'echo "$NOMAD_TOKEN"; cat "$NOMAD_SECRETS_DIR/nomad_token"; echo; stat -c %a "$NOMAD_SECRETS_DIR/nomad_token"; sleep 300'
        task = {
            "Name": "t", "Driver": "raw_exec", "Config": {"command": "sh", "args": ["-c", script]},
            "Identity": {"Env": True, "File": True}, "Resources": {"CPU": 10, "MemoryMB": 10},
        }  # fmt: skip
        body = {"Job": {"ID": "who", "TaskGroups": [{"Name": "g", "Count": 1, "Tasks": [task]}]}}
        wait_for(lambda: asked(server, "GET", "/v1/nodes", None, management)[1], 20, "a node")
        assert asked(server, "PUT", "/v1/jobs", body, management)[0] == 200
        own, other = "/v1/var/nomad/jobs/who", "/v1/var/nomad/jobs/else"
        for path in (own, other):
            assert asked(server, "PUT", path, {"Items": {"k": "v"}}, management)[0] == 200

        def said() -> list[str]:
            found = asked(server, "GET", "/v1/allocations", None, management)[1]
            if not found or found[0]["ClientStatus"] != "running":
                return []
            path = f"/v1/client/fs/logs/{found[0]['ID']}?task=t&type=stdout&plain=true"
            lines = str(asked(server, "GET", path, None, management)[1]).split()
            return lines if len(lines) == 3 else []

        in_env, in_file, mode = wait_for(said, 30, "the task's identity in its log")
        assert in_env.count(".") == 2 == in_file.count(".") and mode == "600"
        for identity in (in_env, in_file):
            assert asked(server, "GET", own, None, identity)[1]["Items"] == {"k": "v"}
            assert asked(server, "GET", "/v1/services", None, identity)[0] == 200
            assert asked(server, "GET", other, None, identity) == (403, "Permission denied")
            assert asked(server, "PUT", own, {"Items": {"k": "w"}}, identity) == (403, "Permission denied")
            assert asked(server, "GET", "/v1/jobs", None, identity) == (403, "Permission denied")
        keys = asked(server, "GET", "/.well-known/jwks.json")[1]["keys"]
        assert jwt.get_unverified_header(in_env)["kid"] in [one["kid"] for one in keys]
        assert asked(server, "DELETE", "/v1/job/who", None, management)[0] == 200
        wait_for(
            lambda: asked(server, "GET", own, None, in_env)[0] == 403, 20, "the identity's end with its allocation"
        )
