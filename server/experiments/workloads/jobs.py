"""Mixed use of the jobs API: registrations, reads, purges, and everything that only looks."""

from __future__ import annotations

from yurt.server.experiments.client import FAIL, OK, UNKNOWN, Client, path_of
from yurt.server.experiments.workload import Workload, job_of
from yurt.server.experiments.workloads.registers import note_read, show_all

WEIGHTS = {"write": 30, "read": 35, "delete": 5, "list": 10, "versions": 8, "summary": 4, "evaluations": 4, "plan": 4}


class Jobs(Workload):
    """Writes without check-and-set, deletions for good; other requests are measured and not judged."""

    name = "jobs"
    text = "registrations, reads, purges, lists, versions, plans"

    def step(self, client: Client) -> None:
        """Do one operation drawn at random."""
        job = f"mixed-{client.chance.randrange(self.jobs)}"
        kind = client.chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        if kind == "write":
            client.count += 1
            value = f"{client.number}-{client.count}"
            answer = client.ask("PUT", "/v1/jobs", {"Job": job_of(job, value, self.padding)})
            index = answer.body["JobModifyIndex"] if answer.status == 200 else 0
            client.note("write", job, answer, answer.result, value=value, index=index)
        elif kind == "read":
            note_read(client, job, client.ask("GET", path_of(job)), "")
        elif kind == "delete":
            answer = client.ask("DELETE", path_of(job) + "?purge=true")
            result = FAIL if answer.status == 404 else answer.result  # it was not there: nothing was changed
            client.note("delete", job, answer, result)
        elif kind == "plan":
            answer = client.ask("PUT", path_of(job, "plan"), {"Job": job_of(job, "plan"), "Diff": True})
            client.note(kind, job, answer, OK if answer.status == 200 else UNKNOWN)
        else:
            path = "/v1/jobs?prefix=mixed-" if kind == "list" else path_of(job, kind)
            answer = client.ask("GET", path)
            client.note(kind, job, answer, OK if answer.status in (200, 404) else UNKNOWN)

    def finish(self, client: Client) -> None:
        """Every server shows every job."""
        show_all(client, [f"mixed-{number}" for number in range(self.jobs)])


WORKLOAD = Jobs
