"""Health checks of services, made by the node itself (spec node-agent §13)."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import msgspec

from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.base import Record
from yurt.fsm.structs.service import Check, Service
from yurt.server.client.environment import Environment
from yurt.server.client.http import Unreachable, request
from yurt.server.client.services import address_of, own_services
from yurt.server.platform.supervision import Supervise, Supervised, unsupervised

PENDING, SUCCESS, FAILURE = "pending", "success", "failure"
OUTPUT_BYTES_MAX = 3 << 10
INTERVAL_SECONDS_MIN = 0.1


class CheckResult(Record, frozen=True):
    """The newest result of a check; `timestamp` in seconds since 1970."""

    check: str
    group: str
    id: str
    mode: str
    output: str
    service: str
    status: str
    timestamp: int
    status_code: int | msgspec.UnsetType = msgspec.UNSET
    task: str | msgspec.UnsetType = msgspec.UNSET


@dataclass(slots=True)
class Watched:
    """One check with its newest result."""

    id: str
    check: Check
    name: str
    service: str
    task: str
    address: str
    status: str = PENDING
    status_code: int = 0
    output: str = "nomad: waiting to run"
    timestamp: int = 0
    since_ns: int = 0  # of the last change of status
    failures: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def is_readiness(self) -> bool:
        """Whether it says when traffic may come, not whether a deployment is well."""
        return self.check.on_update == "ignore"

    def told(self, group: str) -> CheckResult:
        """As the API shows it."""
        return CheckResult(
            check=self.name,
            group=group,
            id=self.id,
            mode="readiness" if self.is_readiness else "healthiness",
            output=self.output,
            service=self.service,
            status=self.status,
            timestamp=self.timestamp,
            status_code=self.status_code or msgspec.UNSET,
            task=self.task or msgspec.UNSET,
        )


def watched(allocation: Allocation, services: tuple[Service, ...] | None, task: str, env: Environment) -> list[Watched]:
    """The checks of services that are ours to make, http and tcp."""
    found = []
    for service in own_services(services):
        for check in service.checks or ():
            if check.type not in ("http", "tcp"):
                continue
            label = env.text(check.port_label or service.port_label)
            host, port = address_of(allocation, label, env.text(service.address))
            name = env.text(check.name) or f'service: "{env.text(service.name)}" check'
            made = Watched(
                id=_identity(allocation, task, name, check, label),
                check=check,
                name=name,
                service=env.text(service.name),
                task=task or check.task_name,
                address=f"{host or '127.0.0.1'}:{port}",
                headers={key: ",".join(values) for key, values in (check.header or {}).items()},
            )
            found.append(made)
    return found


def _identity(allocation: Allocation, task: str, name: str, check: Check, label: str) -> str:
    parts = (
        allocation.id, allocation.task_group, task, name, check.type, label, check.on_update, check.address_mode,
        check.interval, check.timeout, check.protocol, check.path, check.method, check.tls_skip_verify,
    )  # fmt: skip
    return hashlib.sha256("\0".join(str(one) for one in parts).encode()).hexdigest()


async def probe(one: Watched) -> tuple[str, int, str]:
    """Status, HTTP status and output of one attempt."""
    seconds = one.check.timeout / 1e9 or 10.0
    if one.check.type == "tcp":
        return await _probe_tcp(one.address, seconds)
    path = one.check.path if one.check.path.startswith("/") else f"/{one.check.path}"
    tls = _tls(one.check) if one.check.protocol == "https" else None
    try:
        status, _, body = await request(
            one.address, one.check.method or "GET", path, tls=tls, server_name=one.check.tls_server_name,
            body=one.check.body.encode(), headers=one.headers, seconds=seconds,
        )  # fmt: skip
    except Unreachable as error:
        return FAILURE, 0, f'nomad: Get "{one.check.protocol or "http"}://{one.address}{path}": {error}'
    shown = body[:OUTPUT_BYTES_MAX].decode("utf-8", "replace")
    if status == 200:
        return SUCCESS, status, "nomad: http ok"
    return (SUCCESS if status < 400 else FAILURE), status, shown


def _tls(check: Check) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if check.tls_skip_verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def _probe_tcp(address: str, seconds: float) -> tuple[str, int, str]:
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except (OSError, TimeoutError) as error:
        return FAILURE, 0, f"nomad: dial tcp {address}: {str(error) or 'i/o timeout'}"
    writer.close()
    return SUCCESS, 0, "nomad: tcp ok"


class Checks:
    """All checks of an allocation that run at the moment; `changed` is called when a status changes.

    `restart(task, reason)` is called when a check has failed as often as its task may bear.
    """

    def __init__(
        self,
        changed: Callable[[], None],
        restart: Callable[[str, str], None],
        now_ns: Callable[[], int] = time.time_ns,
        supervise: Supervise = unsupervised,
    ) -> None:
        self._changed, self._restart, self._now_ns = changed, restart, now_ns
        self._supervise = supervise
        self._running: dict[str, tuple[list[Watched], list[Supervised]]] = {}

    def start(self, owner: str, checks: list[Watched]) -> None:
        """Begin to make the checks of a group or task, in place of those it had; the same ones just go on."""
        if [one.id for one in self._running.get(owner, ([], []))[0]] == [one.id for one in checks]:
            return
        self.stop(owner)
        self._running[owner] = (checks, [self._supervise(partial(self._watch, check)) for check in checks])

    def stop(self, owner: str) -> None:
        """Make them no more."""
        _, tasks = self._running.pop(owner, ([], []))
        for task in tasks:
            task.stop()

    def stop_all(self) -> None:
        """Make none any more."""
        for owner in list(self._running):
            self.stop(owner)

    def all(self) -> list[Watched]:
        """Return the running checks, with their newest results."""
        return [one for checks, _ in self._running.values() for one in checks]

    async def _watch(self, one: Watched) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        interval = max(INTERVAL_SECONDS_MIN, one.check.interval / 1e9)
        while True:
            status, one.status_code, one.output = await probe(one)
            one.timestamp = self._now_ns() // 1_000_000_000
            one.failures = one.failures + 1 if status == FAILURE else 0
            if status != one.status:
                one.status, one.since_ns = status, self._now_ns()
                self._changed()
            limits = one.check.check_restart
            has_failed = limits is not None and 0 < limits.limit <= one.failures
            if limits is not None and has_failed and loop.time() - began >= limits.grace / 1e9:
                one.failures, began = 0, loop.time()
                self._restart(one.task, f'healthcheck: check "{one.name}" unhealthy')
            await asyncio.sleep(interval)
