"""Attacks on real node agents: archives, slow servers, pipes, modes, and nodes that are after secrets."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import io
import os
import socket
import stat
import subprocess
import tarfile
import threading
import time
import urllib.request
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.process.servers import ServerProcess, free_ports, single, wait_for
from tests.process.test_acl import ON, ONE, asked, holder
from tests.server.client.test_unpack import pax_bomb
from yurt.server.acl.statements import ATTRIBUTE

pytestmark = pytest.mark.slow
RAW = {"raw_exec": {"config": {"enabled": True}}}
MANY = 200_000


# --- a server of artifacts


def zip_of(name: str, mode: int) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        info = zipfile.ZipInfo(name)
        info.create_system, info.external_attr = 3, mode << 16
        archive.writestr(info, b"x")
    return body.getvalue()


def many_entries() -> bytes:
    """A tar archive of empty files, as a bomb is made."""
    header = tarfile.TarInfo("x").tobuf(tarfile.USTAR_FORMAT)
    return header * MANY + bytes(1024)


class Store(http.server.ThreadingHTTPServer):
    """Serves `bodies`; anything below /slow comes a byte a second."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, bodies: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), StoreHandler)
        self.bodies, self.slow = bodies, 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class StoreHandler(http.server.BaseHTTPRequestHandler):
    server: Store

    def do_GET(self) -> None:
        body = self.server.bodies.get(self.path, b"")
        self.send_response(200)
        self.send_header("Content-Length", str(1 << 20 if self.path.startswith("/slow") else len(body)))
        self.end_headers()
        if not self.path.startswith("/slow"):
            self.wfile.write(body)
            return
        self.server.slow += 1
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(b"x")
                time.sleep(1)

    def log_message(self, *_args: object) -> None:
        """Quiet."""


def artifact_job(job_id: str, source: str, **fields: Any) -> dict[str, Any]:
    artifact = {"GetterSource": source, "RelativeDest": "local/"}
    return task_job(job_id, "true", Artifacts=[artifact], **fields)


def task_job(job_id: str, script: str, *, count: int = 1, **fields: Any) -> dict[str, Any]:
    task = {
        "Name": "t", "Driver": "raw_exec", "Config": {"command": "/bin/sh", "args": ["-c", script]},
        "Resources": {"CPU": 1, "MemoryMB": 10}, "KillTimeout": 10**9, **fields,
    }  # fmt: skip
    never = {"Attempts": 0, "Mode": "fail", "Interval": 60 * 10**9, "Delay": 10**9}
    again = {"Attempts": 0, "Unlimited": False}
    group = {"Name": "g", "Count": count, "Tasks": [task], "RestartPolicy": never, "ReschedulePolicy": again}
    return {"Job": {"ID": job_id, "Type": "batch", "TaskGroups": [group]}}


