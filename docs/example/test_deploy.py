"""Tests of a deployment script against a real cluster, which loses its leader in the middle."""

import json
import queue
import threading
import urllib.request

from yurt.testing import Cluster


def deploy(address: str, name: str) -> None:
    """The code under test: it registers a job and wants to be sure that it is stored."""
    job = {"ID": name, "TaskGroups": [{"Name": "app", "Count": 0, "Tasks": [{"Name": "web", "Driver": "mock_driver"}]}]}
    request = urllib.request.Request(f"{address}/v1/jobs", json.dumps({"Job": job}).encode(), method="PUT")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def test_a_deployment_in_a_namespace_of_its_own(yurt):
    """`yurt` is a namespace on a server that all tests share; it is purged afterwards."""
    yurt.api.register(
        {"ID": "web", "TaskGroups": [{"Name": "app", "Count": 0, "Tasks": [{"Name": "web", "Driver": "mock_driver"}]}]}
    )
    assert [job["ID"] for job in yurt.api.jobs()] == ["web"]


def test_nothing_acknowledged_is_lost_when_the_leader_dies():
    with Cluster(servers=3) as cluster:
        acknowledged, told, ended = [], queue.Queue(), threading.Event()

        def write() -> None:
            number = 0
            while not ended.is_set():
                number += 1
                for server in cluster.living:
                    try:
                        deploy(server.address, f"job-{number}")
                    except OSError:
                        continue  # unknown: it may be stored or not
                    acknowledged.append(f"job-{number}")
                    told.put(number)
                    break

        writer = threading.Thread(target=write)
        writer.start()
        for _ in range(20):
            told.get(timeout=30)
        cluster.kill(cluster.leader())  # in the middle of the writes
        for _ in range(20 + told.qsize()):
            told.get(timeout=30)  # it writes on under the next leader
        ended.set()
        writer.join()
        stored = {job["ID"] for job in cluster.api().jobs()}
        assert set(acknowledged) <= stored


def test_a_lost_node_is_replaced_within_two_minutes(yurt_cluster, yurt_clock):
    """On virtual time: the same servers and node agents, and nobody waits."""
    cluster = yurt_cluster(servers=3, nodes=2, in_process=True)
    api = cluster.api()
    task = {"Name": "web", "Driver": "mock_driver", "Config": {"run_for": "1h"}}
    api.register({"ID": "web", "TaskGroups": [{"Name": "app", "Count": 4, "Tasks": [task]}]})
    yurt_clock.advance(10)
    cluster.kill("node1")
    yurt_clock.advance(120)
    running = [one for one in api.ask("GET", "/v1/job/web/allocations") if one["ClientStatus"] == "running"]
    assert [one["NodeName"] for one in running] == ["node2"] * 4
