"""Servers that speak mutual TLS among themselves, an API over HTTPS, and certificates that change while they run."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.process.servers import ServerProcess, cluster, free_ports, leader_of, small_job, wait_for
from tests.process.tls_files import Files
from yurt.server.raft.transport.handshake import HELLO, Hello
from yurt.server.tls.certificates import CLI, CLIENT, SERVER

pytestmark = pytest.mark.slow

BLOCK = {"enabled": True, "bootstrap_expect": 1}


def get(port: int, context: ssl.SSLContext, path: str = "/v1/status/leader") -> Any:
    """The body of an answer over HTTPS; None if there is no connection."""
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
    try:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


@contextlib.contextmanager
def https_server(directory: Path, context: ssl.SSLContext, **tls: Any) -> Iterator[ServerProcess]:
    http_port, rpc_port = free_ports(2)
    server = ServerProcess(directory / "one", "one", http_port, rpc_port, server=BLOCK, tls=tls)
    try:
        server.start()
        wait_for(lambda: get(http_port, context) == f"127.0.0.1:{rpc_port}", 15, "an answer over HTTPS")
        yield server
    finally:
        server.end()


def hang_up(server: ServerProcess) -> None:
    """SIGHUP, and wait until it was carried out."""
    before = server.log().count("read again")
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGHUP)
    wait_for(lambda: server.log().count("read again") > before, 10, "the configuration to be read again")


# --- among servers


def test_three_servers_speak_mutual_tls(tmp_path: Path) -> None:
    files = Files(tmp_path)
    with cluster(tmp_path, tls=files.tls(rpc=True, verify_server_hostname=True)) as servers:
        assert servers[0].request("PUT", "/v1/jobs", small_job("a"))[0] == 200
        assert [job["ID"] for job in servers[2].request("GET", "/v1/jobs")[1]] == ["a"]
        with socket.create_connection(("127.0.0.1", leader_of(servers).rpc_port), timeout=10) as plain:
            plain.sendall(b"\x00\x00\x00\x04\x00abcd")
            with contextlib.suppress(ConnectionResetError):
                assert plain.recv(100)[:1] in (b"", b"\x15"), "an alert or nothing"
        raw = socket.create_connection(("127.0.0.1", servers[0].rpc_port), timeout=10)
        stranger = files.context(None)
        with contextlib.suppress(OSError), stranger.wrap_socket(raw, server_hostname="127.0.0.1") as secure:
            secure.sendall(b"\x00\x00\x00\x04\x00abcd")
            assert secure.recv(10) == b"", "a peer without a certificate gets no answer"


def test_a_certificate_of_another_role_is_no_server(tmp_path: Path) -> None:
    files = Files(tmp_path)
    with cluster(tmp_path, tls=files.tls(rpc=True, verify_server_hostname=True)) as servers:
        http_port, rpc_port = free_ports(2)
        block = {"enabled": True, "server_join": {"retry_join": [f"127.0.0.1:{servers[0].rpc_port}"]}}
        other = ServerProcess(
            tmp_path / "other", "other", http_port, rpc_port, server=block, tls=files.tls(CLIENT, rpc=True)
        )
        try:
            other.start()
            wait_for(lambda: "server.global.nomad not in client.global.nomad" in servers[0].log(), 15, "a refusal")
            assert len(servers[0].request("GET", "/v1/status/peers")[1]) == 3
        finally:
            other.end()


def handshake(port: int, context: ssl.SSLContext) -> bool:
    """Whether the other side goes on after a handshake (it waits for a greeting)."""
    context.check_hostname = False
    raw = socket.create_connection(("127.0.0.1", port), timeout=10)
    try:
        with context.wrap_socket(raw) as secure:
            secure.settimeout(1.0)
            return secure.recv(10) != b""
    except TimeoutError:
        return True
    except OSError:
        return False


def test_peers_of_another_authority_and_expired_ones_get_no_answer(tmp_path: Path) -> None:
    files = Files(tmp_path)
    http_port, rpc_port = free_ports(2)
    tls = files.tls(rpc=True, verify_server_hostname=True)
    server = ServerProcess(tmp_path / "one", "one", http_port, rpc_port, server=BLOCK, tls=tls)
    try:
        server.start().wait_ready()
        assert handshake(rpc_port, files.context(SERVER))
        assert not handshake(rpc_port, files.context(None)), "none"
        assert not handshake(rpc_port, files.context(SERVER, "another")), "of another authority"
        assert not handshake(rpc_port, files.context(SERVER, age=10)), "expired"
    finally:
        server.end()


@pytest.mark.parametrize("role", [CLIENT, CLI])
def test_s16_certificates_of_nodes_and_people_ask_servers_nothing_by_default(tmp_path: Path, role: str) -> None:
    files = Files(tmp_path)
    http_port, rpc_port = free_ports(2)
    server = ServerProcess(tmp_path / "one", "one", http_port, rpc_port, server=BLOCK, tls=files.tls(rpc=True))
    try:
        server.start().wait_ready()
        context = files.context(role)
        context.check_hostname = False
        hello = msgspec.msgpack.encode(Hello(region="global", name="thief", server_id="thief", address="127.0.0.1:1"))
        raw = socket.create_connection(("127.0.0.1", rpc_port), timeout=10)
        with context.wrap_socket(raw) as secure:
            secure.settimeout(10)
            secure.sendall(len(hello).to_bytes(4) + bytes((HELLO,)) + hello)
            with contextlib.suppress(OSError):
                assert secure.recv(100) == b"", "no greeting in return"
        wait_for(lambda: f"server.global.nomad not in {role}.global.nomad" in server.log(), 5, "the reason in the log")
    finally:
        server.end()


@pytest.mark.parametrize("first", [b"\x01", b"\x04", b"\x00\x00\x00\x04\x00abcd", b"GET / HTTP/1.1\r\n\r\n"])
def test_first_bytes_that_are_no_tls_end_their_connection_on_a_port_with_tls(tmp_path: Path, first: bytes) -> None:
    files = Files(tmp_path)
    http_port, rpc_port = free_ports(2)
    server = ServerProcess(tmp_path / "one", "one", http_port, rpc_port, server=BLOCK, tls=files.tls(rpc=True))
    try:
        server.start().wait_ready()
        with socket.create_connection(("127.0.0.1", rpc_port), timeout=10) as plain:
            plain.sendall(first)
            plain.settimeout(2)
            with contextlib.suppress(ConnectionResetError):
                assert plain.recv(100) == b"", "not even an alert"
        assert handshake(rpc_port, files.context(SERVER))
    finally:
        server.end()


def test_servers_change_their_authority_while_they_run(tmp_path: Path) -> None:
    files = Files(tmp_path)
    names = ("s1", "s2", "s3")
    old, new = Path(files.authority("old")).read_bytes(), Path(files.authority("new")).read_bytes()
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(old)
    ports = free_ports(6)
    join = [f"127.0.0.1:{ports[2 * n + 1]}" for n in range(3)]
    block = {"enabled": True, "bootstrap_expect": 3, "server_join": {"retry_join": join}}
    servers = []
    for n, name in enumerate(names):
        certificate, key = files.write(name, SERVER, "old")
        tls = {
            "rpc": True,
            "verify_server_hostname": True,
            "ca_file": str(trusted),
            "cert_file": certificate,
            "key_file": key,
        }
        servers.append(ServerProcess(tmp_path / name, name, ports[2 * n], ports[2 * n + 1], server=block, tls=tls))

    def alive() -> int:
        members = servers[0].request("GET", "/v1/agent/members")[1]["Members"]
        return sum(one["Status"] == "alive" for one in members)

    try:
        for server in servers:
            server.start()
        for server in servers:
            server.wait_ready()
        wait_for(lambda: alive() == 3, 10, "three servers")
        trusted.write_bytes(old + new)
        for server in servers:
            hang_up(server)
        for name, server in zip(names[:2], servers[:2], strict=True):
            files.write(name, SERVER, "new")
            hang_up(server)
        wait_for(lambda: alive() == 3, 10, "both kinds of certificates")
        trusted.write_bytes(new)
        for server in servers:
            hang_up(server)
        wait_for(lambda: alive() == 2, 20, "the one with the old certificate is cut off")
        assert leader_of(servers[:2]).request("PUT", "/v1/jobs", small_job("a"), timeout=20)[0] == 200
        files.write(names[2], SERVER, "new")
        hang_up(servers[2])
        wait_for(lambda: alive() == 3, 20, "it is back with a new certificate")
    finally:
        for server in servers:
            server.end()


# --- the API


def test_clients_need_a_certificate_of_the_authority(tmp_path: Path) -> None:
    files = Files(tmp_path)
    tls = files.tls(http=True, verify_https_client=True)
    with https_server(tmp_path, files.context(), **tls) as server:
        assert get(server.http_port, files.context(None)) is None, "none"
        assert get(server.http_port, files.context(CLI, "another")) is None, "of another authority"
        assert get(server.http_port, files.context(CLI, age=10)) is None, "expired"
        assert get(server.http_port, files.context(CLI, trusts="another")) is None, (
            "the client does not trust the server"
        )
        assert get(server.http_port, files.context(CLIENT)) is not None


def test_certificates_are_read_again_at_a_hangup(tmp_path: Path) -> None:
    files = Files(tmp_path)
    tls = files.tls(http=True, verify_https_client=True)
    old = files.context()
    with https_server(tmp_path, old, **tls) as server:
        kept = http.client.HTTPSConnection("127.0.0.1", server.http_port, timeout=10, context=old)
        kept.request("GET", "/v1/status/leader")
        kept.getresponse().read()

        good = Path(tls["cert_file"]).read_bytes()
        Path(tls["cert_file"]).write_bytes(b"nonsense")
        assert server.process is not None
        os.kill(server.process.pid, signal.SIGHUP)
        wait_for(lambda: "was not read again; all stays as it was" in server.log(), 10, "a refusal in the log")
        assert get(server.http_port, old) is not None, "the old files are in use"
        Path(tls["cert_file"]).write_bytes(good)
        hang_up(server)
        kept.request("GET", "/v1/status/leader")
        assert kept.getresponse().read(), "the authority is the same: nobody is cut off"

        Path(tls["ca_file"]).write_bytes(Path(files.authority("new")).read_bytes())
        files.write(Path(tls["cert_file"]).stem, SERVER, "new")
        hang_up(server)
        assert kept.sock is not None and kept.sock.recv(1) == b"", "it is closed"
        assert get(server.http_port, old) is None, "the old authority is not trusted, by neither side"
        revoked = files.context(CLI, "ca", trusts="new")
        assert get(server.http_port, revoked) is None, "its certificate was taken back with its authority"
        assert get(server.http_port, files.context(CLI, "new", trusts="new")) is not None


def test_a_node_and_a_server_speak_https(tmp_path: Path) -> None:
    files = Files(tmp_path)
    tls = files.tls(http=True, verify_https_client=True, verify_server_hostname=True)
    with https_server(tmp_path, files.context(), **tls) as server:
        port, rpc_port = free_ports(2)
        own = files.tls(CLIENT, http=True, verify_https_client=True, verify_server_hostname=True)
        client = {"enabled": True, "servers": [f"127.0.0.1:{server.http_port}"]}
        node = ServerProcess(
            tmp_path / "node", "node", port, rpc_port, server={"enabled": False}, client=client, tls=own
        )
        try:
            node.start()

            def nodes() -> Any:
                return [one["Status"] for one in get(server.http_port, files.context(), "/v1/nodes") or []]

            wait_for(lambda: nodes() == ["ready"], 20, "the node")
            assert get(port, files.context(), "/v1/status/leader"), "the node hands over to its server"
            (found,) = get(server.http_port, files.context(), "/v1/nodes")
            stats = get(server.http_port, files.context(), f"/v1/client/stats?node_id={found['ID']}")
            assert stats is not None and "CPU" in stats, "the server hands over to the node"
        finally:
            node.end()


def test_the_command_line_makes_certificates_and_uses_them(tmp_path: Path) -> None:
    def yurt(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "yurt.server.cli", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    assert yurt("tls", "ca", "create", "-name-constraint").returncode == 0
    for role in ("-server", "-cli"):
        assert yurt("tls", "cert", "create", role).returncode == 0
    tls = {
        "http": True, "verify_https_client": True, "ca_file": str(tmp_path / "nomad-agent-ca.pem"),
        "cert_file": str(tmp_path / "global-server-nomad.pem"), "key_file": str(tmp_path / "global-server-nomad-key.pem"),
    }  # fmt: skip
    context = ssl.create_default_context(cafile=tls["ca_file"])
    context.load_cert_chain(tmp_path / "global-cli-nomad.pem", tmp_path / "global-cli-nomad-key.pem")
    with https_server(tmp_path, context, **tls) as server:
        address = f"-address=https://127.0.0.1:{server.http_port}"
        certificates = (
            "-ca-cert=nomad-agent-ca.pem",
            "-client-cert=global-cli-nomad.pem",
            "-client-key=global-cli-nomad-key.pem",
        )
        named = yurt("server", "members", address, *certificates, "-tls-server-name=server.global.nomad")
        assert named.returncode == 0 and "one" in named.stdout, named.stderr
        wrong = yurt("server", "members", address, *certificates, "-tls-server-name=server.europe.nomad")
        assert wrong.returncode == 1 and "server.europe.nomad" in wrong.stderr
        without = yurt("server", "members", address, "-ca-cert=nomad-agent-ca.pem")
        assert without.returncode == 1 and "Error:" in without.stderr
        nowhere = yurt("server", "members", address, "-ca-cert=nowhere.pem")
        assert nowhere.returncode == 1 and "nowhere.pem" in nowhere.stderr
