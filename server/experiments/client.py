"""A client of a cluster that writes down what it asked, when, and what came of it."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import quote, urlsplit

from yurt.testing import Event, Recorder

OK, CONFLICT, UNKNOWN, FAIL = "ok", "conflict", "unknown", "fail"
CONFLICTS = re.compile(r"Enforcing job modify index")
TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class Server:
    """A server of the cluster under test, as clients see it."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of a request: `status` 0 if there was no answer, then `error` says why."""

    server: str
    began: float
    ended: float
    status: int
    body: Any
    index: int = 0  # X-Nomad-Index
    was_sent: bool = True
    error: str = ""

    @property
    def result(self) -> str:
        """The result of a write: done, refused by check-and-set, surely not done, or unknown."""
        if self.status == 200:
            return OK
        if CONFLICTS.search(str(self.body)):
            return CONFLICT
        if 400 <= self.status < 500 or not self.was_sent:
            return FAIL
        return UNKNOWN


class Client:
    """One client, in a thread of its own: `number` tells it from others, `chance` is its own stream."""

    def __init__(
        self,
        servers: Sequence[Server],
        recorder: Recorder,
        clock: Callable[[], float],
        chance: Random,
        number: int,
        *,
        token: str = "",
    ) -> None:
        self.servers, self.recorder, self.clock, self.chance, self.number = servers, recorder, clock, chance, number
        self.memory: dict[str, Any] = {}  # what the workload remembers for this client
        self.count = 0
        self._headers = {"X-Nomad-Token": token} if token else {}
        self._connections: dict[str, http.client.HTTPConnection] = {}

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        server: Server | None = None,
        timeout: float = TIMEOUT_SECONDS,
    ) -> Answer:
        """One request, to a server by chance or the one given; never raises for what the cluster does."""
        target = server or self.chance.choice(self.servers)
        data = None if body is None else json.dumps(body).encode()
        began, was_sent = self.clock(), False
        try:
            connection = self._connection(target, timeout)
            was_sent = True
            connection.request(method, path, data, self._headers)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.forget(target)
            ended = self.clock()
            return Answer(target.name, began, ended, 0, None, was_sent=was_sent, error=repr(error))
        ended = self.clock()
        if answer.getheader("Connection", "").lower() == "close":
            self.forget(target)
        try:
            found = json.loads(content) if content else None
        except ValueError:
            found = content.decode(errors="replace")
        index = answer.getheader("X-Nomad-Index", "0")
        error_text = "" if answer.status == 200 else f"{answer.status} {str(found)[:200]}"
        number = int(index) if index.isdigit() else 0
        return Answer(target.name, began, ended, answer.status, found, number, True, error_text)

    def note(self, kind: str, job: str, answer: Answer, result: str, **fields: Any) -> None:
        """Write down an operation."""
        event = Event(
            job, kind, answer.began, answer.ended, result, server=answer.server, client=self.number,
            error="" if result in (OK, CONFLICT) else answer.error, **fields,
        )  # fmt: skip
        self.recorder.write(event)

    def _connection(self, server: Server, timeout: float) -> http.client.HTTPConnection:
        """An open connection; raises OSError if there is none to be had (then nothing was sent)."""
        connection = self._connections.get(server.name)
        if connection is None:
            parts = urlsplit(server.address)
            port = parts.port or (443 if parts.scheme == "https" else 80)
            if parts.scheme == "https":
                context = ssl.create_default_context()
                connection = http.client.HTTPSConnection(parts.hostname or "", port, timeout=timeout, context=context)
            else:
                connection = http.client.HTTPConnection(parts.hostname or "", port, timeout=timeout)
            connection.connect()
            self._connections[server.name] = connection
        connection.timeout = timeout
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        return connection

    def forget(self, server: Server) -> None:
        """Begin anew with a server."""
        if connection := self._connections.pop(server.name, None):
            with contextlib.suppress(OSError):
                connection.close()

    def close(self) -> None:
        """Close all connections."""
        for server in self.servers:
            self.forget(server)


def until(seconds: float, attempt: Callable[[], bool], pause: float = 0.1) -> bool:
    """Try until it is true; False if that takes longer than `seconds`."""
    deadline = time.monotonic() + seconds
    while not attempt():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)  # what is waited for is told by HTTP alone: it is asked again
    return True


def path_of(job: str, *rest: str) -> str:
    """The path of a job's endpoint."""
    return "/".join(("/v1/job", quote(job, safe=""), *rest))
