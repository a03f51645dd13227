"""Registers: each job holds a value that several clients replace by check-and-set, and read in every mode."""

from __future__ import annotations

from yurt.server.experiments.client import FAIL, OK, UNKNOWN, Answer, Client, path_of, until
from yurt.server.experiments.workload import FINISH_SECONDS, Workload, job_of, value_of

MODES = ("", "", "", "consistent", "stale")
READS = 0.5  # share of the steps
OLD = 0.2  # of the writes: on what was known before


class Registers(Workload):
    """Check-and-set by JobModifyIndex: the linearizability of the whole path shows here."""

    name = "registers"
    text = "check-and-set and reads in every mode on a few jobs"

    def step(self, client: Client) -> None:
        """A read, or a check-and-set of what is read before it or known from long ago."""
        job = f"register-{client.chance.randrange(self.jobs)}"
        if client.chance.random() < READS:
            self.read(client, job, client.chance.choice(MODES))
        elif (job in client.memory and client.chance.random() < OLD) or self.read(client, job):
            self.write(client, job)

    def read(self, client: Client, job: str, mode: str = "") -> bool:
        """Read a job; whether there was an answer."""
        answer = client.ask("GET", path_of(job) + (f"?{mode}" if mode else ""))
        return note_read(client, job, answer, mode)

    def write(self, client: Client, job: str) -> None:
        """Replace the value that is known; what is known is forgotten unless that is acknowledged."""
        expected, index = client.memory.pop(job)
        client.count += 1
        value = f"{client.number}-{client.count}"
        body = {"Job": job_of(job, value, self.padding), "EnforceIndex": True, "JobModifyIndex": index}
        answer = client.ask("PUT", "/v1/jobs", body)
        result, new = answer.result, 0
        if result == OK:
            new = answer.body["JobModifyIndex"]
            client.memory[job] = (value, new)
        client.note("cas", job, answer, result, value=value, expected=expected, index=new)

    def finish(self, client: Client) -> None:
        """Every server shows every job."""
        show_all(client, [f"register-{number}" for number in range(self.jobs)])


def note_read(client: Client, job: str, answer: Answer, mode: str) -> bool:
    """Write down a read and remember what it showed; whether there was an answer."""
    if answer.status not in (200, 404):
        result = UNKNOWN if answer.result == UNKNOWN else FAIL
        client.note("read", job, answer, result, mode=mode)
        return False
    there = answer.status == 200
    value, index = (value_of(answer.body), answer.body["JobModifyIndex"]) if there else (None, 0)
    if mode != "stale":
        client.memory[job] = (value, index)
    client.note("read", job, answer, OK, mode=mode, value=value, index=index)
    return True


def show_all(client: Client, jobs: list[str]) -> None:
    """Read every job on every server, as soon as it answers; not longer than `FINISH_SECONDS` in all."""
    left = [(job, server) for server in client.servers for job in jobs]

    def show() -> bool:
        while left:
            job, server = left[0]
            if not note_read(client, job, client.ask("GET", path_of(job), server=server), ""):
                return False
            left.pop(0)
        return True

    until(FINISH_SECONDS, show)


WORKLOAD = Registers
