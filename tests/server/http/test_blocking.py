"""Blocking queries on a real server: woken by what they read, and by nothing else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from tests.process.servers import ServerProcess, small_job, wait_for

Fresh = Callable[[], str]


class Waiting(threading.Thread):
    """A query in the background."""

    def __init__(self, server: ServerProcess, path: str) -> None:
        super().__init__(daemon=True)
        self.server, self.path, self.answer = server, path, None
        self.start()

    def run(self) -> None:
        self.answer: Any = self.server.request("GET", self.path)


def settled(server: ServerProcess, job: str) -> int:
    """Register a job, wait until it is evaluated; its ModifyIndex."""
    server.request("PUT", "/v1/jobs", small_job(job))
    wait_for(lambda: server.request("GET", f"/v1/job/{job}")[1]["Status"] == "dead", 5, "evaluated")
    index: int = server.request("GET", f"/v1/job/{job}")[1]["ModifyIndex"]
    return index


def test_a_hundred_readers_are_woken_by_one_write(server: ServerProcess, fresh_id: Fresh) -> None:
    job = fresh_id()
    index = settled(server, job)
    readers = [Waiting(server, f"/v1/job/{job}?index={index}&wait=20s") for _ in range(100)]
    time.sleep(0.3)
    server.request("PUT", "/v1/jobs", small_job(fresh_id()))
    time.sleep(0.2)
    assert all(reader.answer is None for reader in readers), "another job wakes nobody"
    server.request("PUT", "/v1/jobs", small_job(job, Priority=60))
    for reader in readers:
        reader.join(5)
    assert {reader.answer[1]["Priority"] for reader in readers} == {60}


def test_the_wait_runs_out_with_what_is_there(server: ServerProcess, fresh_id: Fresh) -> None:
    job = fresh_id()
    index = settled(server, job)
    started = time.monotonic()
    status, body = server.request("GET", f"/v1/job/{job}?index={index + 1000}&wait=200ms")
    assert (status, body["ModifyIndex"]) == (200, index)
    assert 0.19 < time.monotonic() - started < 1.0


def test_a_missing_job_is_waited_for_and_a_purge_ends_a_wait(server: ServerProcess, fresh_id: Fresh) -> None:
    job = fresh_id()
    index = settled(server, fresh_id())
    reader = Waiting(server, f"/v1/job/{job}?index={index + 1}&wait=10s")
    time.sleep(0.2)
    index = settled(server, job)
    reader.join(5)
    assert reader.answer[0] == 200
    reader = Waiting(server, f"/v1/job/{job}?index={index}&wait=10s")
    time.sleep(0.2)
    server.request("DELETE", f"/v1/job/{job}?purge=true")
    reader.join(5)
    assert reader.answer == (404, "job not found")
