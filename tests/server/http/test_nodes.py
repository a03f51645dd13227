"""Nodes, allocations, deployments, events and search on a real server with a node."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.process.servers import ServerProcess, wait_for

Fresh = Callable[[], str]
NOBODY = "11111111-2222-3333-4444-555555555555"


def batch(job_id: str, *, run_for: str = "50ms", count: int = 1, **fields: Any) -> dict[str, Any]:
    task = {
        "Name": "task", "Driver": "mock_driver", "Config": {"run_for": run_for}, "Resources": {"CPU": 10, "MemoryMB": 10},
    }  # fmt: skip
    group = {"Name": "group", "Count": count, "Tasks": [task]}
    return {"Job": {"ID": job_id, "Type": "batch", "TaskGroups": [group], **fields}}


def the_node(server: ServerProcess) -> Any:
    return wait_for(lambda: [n for n in server.request("GET", "/v1/nodes")[1] if n["Status"] == "ready"], 10, "a node")[
        0
    ]


def allocations(server: ServerProcess, job: str, status: str, count: int = 1) -> Any:
    def there() -> Any:
        found = server.request("GET", f"/v1/job/{job}/allocations")[1]
        return found if [one["ClientStatus"] for one in found] == [status] * count else None

    return wait_for(there, 10, f"{count} {status} allocations")


def test_a_batch_job_runs_to_completion(server: ServerProcess, fresh_id: Fresh) -> None:
    the_node(server)
    job = fresh_id()
    assert server.request("PUT", "/v1/jobs", batch(job, count=2))[0] == 200
    done = allocations(server, job, "complete", 2)
    events = [event["Type"] for event in done[0]["TaskStates"]["task"]["Events"]]
    assert events == ["Received", "Task Setup", "Started", "Terminated"]
    wait_for(lambda: server.request("GET", f"/v1/job/{job}")[1]["Status"] == "dead", 5, "a dead job")
    summary = server.request("GET", f"/v1/job/{job}/summary")[1]["Summary"]["group"]
    assert (summary["Complete"], summary["Running"], summary["Queued"]) == (2, 0, 0)


def test_nodes_in_lists_and_alone(server: ServerProcess) -> None:
    node = the_node(server)
    status, whole = server.request("GET", f"/v1/node/{node['ID']}")
    assert status == 200 and whole["SecretID"] == "" and "driver.mock_driver" in whole["Attributes"]
    assert server.request("GET", f"/v1/node/{NOBODY}") == (404, "node not found")
    listed = server.request("GET", f"/v1/nodes?prefix={node['ID'][:8]}&resources=true&os=true")[1][0]
    assert listed["NodeResources"]["Memory"]["MemoryMB"] > 0 and "os.name" in listed["Attributes"]
    assert [one["ID"] for one in server.request("GET", "/v1/node/pool/all/nodes")[1]] == [node["ID"]]
    assert server.request("GET", "/v1/node/pool/nope/nodes")[1] == []
    assert server.request("GET", "/v1/nodes?resources=x")[0] == 400
    assert server.request("GET", '/v1/nodes?filter=Name+==+"nobody"')[1] == []


def test_only_the_node_itself_may_speak_for_it(server: ServerProcess) -> None:
    node = the_node(server)["ID"]
    for method, path, body in (
        ("PUT", "Node.UpdateStatus", {"NodeID": node, "Status": "ready"}),
        ("PUT", "Node.UpdateAlloc", {"NodeID": node, "Alloc": []}),
        ("PUT", "Alloc.GetAllocs", {"NodeID": node, "AllocIDs": []}),
        ("GET", f"Node.GetClientAllocs?node_id={node}", None),
    ):
        assert server.request(method, f"/v1/agent-rpc/{path}", body) == (403, "Permission denied")
    stolen = {"Node": {"ID": node, "SecretID": "0" * 36, "Datacenter": "dc1", "Name": "x"}}
    text = "node secret ID does not match. Not registering node."
    assert server.request("PUT", "/v1/agent-rpc/Node.Register", stolen) == (500, text)
    unknown = {"NodeID": NOBODY, "Status": "ready"}
    assert server.request("PUT", "/v1/agent-rpc/Node.UpdateStatus", unknown) == (500, "node not found")
    assert server.request("PUT", "/v1/agent-rpc/Node.UpdateStatus", {"NodeID": 5})[0] == 400


def test_a_stopped_allocation_is_replaced(server: ServerProcess, fresh_id: Fresh) -> None:
    the_node(server)
    job = fresh_id()
    server.request("PUT", "/v1/jobs", batch(job, run_for="1h", Type="service"))
    first = allocations(server, job, "running")[0]["ID"]
    assert server.request("PUT", f"/v1/allocation/{first}/stop")[0] == 200
    both = wait_for(lambda: len(a := server.request("GET", f"/v1/job/{job}/allocations")[1]) == 2 and a, 10, "another")
    whole = server.request("GET", f"/v1/allocation/{first}")[1]
    assert whole["NextAllocation"] in {one["ID"] for one in both} and whole["DesiredStatus"] == "stop"
    assert set(whole["TaskResources"]["task"]) >= {"CPU", "MemoryMB"}
    server.request("DELETE", f"/v1/job/{job}?purge=true")


def lines(server: ServerProcess, query: str, count: int) -> list[Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=10)
    connection.request("GET", f"/v1/event/stream?{query}")
    answer = connection.getresponse()
    assert answer.getheader("transfer-encoding") is None and answer.getheader("content-length") is None
    found = [json.loads(answer.readline()) for _ in range(count)]
    connection.close()
    return found


def test_the_event_stream(server: ServerProcess, fresh_id: Fresh) -> None:
    job = fresh_id()
    body = batch(job, count=0)
    index = server.request("PUT", "/v1/jobs", body)[1]["Index"]
    heartbeat, registered, evaluated = lines(server, f"topic=Job:{job}&topic=Evaluation:{job}&index={index}", 3)
    assert heartbeat == {}
    assert registered["Events"][0]["Topic"] == "Job" and evaluated["Events"][0]["Topic"] == "Evaluation"
    assert registered["Index"] == evaluated["Index"] == index
    nothing = lines(server, f"topic=Job:{job}&namespace=other&index={index}", 1)
    assert nothing == [{}]


@pytest.mark.parametrize(("text", "kinds"), [("group", {"groups"}), ("mock", set()), ("task", {"tasks"})])
def test_fuzzy_search(server: ServerProcess, fresh_id: Fresh, text: str, kinds: set[str]) -> None:
    server.request("PUT", "/v1/jobs", batch(fresh_id(), count=0))
    matches = server.request("PUT", "/v1/search/fuzzy", {"Text": text, "Context": "jobs"})[1]["Matches"]
    assert {kind for kind, found in matches.items() if found} == kinds
    short = server.request("PUT", "/v1/search/fuzzy", {"Text": "a", "Context": "jobs"})
    assert short == (500, "fuzzy search query must be at least 2 characters, got 1")


def test_a_drain_is_followed_to_its_end(server: ServerProcess) -> None:
    node = the_node(server)["ID"]
    path = f"/v1/node/{node}"
    assert server.request("PUT", f"{path}/drain", {"DrainSpec": {"Deadline": -1}, "Meta": {"a": "b"}})[0] == 200
    try:
        wait_for(lambda: not server.request("GET", path)[1]["Drain"], 20, "the end of the drain")
        seen = server.request("GET", path)[1]
        assert (seen["LastDrain"]["Status"], seen["LastDrain"]["Meta"]) == ("complete", {"a": "b"})
        assert seen["SchedulingEligibility"] == "ineligible"
        assert seen["Events"][-1]["Details"] == {"deadline_reached": "true"}
    finally:
        server.request("PUT", f"{path}/eligibility", {"Eligibility": "eligible"})
    assert server.request("GET", path)[1]["SchedulingEligibility"] == "eligible"
