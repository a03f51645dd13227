"""Dispatch storm: children of a parameterized job, asked for again with the same token when the answer is lost."""

from __future__ import annotations

from yurt.server.experiments.client import FAIL, OK, UNKNOWN, Client, path_of, until
from yurt.server.experiments.workload import FINISH_SECONDS, Workload, job_of

PARENT = "storm"
ATTEMPTS = 4
LISTS = 0.02  # share of the operations


class Dispatch(Workload):
    """A dispatch with an idempotency token has one child however often it is asked for."""

    name = "dispatch"
    text = "dispatches with idempotency tokens, repeated when the answer is lost"

    def prepare(self, client: Client) -> None:
        """Register the parent."""
        job = job_of(PARENT, None, Type="batch", ParameterizedJob={"MetaOptional": ["token"], "Payload": "optional"})
        if not until(FINISH_SECONDS, lambda: client.ask("PUT", "/v1/jobs", {"Job": job}).status == 200):
            raise RuntimeError("the cluster does not take the parameterized job of the dispatch storm")

    def step(self, client: Client) -> None:
        """One dispatch until it is answered, or a look at all children."""
        if client.chance.random() < LISTS:
            self.children(client)
            return
        client.count += 1
        token = f"{client.number}-{client.count}"
        for _ in range(ATTEMPTS):
            path = path_of(PARENT, "dispatch") + f"?idempotency_token={token}"
            answer = client.ask("PUT", path, {"Meta": {"token": token}})
            client.note("dispatch", PARENT, answer, answer.result, value=token)
            if answer.result in (OK, FAIL):
                return

    def children(self, client: Client) -> bool:
        """List the tokens of all children; whether there was an answer."""
        answer = client.ask("GET", f"/v1/jobs?prefix={PARENT}/dispatch-&meta=true")
        if answer.status != 200:
            client.note("children", PARENT, answer, UNKNOWN)
            return False
        tokens = [(one.get("Meta") or {}).get("token", "") for one in answer.body]
        client.note("children", PARENT, answer, OK, value=tuple(sorted(tokens)))
        return True

    def finish(self, client: Client) -> None:
        """List the children that there are in the end."""
        until(FINISH_SECONDS, lambda: self.children(client))


WORKLOAD = Dispatch
