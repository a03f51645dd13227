"""Tests of a deployment script against a real cluster, which loses its leader in the middle."""

import json
import threading
import time
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
        acknowledged, ended = [], threading.Event()

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
                    break

        writer = threading.Thread(target=write)
        writer.start()
        while len(acknowledged) < 20:
            time.sleep(0.01)
        cluster.kill(cluster.leader())  # in the middle of the writes
        before = len(acknowledged)
        while len(acknowledged) < before + 20:
            time.sleep(0.01)
        ended.set()
        writer.join()
        stored = {job["ID"] for job in cluster.api().jobs()}
        assert set(acknowledged) <= stored
