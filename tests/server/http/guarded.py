"""A server with access control, and tokens by what they may do."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.process.servers import ServerProcess, free_ports
from yurt.server.http.routing.route import Route
from yurt.server.testing.agent import wait_for

UNKNOWN = "00000000-0000-0000-0000-000000000000"
JOB: dict[str, Any] = {
    "ID": "web", "Datacenters": ["dc1"], "Update": {"MaxParallel": 1},
    "TaskGroups": [{"Name": "g", "Count": 1, "Tasks": [
        {"Name": "t", "Driver": "mock_driver", "Config": {"run_for": "1h"}, "Resources": {"CPU": 10, "MemoryMB": 10}},
    ]}],
}  # fmt: skip


class Guarded:
    """A server with access control, a job that runs, and tokens by their rules."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.management = self.call("PUT", "/v1/acl/bootstrap")[1]["SecretID"]
        self.secrets: dict[str, str] = {}
        assert self.call("PUT", "/v1/jobs", {"Job": JOB}, self.management)[0] == 200
        wait_for(self._runs, 20, "an allocation and a deployment")
        self.names = {
            "allocation": self.call("GET", "/v1/allocations", None, self.management)[1][0]["ID"],
            "evaluation": self.call("GET", "/v1/evaluations", None, self.management)[1][0]["ID"],
            "deployment": self.call("GET", "/v1/deployments", None, self.management)[1][0]["ID"],
        }

    def _runs(self) -> bool:
        allocs = self.call("GET", "/v1/allocations", None, self.management)[1]
        return bool(allocs) and allocs[0]["ClientStatus"] == "running"

    def call(self, method: str, path: str, body: Any = None, secret: str = "", **headers: str) -> tuple[int, Any]:
        data = json.dumps(body).encode() if body is not None else None
        given = {"X-Nomad-Token": secret, **{name.replace("_", "-"): value for name, value in headers.items()}}
        request = urllib.request.Request(self.server.address + path, data, given, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                status = answer.status
                raw = b"" if path.startswith(("/v1/event/stream", "/v1/agent/monitor")) else answer.read()
        except urllib.error.HTTPError as error:
            status, raw = error.code, error.read()
        try:
            return status, json.loads(raw)
        except ValueError:
            return status, raw.decode("utf-8", "replace")

    def holder(self, rules: str) -> str:
        """The secret of a token with these rules."""
        if rules not in self.secrets:
            name = f"p{len(self.secrets)}"
            assert self.call("PUT", f"/v1/acl/policy/{name}", {"Name": name, "Rules": rules}, self.management)[0] == 200
            made = self.call("PUT", "/v1/acl/token", {"Type": "client", "Policies": [name]}, self.management)[1]
            self.secrets[rules] = made["SecretID"]
        return self.secrets[rules]

    def path(self, route: Route) -> str:
        path = route.path
        for kind in ("allocation", "evaluation", "deployment"):
            if path.startswith((f"/v1/{kind}", f"/v1/client/{kind}")) or (
                kind == "allocation" and "/client/fs/" in path
            ):
                path = path.replace(":id", self.names[kind])
        if path.startswith("/v1/job/"):
            path = path.replace(":id", "web")
        for name, value in ((":id", UNKNOWN), (":tag", "v"), (":accessor", UNKNOWN), (":other", "x"), (":path", "a/b")):
            path = path.replace(name, value)
        return path.replace(":name", "default") + ("?version=0" if path.endswith("/submission") else "")


@contextmanager
def guarded_server(directory: Path, **acl: Any) -> Iterator[Guarded]:
    """A `-dev` agent with `acl` beside `enabled`, and its state on disk."""
    http_port, rpc_port = free_ports(2)
    server = ServerProcess(directory, "acl", http_port, rpc_port, acl={"enabled": True, **acl})
    try:
        yield Guarded(server.start("-dev", "-data-dir", str(directory / "data")).wait_ready())
    finally:
        server.end()
