"""Tokens, roles and policies as their users meet them, over HTTP (spec acl §3–§7)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.process.servers import ServerProcess
from tests.server.http.guarded import Guarded, guarded_server

READ = 'namespace "default" { policy = "read" }'


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with guarded_server(tmp_path_factory.mktemp("acl"), token_min_expiration_ttl="1s") as one:
        yield one


def policy(guarded: Guarded, name: str, rules: str) -> None:
    assert guarded.call("PUT", f"/v1/acl/policy/{name}", {"Name": name, "Rules": rules}, guarded.management)[0] == 200


def token(guarded: Guarded, **fields: Any) -> dict[str, Any]:
    status, made = guarded.call("PUT", "/v1/acl/token", {"Type": "client", **fields}, guarded.management)
    assert status == 200, made
    found: dict[str, Any] = made
    return found


def test_off_means_everybody_may_and_nothing_is_there(server: ServerProcess) -> None:
    for method, path in (("GET", "/v1/acl/policies"), ("PUT", "/v1/acl/bootstrap"), ("GET", "/v1/acl/token/self")):
        assert server.request(method, path) == (400, "ACL support disabled")
    assert server.request("GET", "/v1/agent/self")[1]["config"]["ACL"]["Enabled"] is False


def test_a_changed_policy_counts_at_once(guarded: Guarded) -> None:
    policy(guarded, "changing", READ)
    secret = token(guarded, Policies=["changing"])["SecretID"]
    assert guarded.call("GET", "/v1/jobs", None, secret)[0] == 200
    policy(guarded, "changing", 'namespace "default" { policy = "deny" }')
    assert guarded.call("GET", "/v1/jobs", None, secret) == (403, "Permission denied")
    assert guarded.call("DELETE", "/v1/acl/policy/changing", None, guarded.management)[0] == 200
    assert guarded.call("GET", "/v1/jobs", None, secret) == (403, "Permission denied")


def test_a_token_ends_when_its_time_is_over(guarded: Guarded) -> None:
    policy(guarded, "short", READ)
    made = token(guarded, Policies=["short"], ExpirationTTL="1200ms")
    assert made["ExpirationTTL"] == "1.2s" and made["ExpirationTime"]
    assert guarded.call("GET", "/v1/jobs", None, made["SecretID"])[0] == 200
    time.sleep(1.3)
    assert guarded.call("GET", "/v1/jobs", None, made["SecretID"]) == (403, "Permission denied")
    assert guarded.call("GET", f"/v1/acl/token/{made['AccessorID']}", None, guarded.management)[0] == 200


def in_thread(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    return thread, found


def test_who_waits_is_asked_again_before_the_answer(guarded: Guarded) -> None:
    policy(guarded, "waiting", READ)
    made = token(guarded, Policies=["waiting"])
    index = guarded.call("GET", "/v1/job/web", None, guarded.management)[1]["ModifyIndex"]
    path = f"/v1/job/web?index={index}&wait=10s"
    thread, found = in_thread(lambda: guarded.call("GET", path, None, made["SecretID"]))
    time.sleep(0.3)
    assert guarded.call("DELETE", f"/v1/acl/token/{made['AccessorID']}", None, guarded.management)[0] == 200
    guarded.call("PUT", "/v1/job/web/versions/x/tag", {"Name": "x"}, guarded.management)
    thread.join(12)
    assert found == [(403, "Permission denied")]


def test_a_role_grants_what_its_policies_do(guarded: Guarded) -> None:
    policy(guarded, "by-role", READ)
    body = {"Name": "readers", "Policies": [{"Name": "by-role"}]}
    status, role = guarded.call("PUT", "/v1/acl/role", body, guarded.management)
    assert status == 200 and role["ID"] and role["Hash"]
    made = token(guarded, Roles=[{"Name": "readers"}, {"ID": role["ID"]}])
    assert made["Roles"] == [{"ID": role["ID"], "Name": "readers"}] and made["Policies"] == []
    secret = made["SecretID"]
    assert guarded.call("GET", "/v1/jobs", None, secret)[0] == 200
    assert [one["Name"] for one in guarded.call("GET", "/v1/acl/roles", None, secret)[1]] == ["readers"]
    assert guarded.call("GET", "/v1/acl/role/name/readers", None, secret)[1]["ID"] == role["ID"]
    refused = guarded.call("PUT", "/v1/acl/role", body, guarded.management)
    assert refused == (400, "role with name readers already exists")
    missing = {"Name": "r2", "Policies": [{"Name": "nope"}]}
    assert guarded.call("PUT", "/v1/acl/role", missing, guarded.management) == (400, "cannot find policy nope")
    path = f"/v1/acl/role/{role['ID']}"
    changed = guarded.call("PUT", path, {**role, "Description": "d"}, guarded.management)[1]
    assert changed["Description"] == "d" and changed["CreateIndex"] == role["CreateIndex"]
    assert guarded.call("DELETE", path, None, guarded.management)[0] == 200
    assert guarded.call("GET", "/v1/jobs", None, secret) == (403, "Permission denied")
    shown = guarded.call("GET", f"/v1/acl/token/{made['AccessorID']}", None, guarded.management)[1]
    assert shown["Roles"] is None
    assert guarded.call("DELETE", path, None, guarded.management) == (500, "ACL role not found")
    assert guarded.call("GET", path, None, guarded.management) == (404, "ACL role not found")


def test_what_anybody_may_do_is_the_anonymous_policy(guarded: Guarded) -> None:
    assert guarded.call("GET", "/v1/jobs")[0] == 403
    policy(guarded, "anonymous", READ)
    try:
        assert guarded.call("GET", "/v1/jobs")[0] == 200
        assert [one["Name"] for one in guarded.call("GET", "/v1/acl/policies")[1]] == ["anonymous"]
        assert guarded.call("GET", "/v1/acl/policy/anonymous")[0] == 200
        assert guarded.call("PUT", "/v1/job/web/evaluate", {"JobID": "web"})[0] == 403
    finally:
        guarded.call("DELETE", "/v1/acl/policy/anonymous", None, guarded.management)


def test_a_one_time_token_is_exchanged_once(guarded: Guarded) -> None:
    made = token(guarded, Policies=["any"])
    one = guarded.call("PUT", "/v1/acl/token/onetime", None, made["SecretID"])[1]["OneTimeToken"]
    assert one["AccessorID"] == made["AccessorID"]
    body = {"OneTimeSecretID": one["OneTimeSecretID"]}
    taken = guarded.call("PUT", "/v1/acl/token/onetime/exchange", body)[1]["Token"]
    assert taken["SecretID"] == made["SecretID"]
    assert guarded.call("PUT", "/v1/acl/token/onetime/exchange", body) == (403, "Permission denied")


def test_bootstrap_again_only_with_the_index_written_down(guarded: Guarded) -> None:
    status, text = guarded.call("PUT", "/v1/acl/bootstrap")
    assert status == 400 and text.startswith("ACL bootstrap already done (reset index: ")
    index = int(text.rpartition(" ")[2].rstrip(")"))
    reset = guarded.server.directory / "data/server/acl-bootstrap-reset"
    reset.write_text("1")
    wrong = f"Invalid bootstrap reset index (specified 1, reset index: {index})"
    assert guarded.call("PUT", "/v1/acl/bootstrap") == (400, wrong)
    reset.write_text(f"{index}\n")
    secret = "77777777-1111-1111-1111-111111111111"
    status, made = guarded.call("PUT", "/v1/acl/bootstrap", {"BootstrapSecret": secret})
    assert (status, made["SecretID"], made["Type"], made["Global"]) == (200, secret, "management", True)
    assert guarded.call("GET", "/v1/acl/tokens", None, secret)[0] == 200
    assert guarded.call("PUT", "/v1/acl/bootstrap")[0] == 400
    assert guarded.call("GET", "/v1/acl/tokens", None, guarded.management)[0] == 200  # the old one still lives


def test_two_tokens_never_share_a_secret(guarded: Guarded) -> None:
    made = token(guarded, Policies=["any"])
    body = {
        "AccessorID": "88888888-1111-1111-1111-111111111111", "SecretID": made["SecretID"], "Type": "client",
        "Policies": ["other"],
    }  # fmt: skip
    refused = guarded.call("PUT", "/v1/acl/token", body, guarded.management)
    assert refused == (400, "the secret is that of another token")


def test_a_drain_names_who_asked_for_it(guarded: Guarded) -> None:
    made = token(guarded, Type="management", Name="operator")
    node = guarded.call("GET", "/v1/nodes", None, made["SecretID"])[1][0]["ID"]
    body = {"DrainSpec": {"Deadline": -1}}
    assert guarded.call("PUT", f"/v1/node/{node}/drain", body, made["SecretID"])[0] == 200
    drained = guarded.call("GET", f"/v1/node/{node}", None, made["SecretID"])[1]["LastDrain"]["AccessorID"]
    assert drained == f"token:{made['AccessorID']}"


def test_no_secret_is_in_the_log_or_the_events(guarded: Guarded) -> None:
    log = guarded.server.log(10**7)
    secrets = [guarded.management, *guarded.secrets.values()]
    assert log and not any(one in log for one in secrets)
