"""A client that goes from server to server and records what it asked and was told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from yurt.server.testing.agent import REAL, Agent, Clock

RETRY_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Operation:
    """One request: when it was sent and answered (seconds of the cluster's clock), by whom, and how.

    `status` 0: there was no answer, so that a write may or may not have happened.
    """

    method: str
    path: str
    body: Any
    started: float
    ended: float
    server: str
    status: int
    answer: Any


class Refused(Exception):
    """The cluster refused a request; `status` and the text are its answer."""

    def __init__(self, status: int, answer: Any) -> None:
        super().__init__(f"{status}: {answer}")
        self.status, self.answer = status, answer


class Api:
    """Asks the servers of a cluster; `history` keeps every request."""

    def __init__(
        self, servers: Sequence[Agent], *, namespace: str = "", timeout: float = 15.0, clock: Clock = REAL
    ) -> None:
        self._servers, self._namespace, self._timeout, self._clock = servers, namespace, timeout, clock
        self._next = 0
        self.history: list[Operation] = []

    def once(self, method: str, path: str, body: Any = None, *, server: Agent | None = None) -> Operation:
        """One attempt, at a given server or the next one in turn; never raises for what the cluster does."""
        if server is None:
            server = self._servers[self._next % len(self._servers)]
            self._next += 1
        if self._namespace:
            path += ("&" if "?" in path else "?") + "namespace=" + quote(self._namespace)
        started = self._clock.now()
        try:
            status, answer = server.request(method, path, body, timeout=self._timeout)
        except OSError as error:
            status, answer = 0, str(error)
        operation = Operation(method, path, body, started, self._clock.now(), server.name, status, answer)
        self.history.append(operation)
        return operation

    def ask(self, method: str, path: str, body: Any = None, *, seconds: float = 20.0) -> Any:
        """The answer, from whichever server gives one; raises `Refused`, or TimeoutError after `seconds`.

        A request without an answer is sent again: use it for what may be done twice.
        """
        deadline = self._clock.now() + seconds
        while True:
            operation = self.once(method, path, body)
            if 200 <= operation.status < 300:
                return operation.answer
            if 0 < operation.status < 500:
                raise Refused(operation.status, operation.answer)
            if self._clock.now() >= deadline:
                if operation.status:
                    raise Refused(operation.status, operation.answer)
                raise TimeoutError(f"no answer to {method} {path} within {seconds:.0f} s: {operation.answer}")
            self._clock.sleep(RETRY_SECONDS)

    def register(self, job: dict[str, Any], **fields: Any) -> dict[str, Any]:
        """Register a job (its JSON); the answer."""
        answer: dict[str, Any] = self.ask("PUT", "/v1/jobs", {"Job": job, **fields})
        return answer

    def job(self, job_id: str) -> dict[str, Any]:
        """Read a job."""
        answer: dict[str, Any] = self.ask("GET", f"/v1/job/{quote(job_id, safe='')}")
        return answer

    def jobs(self, query: str = "") -> list[dict[str, Any]]:
        """List jobs."""
        answer: list[dict[str, Any]] = self.ask("GET", "/v1/jobs" + query)
        return answer

    def stop(self, job_id: str, *, purge: bool = False) -> dict[str, Any]:
        """Stop a job, perhaps for good."""
        path = f"/v1/job/{quote(job_id, safe='')}" + ("?purge=true" if purge else "")
        answer: dict[str, Any] = self.ask("DELETE", path)
        return answer