class Node:
    """A server and node of one process, and what becomes of jobs there."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server

    def register(self, job: dict[str, Any]) -> tuple[int, Any]:
        return self.server.request("PUT", "/v1/jobs", job)

    def allocation(self, job_id: str, *statuses: str) -> dict[str, Any]:
        def there() -> Any:
            found = self.server.request("GET", f"/v1/job/{job_id}/allocations")[1]
            return found and found[0]["ClientStatus"] in statuses and found[0]

        found: dict[str, Any] = wait_for(there, 60, f"{job_id} to be {statuses}")
        return found

    def texts(self, allocation: dict[str, Any], task: str = "t") -> str:
        return " | ".join(one["DisplayMessage"] for one in allocation["TaskStates"][task]["Events"])

    def path(self, allocation: dict[str, Any]) -> Path:
        (found,) = self.server.directory.rglob(f"alloc/{allocation['ID']}")
        return found

    def resident(self) -> int:
        assert self.server.process is not None
        fields = Path(f"/proc/{self.server.process.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with single(tmp_path_factory.mktemp("node"), client={"enabled": True}, plugin=RAW) as server:
        wait_for(lambda: server.request("GET", "/v1/nodes")[1], 20, "a node")
        yield Node(server)
        for job in server.request("GET", "/v1/jobs")[1]:
            server.request("DELETE", f"/v1/job/{job['ID']}?purge=true")


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    made = Store(
        {"/pax.tar.xz": pax_bomb(450 << 20), "/many.tar": many_entries(), "/setuid.zip": zip_of("tool", 0o4755)}
    )
    yield made
    made.shutdown()
    made.server_close()


def test_s1_an_archive_changes_nothing_of_the_host(node: Node, store: Store, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("secret")
    victim.chmod(0o600)
    store.bodies["/absolute.zip"] = zip_of(str(victim), 0o666)
    store.bodies["/climbs.zip"] = zip_of("../" * 20 + str(victim).lstrip("/"), 0o666)
    for name in ("absolute", "climbs"):
        assert node.register(artifact_job(name, f"{store.url}/{name}.zip"))[0] == 200
        assert "outside the archive" in node.texts(node.allocation(name, "failed"))
    assert (victim.read_text(), stat.S_IMODE(victim.stat().st_mode)) == ("secret", 0o600)
    assert node.register(artifact_job("setuid", f"{store.url}/setuid.zip"))[0] == 200
    unpacked = node.path(node.allocation("setuid", "complete")) / "t/local/tool"
    assert stat.S_IMODE(unpacked.stat().st_mode) == 0o755


@pytest.mark.parametrize(("name", "why"), [("pax.tar.xz", "header record"), ("many.tar", "more than 4096 files")])
def test_s7_bombs_cost_the_agent_nothing(node: Node, store: Store, name: str, why: str) -> None:
    before = node.resident()
    job_id = name.partition(".")[0]
    assert node.register(artifact_job(job_id, f"{store.url}/{name}"))[0] == 200
    assert why in node.texts(node.allocation(job_id, "failed"))
    assert node.resident() - before < 32 << 20


def test_s9_forty_slow_servers_hold_up_nobody(node: Node, store: Store) -> None:
    assert node.register(artifact_job("slow", f"{store.url}/slow"))[0] == 200
    job = artifact_job("slow", f"{store.url}/slow")
    job["Job"]["TaskGroups"][0]["Count"] = 40
    assert node.register(job)[0] == 200
    wait_for(lambda: store.slow >= 40, 90, "forty downloads")
    for path in ("/openapi.json", "/v1/operator/snapshot"):
        with urllib.request.urlopen(f"http://127.0.0.1:{node.server.http_port}{path}", timeout=60) as answer:
            assert answer.status == 200 and answer.read()
    assert node.server.request("DELETE", "/v1/job/slow")[0] == 200

    def fetching() -> list[str]:
        found = subprocess.run(["ps", "-e", "-o", "args="], capture_output=True, text=True, check=True).stdout
        return [line for line in found.splitlines() if "getter.py download" in line]

    wait_for(lambda: not fetching(), 30, "the downloads to end with their allocations")


def test_s10_a_template_cannot_ask_for_setuid(node: Node) -> None:
    template = {"EmbeddedTmpl": "x", "DestPath": "local/tool", "Perms": "4755"}
    status, answer = node.register(task_job("template", "true", Templates=[template]))
    assert status != 200 and "above 0777" in str(answer)


def test_s11_strangers_see_nothing_of_an_allocation(node: Node) -> None:
    assert node.register(task_job("closed", "echo hello; sleep 300"))[0] == 200
    allocation = node.allocation("closed", "running")
    directory = node.path(allocation)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (directory.parent, directory)}
    assert set(modes.values()) == {0o711}
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o700}
    log = f"/v1/client/fs/logs/{allocation['ID']}?task=t&type=stdout&plain=true"
    wait_for(lambda: node.server.request("GET", log)[1] == "hello\n", 60, "the log by the API")


def test_s15_a_task_that_replaces_its_logs_can_be_stopped(node: Node) -> None:
    script = (
        'cd "$NOMAD_ALLOC_DIR/logs"; for n in 1 2 3 4 5 6 7 8 9; do mkfifo t.stdout.$n; done; '
        "while :; do echo 0123456789012345678901234567890123456789; done"
    )
    logs = {"MaxFiles": 1, "MaxFileSizeMB": 1}
    assert node.register(task_job("pipes", script, LogConfig=logs))[0] == 200
    directory = node.path(node.allocation("pipes", "running"))
    wait_for(lambda: list((directory / "alloc/logs").glob("t.stdout.??*")), 60, "the log behind the pipes")
    assert node.server.request("DELETE", "/v1/job/pipes")[0] == 200
    node.allocation("pipes", "complete", "failed")


def test_s18_a_task_whose_name_leads_out_is_refused_or_fails(node: Node) -> None:
    job = task_job("climber", "true")
    job["Job"]["TaskGroups"][0]["Tasks"][0]["Name"] = ".."
    if node.register(job)[0] == 200:
        assert "escapes" in node.texts(node.allocation("climber", "failed"), "..")


# --- a node that is after secrets


class Evil:
    """What somebody registered as a node's address: keeps what it is sent, answers what it likes."""

    def __init__(self) -> None:
        self.got, self.answer = b"", b""
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                with connection:
                    connection.settimeout(5)
                    with contextlib.suppress(OSError):
                        self.got += connection.recv(65536)
                        connection.sendall(self.answer)

    def header(self, name: bytes) -> str:
        lines = [line for line in self.got.split(b"\r\n") if line.lower().startswith(name + b":")]
        return lines[-1].partition(b":")[2].strip().decode() if lines else ""

    def close(self) -> None:
        self._socket.close()


