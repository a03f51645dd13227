"""A server with something of everything in it, and every answer that it gave: what the description is held against."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.process.servers import ServerProcess, free_ports, wait_for
from tests.server.http.filling import fill, lose
from yurt.server.testing.process import end_tasks


class Told(NamedTuple):
    """An answer, as it came."""

    method: str
    path: str  # with its query
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def value(self) -> Any:
        return json.loads(self.body)


class Everything:
    """The server, its clients' questions and what they were told."""

    def __init__(self, server: ServerProcess) -> None:
        self.server, self.told = server, list[Told]()
        self.secret = ""
        self.secret = self.ask("PUT", "/v1/acl/bootstrap").value["SecretID"]

    def ask(self, method: str, path: str, body: Any = None, *, secret: str | None = None, **headers: str) -> Told:
        """One request, whose answer is kept."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.http_port, timeout=20)
        given = {"X-Nomad-Token": self.secret if secret is None else secret, **headers}
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        try:
            connection.request(method, path, data, given)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            told = Told(method, path, answer.status, found, answer.read())
        finally:
            connection.close()
        self.told.append(told)
        return told

    def do(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """One request that is answered well; its value, None without a body."""
        told = self.ask(method, path, body, **more)
        assert told.status in (200, 204), (method, path, told.status, told.body)
        try:
            return told.value if told.body else None
        except ValueError:
            return None

    def peek(self, path: str) -> Any:
        """An answer that is not kept, while something is waited for."""
        return self.server.request("GET", path, headers={"X-Nomad-Token": self.secret})[1]

    def wait(self, path: str, test: Any) -> Any:
        return wait_for(lambda: (found := self.peek(path)) is not None and test(found) and found, 30, path)


# --- what is asked of it


def questions(every: Everything, names: dict[str, str]) -> list[str]:
    """Every path that is read, with what is there."""
    own, stopped, failed = names["allocation"], names["stopped"], names["failed"]
    of_jobs = [
        f"/v1/job/{name}{ending}"
        for name in ("web", "failing", "nowhere", "nightly", "each", "all", "huge", "short", "rare", names["child"])
        for ending in (
            "", "/summary", "/versions?diffs=true", "/allocations", "/evaluations", "/deployments", "/deployment",
            "/scale", "/services", "/actions", "/versions",
        )
    ]  # fmt: skip
    of_files = [f"/v1/client/fs/{verb}/{own}?path={path}" for verb in ("ls", "stat") for path in ("/", "t/local")]
    return [
        *of_jobs,
        "/v1/jobs", "/v1/jobs?meta=true", "/v1/jobs?namespace=*&per_page=2", "/v1/jobs/statuses",
        "/v1/jobs/statuses?include_children=true&namespace=*", "/v1/job/web/submission?version=0",
        "/v1/evaluations?namespace=*", "/v1/evaluations?per_page=1", "/v1/evaluations/count",
        f"/v1/evaluation/{names['evaluation']}", f"/v1/evaluation/{names['blocked']}?related=true",
        f"/v1/evaluation/{names['evaluation']}/allocations",
        "/v1/allocations?namespace=*", "/v1/allocations?resources=true&task_states=false",
        *(f"/v1/allocation/{one}" for one in (own, stopped, failed, names["again"], names["apart"])),
        f"/v1/allocation/{own}/services", f"/v1/allocation/{own}/checks",
        f"/v1/client/allocation/{own}/checks", f"/v1/client/allocation/{own}/stats",
        f"/v1/client/allocation/{names['real']}/stats", f"/v1/client/allocation/{names['real']}/stats?task=t",
        *of_files, f"/v1/client/fs/stat/{own}?path=t/local/x", f"/v1/client/fs/cat/{own}?path=t/local/x", f"/v1/client/fs/readat/{own}?path=t/local/x&offset=0",
        f"/v1/client/fs/stream/{own}?path=t/local/x&follow=false",
        f"/v1/client/fs/logs/{own}?task=t&type=stdout&follow=false",
        f"/v1/client/fs/logs/{own}?task=t&type=stdout&follow=false&plain=true",
        "/v1/client/stats", "/v1/client/metadata",
        "/v1/deployments", "/v1/deployments?namespace=*&per_page=1", f"/v1/deployment/{names['deployment']}",
        f"/v1/deployment/allocations/{names['deployment']}",
        "/v1/nodes", "/v1/nodes?resources=true&os=true",
        *(f"/v1/node/{names[one]}{ending}" for one in ("node", "foreign") for ending in ("", "/allocations")),
        "/v1/node/pools", "/v1/node/pool/fast", "/v1/node/pool/all/nodes", "/v1/node/pool/default/jobs",
        "/v1/namespaces", "/v1/namespace/apps", "/v1/scaling/policies", f"/v1/scaling/policy/{names['policy']}",
        "/v1/services", "/v1/services?namespace=*", "/v1/service/web", "/v1/service/web?choose=1|x",
        "/v1/vars", "/v1/vars?namespace=*&per_page=1", "/v1/var/a/b", "/v1/var/locks/one",
        "/v1/status/leader", "/v1/status/peers", "/v1/regions",
        "/v1/agent/host", "/v1/agent/health", "/v1/agent/members", "/v1/agent/self", "/v1/agent/schedulers",
        "/v1/metrics", "/v1/metrics?format=prometheus",
        "/v1/operator/raft/configuration", "/v1/operator/autopilot/configuration", "/v1/operator/autopilot/health",
        "/v1/operator/scheduler/configuration", "/v1/operator/state", "/v1/operator/license", "/v1/operator/snapshot",
        "/v1/acl/policies", "/v1/acl/policy/workers", "/v1/acl/policy/self", "/v1/acl/tokens", "/v1/acl/token/self",
        f"/v1/acl/token/{names['accessor']}", "/v1/acl/roles", f"/v1/acl/role/{names['role']}", "/v1/acl/role/name/r",
        "/v1/acl/auth-methods", "/v1/acl/binding-rules",
    ]  # fmt: skip


def ask_everything(every: Everything) -> None:
    """Fill the server, and read all that is there."""
    names = fill(every)
    for path in questions(every, names):
        every.do("GET", path)
    lose(every, names)
    every.do("PUT", f"/v1/node/{names['foreign']}/purge")
    every.do("PUT", "/v1/system/gc")


@contextmanager
def everything(directory: Path) -> Iterator[Everything]:
    """A `-dev` agent with access control that has told everything."""
    http_port, rpc_port = free_ports(2)
    config = {"acl": {"enabled": True}, "telemetry": {"prometheus_metrics": True}, "server": {"record_authors": True}}
    server = ServerProcess(directory, "all", http_port, rpc_port, **config)
    try:
        every = Everything(server.start("-dev", "-data-dir", str(directory / "data")).wait_ready())
        ask_everything(every)
        yield every
    finally:
        server.end()
        end_tasks(directory)
