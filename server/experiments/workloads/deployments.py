"""Deployments: jobs that run on nodes are given new versions; what runs is looked at all the time."""

from __future__ import annotations

import time
from typing import Any

from yurt.server.experiments.client import FAIL, OK, UNKNOWN, Answer, Client, path_of
from yurt.server.experiments.workload import Workload

COUNT = 3
JOBS = 2
CONVERGE_SECONDS = 60.0
READY_SECONDS = 30.0
VERSION_SECONDS = 4.0  # between two versions of a job


class Deployments(Workload):
    """Nobody runs twice, and in the end everything runs as it is wanted."""

    name = "deployments"
    text = "service jobs on nodes, with a new version every few seconds"
    clients = 3
    paced = 3

    def prepare(self, client: Client) -> None:
        """Register the jobs and wait until they run."""
        for number in range(JOBS):
            job = f"web-{number}"
            self._register(client, job, "0")
            deadline = time.monotonic() + READY_SECONDS
            while len(self.names(client, job) or ()) < COUNT:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{job} does not run on the nodes before anything is broken")
                time.sleep(0.2)

    def step(self, client: Client) -> None:
        """One client writes new versions, the others look at what runs."""
        job = f"web-{client.chance.randrange(JOBS)}"
        if client.number == 0 and time.monotonic() >= client.memory.get("next", 0.0):
            client.memory["next"] = time.monotonic() + VERSION_SECONDS / JOBS
            client.count += 1
            answer = self._register(client, job, str(client.count))
            client.note("write", job, answer, answer.result, value=f"{job}-{client.count}")
        else:
            self.names(client, job)

    def names(self, client: Client, job: str) -> tuple[str, ...] | None:
        """The names of the allocations that run and shall; written down."""
        answer = client.ask("GET", path_of(job, "allocations"))
        if answer.status != 200:
            client.note("allocations", job, answer, UNKNOWN)
            return None
        found = tuple(
            sorted(
                one["Name"] for one in answer.body if one["ClientStatus"] == "running" and one["DesiredStatus"] == "run"
            )
        )
        client.note("allocations", job, answer, OK, value=found)
        return found

    def _register(self, client: Client, job: str, value: str) -> Answer:
        return client.ask("PUT", "/v1/jobs", {"Job": service(job, value)})

    def finish(self, client: Client) -> None:
        """Wait until each job runs as often as it wants."""
        for number in range(JOBS):
            job, began = f"web-{number}", client.clock()
            deadline = time.monotonic() + CONVERGE_SECONDS
            found = self.names(client, job)
            while len(found or ()) != COUNT and time.monotonic() < deadline:
                time.sleep(0.3)
                found = self.names(client, job)
            done = len(found or ()) == COUNT
            error = "" if done else f"{len(found or ())} of {COUNT} run {CONVERGE_SECONDS:.0f} s after the faults"
            answer = Answer(client.servers[0].name, began, client.clock(), 0, None, error=error)
            client.note("converge", job, answer, OK if done else FAIL)


def service(job: str, value: str) -> dict[str, Any]:
    """A service whose processes sleep; another value is another version."""
    task = {
        "Name": "task", "Driver": "raw_exec", "Config": {"command": "/bin/sleep", "args": ["600"]},
        "Env": {"VALUE": value}, "Resources": {"CPU": 20, "MemoryMB": 16}, "KillTimeout": 10**9,
    }  # fmt: skip
    update = {"MaxParallel": 2, "MinHealthyTime": 10**8, "HealthyDeadline": 20 * 10**9, "ProgressDeadline": 60 * 10**9}
    group = {"Name": "group", "Count": COUNT, "Tasks": [task], "Update": update,
             "RestartPolicy": {"Attempts": 0, "Mode": "fail"}}  # fmt: skip
    return {
        "ID": job,
        "Name": job,
        "Type": "service",
        "Datacenters": ["*"],
        "Meta": {"value": value},
        "TaskGroups": [group],
    }


WORKLOAD = Deployments
