"""Servers that speak mutual TLS among themselves, and an API over HTTPS."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import ssl
import subprocess
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.process.servers import ServerProcess, cluster, free_ports, leader_of, small_job, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command")]


def openssl(*arguments: str, cwd: Path) -> None:
    subprocess.run(["openssl", *arguments], cwd=cwd, check=True, capture_output=True)


def certificates(directory: Path, name: str = "server.global.nomad") -> dict[str, object]:
    """An authority (made once) and a certificate of it for a name and 127.0.0.1; the `tls` block that uses them."""
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    if not (directory / "ca.pem").exists():
        openssl(
            "req",
            "-x509",
            *curve,
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
            "-subj",
            "/CN=ca",
            "-days",
            "2",
            cwd=directory,
        )
    openssl("req", *curve, "-keyout", f"{name}.key", "-out", "server.csr", "-subj", f"/CN={name}", cwd=directory)
    (directory / "ext").write_text(f"subjectAltName=DNS:{name},IP:127.0.0.1\n")
    openssl(
        "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
        "-out", f"{name}.pem", "-extfile", "ext", cwd=directory,
    )  # fmt: skip
    files = {
        name: str(directory / file)
        for name, file in (("ca_file", "ca.pem"), ("cert_file", f"{name}.pem"), ("key_file", f"{name}.key"))
    }
    return dict(files)


def test_three_servers_speak_mutual_tls(tmp_path: Path) -> None:
    tls = {**certificates(tmp_path), "rpc": True, "verify_server_hostname": True}
    with cluster(tmp_path, tls=tls) as servers:
        assert servers[0].request("PUT", "/v1/jobs", small_job("a"))[0] == 200
        assert [job["ID"] for job in servers[2].request("GET", "/v1/jobs")[1]] == ["a"]
        with socket.create_connection(("127.0.0.1", leader_of(servers).rpc_port), timeout=10) as plain:
            plain.sendall(b"\x00\x00\x00\x04\x00abcd")
            with contextlib.suppress(ConnectionResetError):
                assert plain.recv(100)[:1] in (b"", b"\x15"), "an alert or nothing"
        stranger = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        raw = socket.create_connection(("127.0.0.1", servers[0].rpc_port), timeout=10)
        with contextlib.suppress(OSError), stranger.wrap_socket(raw, server_hostname="127.0.0.1") as secure:
            secure.sendall(b"\x00\x00\x00\x04\x00abcd")
            assert secure.recv(10) == b"", "a peer without a certificate gets no answer"


def test_a_certificate_of_another_role_is_no_server(tmp_path: Path) -> None:
    tls = {**certificates(tmp_path), "rpc": True, "verify_server_hostname": True}
    client = {**certificates(tmp_path, "client.global.nomad"), "rpc": True}
    with cluster(tmp_path, tls=tls) as servers:
        http_port, rpc_port = free_ports(2)
        block = {"enabled": True, "server_join": {"retry_join": [f"127.0.0.1:{servers[0].rpc_port}"]}}
        other = ServerProcess(tmp_path / "other", "other", http_port, rpc_port, server=block, tls=client)
        try:
            other.start()
            wait_for(lambda: "server.global.nomad not in client.global.nomad" in servers[0].log(), 15, "a refusal")
            assert len(servers[0].request("GET", "/v1/status/peers")[1]) == 3
        finally:
            other.end()


def test_the_api_over_https(tmp_path: Path) -> None:
    http_port, rpc_port = free_ports(2)
    tls = {**certificates(tmp_path), "http": True}
    block = {"enabled": True, "bootstrap_expect": 1}
    server = ServerProcess(tmp_path / "one", "one", http_port, rpc_port, server=block, tls=tls)
    context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))

    def leader() -> object:
        try:
            with urlopen(f"https://127.0.0.1:{http_port}/v1/status/leader", context=context, timeout=5) as answer:
                return json.loads(answer.read())
        except OSError:
            return None

    try:
        server.start()
        assert wait_for(leader, 15, "an answer over HTTPS") == f"127.0.0.1:{rpc_port}"
    finally:
        server.end()
