"""Who did it: kept with versions, stops, reverts, children and scaling events, if the configuration asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.process.servers import ServerProcess, cluster, leader_of, single

JOB = {"TaskGroups": [{"Name": "g", "Count": 0, "Tasks": [{"Name": "t", "Driver": "mock_driver"}]}]}


def test_everything_that_changes_a_job_says_who(tmp_path: Path) -> None:
    block = {"enabled": True, "bootstrap_expect": 1, "record_authors": True}
    with single(tmp_path, server=block, acl={"enabled": True}) as server:
        root = server.request("PUT", "/v1/acl/bootstrap")[1]
        policy = {"Rules": 'namespace "default" { policy = "write" }'}
        headers = {"X-Nomad-Token": root["SecretID"]}
        assert server.request("PUT", "/v1/acl/policy/writer", {"Name": "writer", **policy}, headers=headers)[0] == 200
        token = server.request(
            "PUT", "/v1/acl/token", {"Name": "ann", "Type": "client", "Policies": ["writer"]}, headers=headers
        )[1]

        def ask(method: str, path: str, body: Any = None, secret: str = token["SecretID"]) -> Any:
            status, answer = server.request(method, path, body, headers={"X-Nomad-Token": secret})
            assert status == 200, answer
            return answer

        def by(job: dict[str, Any]) -> tuple[str, str, str]:
            author = job["SubmittedBy"]
            assert author["Time"] == job["SubmitTime"] or author["Time"] > 0
            return author["AccessorID"], author["Name"], author["Address"]

        ann, boss = (token["AccessorID"], "ann", "127.0.0.1"), (root["AccessorID"], "Bootstrap Token", "127.0.0.1")
        forged = {"ID": "web", **JOB, "SubmittedBy": {"Name": "somebody else"}}
        ask("PUT", "/v1/jobs", {"Job": forged})
        assert by(ask("GET", "/v1/job/web")) == ann, "what a client says of itself does not count"
        ask("POST", "/v1/job/web/scale", {"Count": 1, "Target": {"Group": "g"}, "Message": "more"}, root["SecretID"])
        event = ask("GET", "/v1/job/web/scale")["TaskGroups"]["g"]["Events"][0]
        assert event["By"]["Name"] == "Bootstrap Token"
        ask("POST", "/v1/job/web/revert", {"JobID": "web", "JobVersion": 0})
        ask("DELETE", "/v1/job/web", secret=root["SecretID"])
        versions = ask("GET", "/v1/job/web/versions?diffs=true")
        assert [by(one) for one in versions["Versions"]] == [boss, ann, boss, ann]
        assert all("SubmittedBy" not in str(diff) for diff in versions["Diffs"]), "it is no difference"
        ask("PUT", "/v1/jobs", {"Job": {"ID": "many", "Type": "batch", "ParameterizedJob": {}, **JOB}})
        child = ask("PUT", "/v1/job/many/dispatch", {}, root["SecretID"])["DispatchedJobID"]
        assert by(ask("GET", f"/v1/job/{child.replace('/', '%2F')}")) == boss
        again = ask(
            "PUT", "/v1/jobs", {"Job": {"ID": "many", "Type": "batch", "ParameterizedJob": {}, **JOB}}, root["SecretID"]
        )
        assert ask("GET", "/v1/job/many")["Version"] == 0 and again["EvalID"] == "", "who asks makes no new version"
        server.kill()
        server.start().wait_ready()
        assert by(ask("GET", "/v1/job/web")) == boss, "it is kept"


def test_nothing_is_said_unless_asked_for(tmp_path: Path) -> None:
    with single(tmp_path) as server:
        assert server.request("PUT", "/v1/jobs", {"Job": {"ID": "web", **JOB}})[0] == 200
        assert "SubmittedBy" not in server.request("GET", "/v1/job/web")[1]


@pytest.mark.slow
def test_the_address_is_the_one_that_was_seen_first(tmp_path: Path) -> None:
    with cluster(tmp_path, server={"record_authors": True}) as servers:
        leader = leader_of(servers)
        follower: ServerProcess = next(one for one in servers if one is not leader)
        assert follower.request("PUT", "/v1/jobs", {"Job": {"ID": "web", **JOB}})[0] == 200
        found = {one.request("GET", "/v1/job/web")[1]["SubmittedBy"]["Address"] for one in servers}
        assert found == {"127.0.0.1"}
