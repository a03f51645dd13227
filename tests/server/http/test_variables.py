"""Variables, locks and root keys over HTTP; the plain cases are recorded by the conformance kit (spec cluster §12)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.process.servers import ServerProcess
from tests.server.http.guarded import Guarded, guarded_server

Put = Callable[..., tuple[int, Any]]


def test_a_lock_keeps_others_out_until_it_is_released(server: ServerProcess) -> None:
    path = "/v1/var/locks/one"
    status, got = server.request("PUT", f"{path}?lock-acquire", {"Items": {"a": "1"}, "Lock": {"TTL": "10s"}})
    assert status == 200 and got["Lock"]["TTL"] == "10s" and got["Lock"]["LockDelay"] == "15s"
    lock = {"Lock": {"ID": got["Lock"]["ID"]}}
    for refused in (
        server.request("PUT", f"{path}?lock-acquire", {}),
        server.request("PUT", path, {"Items": {"a": "2"}}),
        server.request("PUT", path, {"Items": {"a": "2"}, "Lock": {"ID": "other"}}),
        server.request("DELETE", path),
    ):
        assert refused[0] == 409
    assert server.request("PUT", path, {"Items": {"a": "2"}, **lock})[0] == 200
    assert server.request("GET", path)[1]["Items"] == {"a": "2"}
    assert server.request("PUT", f"{path}?lock-renew", lock)[1]["Lock"]["ID"] == got["Lock"]["ID"]
    assert server.request("PUT", f"{path}?lock-renew", {"Lock": {"ID": "x"}}) == (
        409, "attempting to modify locked variable",
    )  # fmt: skip
    assert server.request("PUT", f"{path}?lock-release", {"Lock": {"ID": "x"}})[0] == 409
    assert server.request("PUT", f"{path}?lock-release", lock)[0] == 200
    assert server.request("PUT", f"{path}?lock-release", lock) == (409, "variable doesn't hold a lock")
    assert server.request("PUT", f"{path}?lock-renew", lock) == (409, "variable doesn't hold a lock")
    assert server.request("PUT", path, {"Items": {"a": "3"}})[0] == 200
    assert server.request("PUT", f"{path}?lock-acquire", {})[1]["Items"] == {"a": "3"}


@pytest.mark.parametrize(
    ("query", "body", "status", "text"),
    [
        ("?lock-acquire&lock-renew", {}, 400, "multiple lock operations"),
        ("?lock-acquire&cas=1", {}, 400, "CAS can't be used with lock operations"),
        ("?lock-acquire", {"Lock": {"TTL": "1s"}}, 400, "TTL must be between 10 seconds and 24 hours"),
        ("?lock-acquire", {"Lock": {"TTL": "x"}}, 400, "invalid duration"),
        ("?lock-renew", {"Lock": {"ID": "x"}}, 404, "variable doesn't exist"),
        ("?lock-release", {"Items": {"a": "b"}}, 400, "takes no Items"),
        ("", {"Items": {}}, 400, "empty variables are invalid"),
    ],
)
def test_refused(server: ServerProcess, query: str, body: dict[str, Any], status: int, text: str) -> None:
    found = server.request("PUT", f"/v1/var/refused/x{query}", body)
    assert found[0] == status and text in found[1]
    assert server.request("GET", "/v1/var/refused/x") == (404, "variable not found")


def test_a_lock_runs_out_and_makes_the_next_one_wait(server: ServerProcess) -> None:
    path = "/v1/var/locks/short"
    got = server.request(
        "PUT", f"{path}?lock-acquire", {"Items": {"a": "1"}, "Lock": {"TTL": "10s", "LockDelay": "1s"}}
    )[1]
    deadline = time.monotonic() + 20
    while server.request("GET", path)[1]["ModifyIndex"] == got["ModifyIndex"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert server.request("PUT", f"{path}?lock-acquire", {})[0] == 409
    time.sleep(1.1)
    assert server.request("PUT", f"{path}?lock-acquire", {})[0] == 200


def test_keys_rotate_and_what_was_written_stays_readable(server: ServerProcess) -> None:
    (first,) = [one for one in server.request("GET", "/v1/operator/keyring/keys")[1] if one["State"] == "active"]
    server.request("PUT", "/v1/var/keys/a", {"Items": {"k": "old"}})
    made = server.request("PUT", "/v1/operator/keyring/rotate")[1]["Key"]
    assert made["State"] == "active" and made["KeyID"] != first["KeyID"]
    assert server.request("GET", "/v1/var/keys/a")[1]["Items"] == {"k": "old"}
    gone = f"/v1/operator/keyring/key/{first['KeyID']}"
    assert server.request("DELETE", gone) == (500, "root key in use, cannot delete")
    active = server.request("DELETE", f"/v1/operator/keyring/key/{made['KeyID']}")
    assert active == (500, "active root key cannot be deleted - call rotate first")
    both = server.request("PUT", f"/v1/operator/keyring/rotate?full&publish_time={time.time_ns() + 10**12}")
    assert both == (500, "keyring cannot be prepublished and full rotated at the same time")
    assert server.request("PUT", "/v1/operator/keyring/rotate?full=true")[0] == 200
    assert server.request("DELETE", gone)[0] == 200
    assert server.request("DELETE", gone) == (500, "root key not found")
    assert server.request("GET", "/v1/var/keys/a")[1]["Items"] == {"k": "old"}


def test_a_key_can_be_known_before_it_is_used(server: ServerProcess) -> None:
    soon = time.time_ns() + 3_000_000_000
    made = server.request("PUT", f"/v1/operator/keyring/rotate?publish_time={soon}")[1]["Key"]
    assert made["State"] == "prepublished"

    def state() -> str:
        keys = server.request("GET", "/v1/operator/keyring/keys")[1]
        return str(next(one["State"] for one in keys if one["KeyID"] == made["KeyID"]))

    assert state() == "prepublished"
    deadline = time.monotonic() + 10
    while state() != "active":
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_namespace_with_variables_stays(server: ServerProcess) -> None:
    server.request("PUT", "/v1/namespace", {"Name": "kept"})
    server.request("PUT", "/v1/var/a?namespace=kept", {"Items": {"a": "b"}})
    status, text = server.request("DELETE", "/v1/namespace/kept")
    assert status == 500 and "has variables associated with it" in text
    assert server.request("DELETE", "/v1/var/a?namespace=kept")[0] == 204
    assert server.request("DELETE", "/v1/namespace/kept")[0] == 200


def test_variables_are_found_by_search(server: ServerProcess) -> None:
    server.request("PUT", "/v1/var/looked/for", {"Items": {"a": "b"}})
    found = server.request("PUT", "/v1/search", {"Prefix": "looked", "Context": "vars"})[1]
    assert found["Matches"]["vars"] == ["looked/for"]
    fuzzy = server.request("PUT", "/v1/search/fuzzy", {"Text": "ked/f", "Context": "vars"})[1]
    assert fuzzy["Matches"]["vars"] == [{"ID": "looked/for", "Scope": ["default", "looked/for"]}]


# --- rights


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with guarded_server(tmp_path_factory.mktemp("vars")) as one:
        yield one


def test_each_operation_needs_its_own_right(guarded: Guarded) -> None:
    for path in ("app/a", "app/b", "else/c"):
        assert guarded.call("PUT", f"/v1/var/{path}", {"Items": {"k": "v"}}, guarded.management)[0] == 200

    def holder(*words: str) -> str:
        rules = f'namespace "default" {{ variables {{ path "app/*" {{ capabilities = {json.dumps(words)} }} }} }}'
        return guarded.holder(rules)

    def paths(secret: str) -> list[str]:
        return [one["Path"] for one in guarded.call("GET", "/v1/vars", None, secret)[1]]

    assert paths(holder("list")) == ["app/a", "app/b"] == paths(holder("read")) and paths(holder("write")) == []
    assert paths(guarded.management) == ["app/a", "app/b", "else/c"]
    body = {"Items": {"k": "w"}}
    expected = {
        # what a token with one right gets for: read, write, delete of what is not there
        "list": (403, 403, 403), "read": (200, 403, 403), "write": (403, 200, 403), "destroy": (403, 403, 204),
    }  # fmt: skip
    for word, statuses in expected.items():
        found = (
            guarded.call("GET", "/v1/var/app/a", None, holder(word))[0],
            guarded.call("PUT", "/v1/var/app/a", body, holder(word))[0],
            guarded.call("DELETE", "/v1/var/app/zz", None, holder(word))[0],
        )
        assert found == statuses, word
    everything = holder("list", "read", "write", "destroy")
    for method, given in (("GET", None), ("PUT", body), ("DELETE", None)):
        assert guarded.call(method, "/v1/var/else/c", given, everything) == (403, "Permission denied")
    elsewhere = {**body, "Namespace": "other"}  # the body's namespace decides
    assert guarded.call("PUT", "/v1/var/app/a", elsewhere, everything) == (403, "Permission denied")


def test_a_conflict_shows_the_items_only_to_readers(guarded: Guarded) -> None:
    guarded.call("PUT", "/v1/var/c/x", {"Items": {"k": "hidden"}}, guarded.management)
    for words, items in ((["write"], None), (["write", "read"], {"k": "hidden"})):
        secret = guarded.holder(
            f'namespace "default" {{ variables {{ path "c/*" {{ capabilities = {json.dumps(words)} }} }} }}'
        )
        status, shown = guarded.call("PUT", "/v1/var/c/x?cas=0", {"Items": {"k": "new"}}, secret)
        assert (status, shown.get("Items")) == (409, items)
