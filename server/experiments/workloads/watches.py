"""Watch fan-out: many blocking queries on jobs that a few clients change."""

from __future__ import annotations

from yurt.server.experiments.client import OK, UNKNOWN, Client, path_of
from yurt.server.experiments.workload import value_of
from yurt.server.experiments.workloads.registers import Registers

WATCHERS = 24
WAIT_SECONDS = 6
LATE_SECONDS = 6.0  # beyond the wait: jitter, and servers that look for a leader


class Watches(Registers):
    """The first clients write registers, the others wait for their changes on whichever server."""

    name = "watches"
    text = "blocking queries of many clients on jobs that change"
    writers = 4
    clients = writers + WATCHERS
    paced = writers

    def step(self, client: Client) -> None:
        """Write, or wait for the next change of one job."""
        if client.number < self.writers:
            super().step(client)
        else:
            self.watch(client)

    def watch(self, client: Client) -> None:
        """One blocking query that goes on from the index of the last one."""
        job = f"register-{client.number % self.jobs}"
        waited = client.memory.get("index", 0)
        path = path_of(job) + f"?index={waited}&wait={WAIT_SECONDS}s"
        answer = client.ask("GET", path, timeout=WAIT_SECONDS + LATE_SECONDS)
        if answer.status not in (200, 404):
            client.note("watch", job, answer, UNKNOWN, expected=waited)
            client.chance.random()
            return
        there = answer.status == 200
        value, index = (value_of(answer.body), answer.body["JobModifyIndex"]) if there else (None, 0)
        client.note("watch", job, answer, OK, value=value, index=index, expected=waited)
        client.memory["index"] = answer.index if answer.index >= waited else 0


WORKLOAD = Watches
