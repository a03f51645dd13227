"""Workloads: clients in threads call `step` at a given rate; `prepare` comes before, `finish` after them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from yurt.server.experiments.client import Client

FINISH_SECONDS = 20.0  # that a whole cluster may take to answer again


@dataclass
class Workload:
    """Base of all; `jobs` and `padding` (characters that each job carries along) are the run's."""

    name = ""
    text = ""
    clients = 6
    paced = 6  # so many of the clients share the rate; the others wait for the cluster

    jobs: int = 5
    padding: int = 0

    def prepare(self, client: Client) -> None:
        """Before the faults: raises RuntimeError if the cluster does not take what is needed."""

    def step(self, client: Client) -> None:
        """One operation of one client, written down."""
        raise NotImplementedError

    def finish(self, client: Client) -> None:
        """After the faults: look at what must be there."""


def job_of(job_id: str, value: str | None, padding: int = 0, **fields: Any) -> dict[str, Any]:
    """A job that needs no node; its value is what registers hold."""
    task = {"Name": "task", "Driver": "raw_exec", "Config": {"command": "/bin/true"}}
    meta = {"value": value} if value is not None else {}
    if padding:
        meta["padding"] = "x" * padding
    group = {"Name": "group", "Count": 0, "Tasks": [task]}
    return {"ID": job_id, "Name": job_id, "Type": "service", "Datacenters": ["*"], "Meta": meta, "TaskGroups": [group],
            **fields}  # fmt: skip


def value_of(job: Any) -> str | None:
    """Return the value that a job holds."""
    found = (job.get("Meta") or {}).get("value")
    return None if found is None else str(found)
