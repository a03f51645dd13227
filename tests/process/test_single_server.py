"""One real server: restarts, refusals to start, bad days."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.process.servers import ServerProcess, free_ports, single, small_job, wait_for


def test_a_killed_server_restarts_with_everything(tmp_path: Path) -> None:
    with single(tmp_path) as server:
        indexes = [server.request("PUT", "/v1/jobs", small_job(f"job-{i}"))[1]["JobModifyIndex"] for i in range(20)]
        assert indexes == sorted(set(indexes))
        server.kill()
        server.start().wait_ready()
        stored = {job["ID"]: job["JobModifyIndex"] for job in server.request("GET", "/v1/jobs")[1]}
        assert stored == {f"job-{i}": index for i, index in enumerate(indexes)}


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_clean_and_exits_with_zero(tmp_path: Path, by: signal.Signals) -> None:
    with single(tmp_path) as server:
        server.request("PUT", "/v1/jobs", small_job("kept"))
        assert server.process is not None
        server.process.send_signal(by)
        assert server.process.wait(15) == 0
        assert "Traceback" not in server.log()
        server.start().wait_ready()
        assert [job["ID"] for job in server.request("GET", "/v1/jobs")[1]] == ["kept"]


def test_a_second_agent_refuses_the_data_directory(tmp_path: Path) -> None:
    with single(tmp_path) as server:
        http_port, rpc_port = free_ports(2)
        other = ServerProcess(tmp_path / "other", "two", http_port, rpc_port, server=server.config["server"])
        other.config = {**server.config, "data_dir": str(tmp_path / "data")}
        other.start()
        assert other.process is not None and other.process.wait(20) == 1
        assert str(tmp_path / "data") in other.log() and "Traceback" not in other.log()
        assert server.answers()


def test_a_port_in_use_is_a_clear_error(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        block = {"enabled": True, "bootstrap_expect": 1}
        server = ServerProcess(tmp_path, "one", port, free_ports(1)[0], server=block).start()
        assert server.process is not None and server.process.wait(20) == 1
        assert str(port) in server.log() and "in use" in server.log() and "Traceback" not in server.log()


def test_a_data_directory_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    with single(tmp_path) as server:
        server.stop()
        found = [path for path in (tmp_path / "data").rglob("*") if path.is_file() and "version" in path.name]
        assert found, "the data directory names its format"
        found[0].write_text("999999\n")
        server.start()
        assert server.process is not None and server.process.wait(20) == 1
        assert "newer" in server.log() and "Traceback" not in server.log()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_permission_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o500)
    server = ServerProcess(tmp_path, "one", *free_ports(2), server={"enabled": True, "bootstrap_expect": 1}).start()
    assert server.process is not None and server.process.wait(20) == 1
    assert "permission" in server.log().lower() and "Traceback" not in server.log()


def test_an_unknown_key_is_named(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, "one", *free_ports(2), server={"enabled": True, "bootstrap_expects": 1}).start()
    assert server.process is not None and server.process.wait(20) == 1
    assert "bootstrap_expects" in server.log() and "Traceback" not in server.log()


def test_silent_trickling_and_flooding_connections_are_ended(tmp_path: Path) -> None:
    with single(tmp_path) as server:
        flood = socket.create_connection(("127.0.0.1", server.http_port), timeout=15)
        flood.sendall(b"GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\n")
        sent = b""
        try:
            for number in range(5000):
                flood.sendall(f"X-Flood-{number}: {'x' * 100}\r\n".encode())
            flood.sendall(b"\r\n")
            sent = flood.recv(200)
        except OSError:
            pass
        assert not sent or b" 431 " in sent.split(b"\r\n")[0] + b" "
        silent = socket.create_connection(("127.0.0.1", server.http_port), timeout=20)
        started = time.monotonic()
        assert silent.recv(10) == b"", "a silent connection is closed by the server"
        assert time.monotonic() - started < 16
        assert server.answers()


@pytest.mark.slow
def test_a_full_disk_refuses_writes_and_loses_nothing(tmp_path: Path) -> None:
    """A small tmpfs gets full: writes are refused with a text, reads go on, what was acknowledged is kept."""
    full = tmp_path / "disk"
    full.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=44m", "tmpfs", str(full)], check=False)
    if not os.path.ismount(full):
        pytest.skip("no tmpfs may be mounted here")
    try:
        check_full_disk(full)
    finally:
        subprocess.run(["umount", str(full)], check=False)


def check_full_disk(full: Path) -> None:
    with single(full) as server:
        acknowledged = {}
        refusal = None
        for number in range(2000):
            job = small_job(f"job-{number}", Meta={"filler": os.urandom(40_000).hex()})
            try:
                status, body = server.request("PUT", "/v1/jobs", job)
            except OSError as error:
                refusal = (0, str(error))
                break
            if status != 200:
                refusal = (status, body)
                break
            acknowledged[f"job-{number}"] = body["JobModifyIndex"]
        assert refusal is not None, "a disk of 44 MB gets full"
        assert acknowledged
        if refusal[0]:
            assert refusal[0] == 500 and ("disk" in refusal[1] or "space" in refusal[1]), refusal
            stored = {job["ID"] for job in server.request("GET", "/v1/jobs")[1]}
            assert set(acknowledged) <= stored, "reads go on"
        server.end()
        subprocess.run(["mount", "-o", "remount,size=256m", str(full)], check=True)
        server.start().wait_ready()
        stored = {job["ID"]: job["JobModifyIndex"] for job in server.request("GET", "/v1/jobs")[1]}
        assert acknowledged.items() <= stored.items()
        assert server.request("PUT", "/v1/jobs", small_job("afterwards"))[0] == 200


def test_dev_mode_is_ready_within_seconds_and_keeps_nothing(tmp_path: Path) -> None:
    http_port, rpc_port = free_ports(2)
    command = [sys.executable, "-m", "yurt.server.cli", "agent", "-dev", "-config", str(tmp_path / "ports.json")]
    (tmp_path / "ports.json").write_text(json.dumps({"ports": {"http": http_port, "rpc": rpc_port}}))
    server = ServerProcess(tmp_path, "dev", http_port, rpc_port)
    with (tmp_path / "server.log").open("ab") as log:
        server.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_for(lambda: server.answers("/v1/jobs"), 10, "a dev agent answers")
        assert server.stop() == 0
    finally:
        server.end()