def evil_answer(node_id: str, kind: str) -> bytes:
    body = b"<script>alert(1)</script>"
    return (
        f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nX-Yurt-Node: {node_id}\r\nLocation: http://evil/\r\n"
        f"Set-Cookie: a=b\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


@contextlib.contextmanager
def with_access_control(tmp_path: Path, **block: Any) -> Iterator[tuple[ServerProcess, str, str]]:
    """A server; its management secret, and one that introduces nodes."""
    own = {"enabled": True, "bootstrap_expect": 1, **block}
    with single(tmp_path / "server", **ON, server=own) as server:
        management = asked(server, "PUT", "/v1/acl/bootstrap")[1]["SecretID"]
        keys = "/v1/operator/keyring/keys"
        wait_for(lambda: asked(server, "GET", keys, None, management)[1], 60, "a key that signs")
        yield server, management, holder(server, management, "nodes", 'node { policy = "write" }')["SecretID"]


def registered(server: ServerProcess, introduction: str, address: str, attributes: dict[str, str]) -> str:
    node = {
        "ID": str(uuid.uuid4()), "SecretID": str(uuid.uuid4()), "Name": "evil", "Datacenter": "dc1",
        "HTTPAddr": address, "Attributes": attributes, "Status": "ready",
    }  # fmt: skip
    headers = {"Authorization": f"Bearer {introduction}"}
    assert server.request("PUT", "/v1/agent-rpc/Node.Register", {"Node": node}, headers=headers)[0] == 200
    return str(node["ID"])


def raw(server: ServerProcess, path: str, secret: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=20)
    try:
        connection.request("GET", path, headers={"X-Nomad-Token": secret, "Authorization": f"Bearer {secret}"})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_s13_a_node_never_sees_a_secret_and_does_not_choose_how_its_answers_are_read(tmp_path: Path) -> None:
    with with_access_control(tmp_path) as (server, management, introduction), contextlib.closing(Evil()) as evil:
        taking = registered(server, introduction, evil.address, {ATTRIBUTE: "1"})
        old = registered(server, introduction, evil.address, {})
        odd = registered(server, introduction, f"x@{evil.address}/?", {ATTRIBUTE: "1"})
        for kind in ("text/html", "image/svg+xml"):
            evil.answer = evil_answer(taking, kind)
            status, headers, _ = raw(server, f"/v1/client/stats?node_id={taking}", management)
            assert (status, headers["content-type"]) == (200, "application/json")
            assert "location" not in headers and "set-cookie" not in headers
            status, headers, _ = raw(server, f"/v1/agent/monitor?node_id={taking}&plain=true", management)
            assert headers["content-type"].startswith("text/plain")
        assert evil.header(b"x-yurt-statement")
        evil.answer = evil_answer("somebody else", "text/html")
        status, _, body = raw(server, f"/v1/client/stats?node_id={taking}", management)
        assert status == 500 and b"script" not in body and b"is not node" in body
        evil.answer = evil_answer(taking, "text/html").replace(b"200 OK", b"302 Found")
        assert raw(server, f"/v1/client/stats?node_id={taking}", management)[0] == 500
        statements = evil.got
        status, _, body = raw(server, f"/v1/client/stats?node_id={old}", management)
        assert status == 500 and b"allow_node_tokens" in body and evil.got == statements, "nothing was sent"
        assert raw(server, f"/v1/client/stats?node_id={odd}", management)[0] == 404
        assert management.encode() not in evil.got and b"nomad-token" not in evil.got.lower()


def test_s13_statements_work_for_their_caller_and_for_nobody_else(tmp_path: Path) -> None:
    with with_access_control(tmp_path) as (server, management, introduction), contextlib.closing(Evil()) as evil:
        http_port, rpc_port = free_ports(2)
        block = {"enabled": True, "servers": [f"127.0.0.1:{server.http_port}"], "introduction_token": introduction}
        known = ServerProcess(tmp_path / "node", "known", http_port, rpc_port, client=block)
        try:
            known.start()
            wait_for(lambda: asked(server, "GET", "/v1/nodes", None, management)[1], 60, "the node")
            assert asked(server, "PUT", "/v1/jobs", ONE, management)[0] == 200

            def running() -> Any:
                found = asked(server, "GET", "/v1/allocations", None, management)[1]
                return found and found[0]["ClientStatus"] == "running" and found[0]

            allocation = wait_for(running, 60, "a running allocation")
            alloc, node_id = allocation["ID"], allocation["NodeID"]
            reader = holder(server, management, "files", 'namespace "default" { capabilities = ["read-fs"] }')
            token = reader["SecretID"]
            path = f"/v1/client/fs/ls/{alloc}?path=/"
            assert asked(server, "GET", path, None, token)[0] == 200
            assert asked(server, "GET", path, None, management)[0] == 200
            assert asked(server, "GET", path, None, introduction)[0] == 403
            assert asked(server, "GET", f"/v1/client/stats?node_id={node_id}", None, introduction)[0] == 200
            assert asked(server, "GET", f"/v1/agent/host?node_id={node_id}", None, management)[0] == 200
            meta = {"NodeID": node_id, "Meta": {"rack": "r7"}}
            assert asked(server, "POST", f"/v1/client/metadata?node_id={node_id}", meta, management)[0] == 200
            # a statement that was made for another node, shown to this one
            other = registered(server, introduction, evil.address, {ATTRIBUTE: "1"})
            raw(server, f"/v1/client/stats?node_id={other}", management)
            statement = evil.header(b"x-yurt-statement")
            assert statement
            for target in (f"/v1/client/stats?node_id={other}", "/v1/client/stats", path):
                headers = {"X-Yurt-Statement": statement, "X-Yurt-Proxied": "1"}
                status, text = known.request("GET", target, headers=headers)
                assert status == 403 and "Permission denied" in text
            assert asked(known, "GET", path, None, token)[0] == 200, "directly, as before"
        finally:
            known.end()


def test_s13_old_nodes_are_asked_while_an_operator_allows_it(tmp_path: Path) -> None:
    with (
        with_access_control(tmp_path, allow_node_tokens=True) as (server, management, introduction),
        contextlib.closing(Evil()) as evil,
    ):
        evil.answer = evil_answer("", "text/html")
        old = registered(server, introduction, evil.address, {})
        status, headers, _ = raw(server, f"/v1/client/stats?node_id={old}", management)
        assert (status, headers["content-type"]) == (200, "application/json")
        assert evil.header(b"x-nomad-token") == management
