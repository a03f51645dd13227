"""Root keys in the state, wrapped: taken over from open files, replaced disks, key-encryption keys that change."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import signal
import tarfile
from pathlib import Path
from typing import Any

import jwt
import pytest

from tests.process.servers import ServerProcess, cluster, free_ports, leader_of, wait_for
from tests.process.test_replaced_disks import AUTOPILOT, QUICK, health, replace_disk, wait_until_ready, whole, write
from tests.process.test_upgrade import of_version
from yurt.fsm.commands_variables import WRAPPED_SINCE
from yurt.server.keyring.encryption import id_of

FIXTURE = Path(__file__).resolve().parents[1] / "fixtures/root_keys_in_files.tar.xz"
ITEMS = {f"app/n{number}": {"password": f"secret {number}"} for number in range(20)}
TASK = {"Name": "t", "Driver": "mock_driver", "Config": {"run_for": "1h"}, "Identity": {"File": True}}


def new_kek(path: Path) -> str:
    """Make a key-encryption key in a file; return its ID."""
    material = secrets.token_bytes(32)
    path.write_text(base64.b64encode(material).decode())
    path.chmod(0o600)
    return id_of(material)


def signed_with(server: ServerProcess, text: str) -> dict[str, Any]:
    """The claims of an identity, verified with the keys that the server publishes."""
    status, found = server.request("GET", "/.well-known/jwks.json")
    assert status == 200
    key_id = jwt.get_unverified_header(text)["kid"]
    (key,) = [key for key in found["keys"] if key["kid"] == key_id]
    claims: dict[str, Any] = jwt.decode(text, jwt.PyJWK(key).key, algorithms=["RS256"], audience="nomadproject.io")
    return claims


def kek_ids(server: ServerProcess) -> list[str]:
    """The key-encryption keys of the wrapped root keys, from the copies that the server keeps."""
    copies = (server.directory / "data/server/keystore").glob("*.wrapped.json")
    return [json.loads(path.read_bytes())["KeyEncryptionKeyID"] for path in copies]


def identity_of_a_task(servers: list[ServerProcess], directory: Path) -> str:
    """Run a task on a node of its own, end the node, and return the identity that the task got."""
    http, rpc = free_ports(2)
    addresses = [f"127.0.0.1:{server.http_port}" for server in servers]
    node = ServerProcess(directory, "node", http, rpc, client={"enabled": True, "servers": addresses})
    node.start()
    try:
        job = {"ID": "j", "TaskGroups": [{"Name": "g", "Count": 1, "Tasks": [TASK]}]}
        write(servers[0], "/v1/jobs", {"Job": job})
        found: list[Path] = wait_for(lambda: list((directory / "data").rglob("nomad_token")), 30, "the identity")
        return str(wait_for(lambda: found[0].read_text().strip(), 10, "the identity's text"))
    finally:
        node.stop()


@pytest.mark.slow
@pytest.mark.parametrize("configured", [False, True])
def test_s22_every_disk_is_replaced_and_variables_and_identities_stay(tmp_path: Path, configured: bool) -> None:
    kek = tmp_path / "kek"
    server = {**QUICK, **({"key_encryption_keys": [f"file:{kek}"]} if configured else {})}
    kek_id = new_kek(kek)
    with cluster(tmp_path, server=server, autopilot=AUTOPILOT) as servers:
        for path, items in ITEMS.items():
            write(servers[0], f"/v1/var/{path}", {"Items": items})
        identity = identity_of_a_task(servers, tmp_path / "node")
        write(servers[1], "/v1/operator/keyring/rotate")
        write(servers[2], "/v1/var/late", {"Items": {"k": "v"}})
        for one in sorted(servers, key=lambda one: one is not leader_of(servers)):  # the leader first
            replace_disk(servers, one)
        for one in servers:
            wait_until_ready(one)
            for path, items in {**ITEMS, "late": {"k": "v"}}.items():
                assert one.request("GET", f"/v1/var/{path}?stale")[1]["Items"] == items
            assert signed_with(one, identity)["nomad_job_id"] == "j"
        for one in servers:
            keystore = one.directory / "data/server/keystore"
            assert not list(keystore.glob("*.key.json")), "no root key is open on a disk"
            made = list(keystore.glob("*.kek"))
            assert [path.stat().st_mode & 0o777 for path in made] == ([] if configured else [0o600])
            assert set(kek_ids(one)) == ({kek_id} if configured else {made[0].stem})
        raft = [path for one in servers for path in (one.directory / "data/server/raft").rglob("*") if path.is_file()]
        (material,) = {path.read_bytes() for one in servers for path in one.directory.rglob("*.kek")} or {b""}
        material = base64.b64decode(kek.read_bytes() if configured else material)
        assert raft and not [path for path in raft if material in path.read_bytes()]


@pytest.mark.slow
def test_a_server_without_the_key_encryption_key_says_so_and_does_not_count(tmp_path: Path) -> None:
    kek = tmp_path / "kek"
    kek_id = new_kek(kek)
    with cluster(tmp_path, server={**QUICK, "key_encryption_keys": [f"file:{kek}"]}, autopilot=AUTOPILOT) as servers:
        write(servers[0], "/v1/var/a", {"Items": {"k": "v"}})
        wait_for(lambda: whole(servers), 20, "a healthy cluster")
        follower = next(one for one in servers if one is not leader_of(servers))
        follower.stop()
        follower.config = {**follower.config, "server": {**follower.config["server"], "key_encryption_keys": []}}
        follower.start().wait_ready()
        status, told = follower.request("GET", "/v1/agent/health?type=ready")
        assert status == 500 and kek_id in told["server"]["message"]
        assert kek_id in follower.log()
        wait_for(lambda: health(leader_of(servers)).get("FailureTolerance") == 0, 10, "it does not count")
        lacking = [row["Name"] for row in health(leader_of(servers))["Servers"] if "MissingKeys" in row]
        assert lacking == [f"{follower.name}.global"]
        block = {**follower.config["server"], "key_encryption_keys": [f"file:{kek}"]}
        (follower.directory / "config.json").write_text(
            json.dumps({**json.loads((follower.directory / "config.json").read_text()), "server": block})
        )
        assert follower.process is not None
        follower.process.send_signal(signal.SIGHUP)
        wait_until_ready(follower)
        assert follower.request("GET", "/v1/var/a?stale")[1]["Items"] == {"k": "v"}
        wait_for(lambda: whole(servers), 10, "a healthy cluster again")


@pytest.mark.slow
def test_key_encryption_keys_are_rotated_by_the_list_and_rewrap(tmp_path: Path) -> None:
    new = tmp_path / "new"
    new_id = new_kek(new)
    with cluster(tmp_path, server=QUICK, autopilot=AUTOPILOT) as servers:  # begins with a key that it makes itself
        for path, items in ITEMS.items():
            write(servers[0], f"/v1/var/{path}", {"Items": items})
        made = wait_for(lambda: {one for server in servers for one in kek_ids(server)}, 10, "wrapped keys")
        assert len(made) == 1 and new_id not in made

        def configure(server: ServerProcess) -> None:
            block = {**server.config["server"], "key_encryption_keys": [f"file:{new}"]}
            server.config = {**server.config, "server": block}
            file = server.directory / "config.json"
            file.write_text(json.dumps({**json.loads(file.read_text()), "server": block}))
            assert server.process is not None
            server.process.send_signal(signal.SIGHUP)

        def accepting() -> int:
            rows = leader_of(servers).request("GET", "/v1/operator/keyring/servers")[1]
            return sum(new_id in row["KeyEncryptionKeyIDs"] for row in rows)

        leader = leader_of(servers)
        configure(leader)
        wait_for(lambda: accepting() == 1, 10, "the leader's new key")
        status, text = leader.request("PUT", "/v1/operator/keyring/rewrap")
        assert status == 500 and "1 of 3 servers" in text, "not before the others have it"
        for server in servers:
            configure(server)
        wait_for(lambda: accepting() == 3, 10, "the new key everywhere")
        assert write(servers[0], "/v1/operator/keyring/rewrap")["KeyEncryptionKeyID"] == new_id
        write(servers[1], "/v1/operator/keyring/rotate")
        wait_for(lambda: all(kek_ids(server) == [new_id] * 2 for server in servers), 10, "copies wrapped anew")
        for server in servers:
            for path in (server.directory / "data/server/keystore").glob("*.kek"):
                path.unlink()
            server.stop()
            server.start().wait_ready()
        for server in servers:
            for path, items in ITEMS.items():
                assert server.request("GET", f"/v1/var/{path}")[1]["Items"] == items


def kept(servers: list[ServerProcess], suffix: str) -> list[int]:
    """Of how many root keys of the state each server's keystore has a file of a kind."""
    keys = [key["KeyID"] for key in servers[0].request("GET", "/v1/operator/keyring/keys?stale")[1]]
    keystores = [server.directory / "data/server/keystore" for server in servers]
    return [sum((keystore / f"{key_id}{suffix}").exists() for key_id in keys) for keystore in keystores]


def made_keks(servers: list[ServerProcess]) -> list[int]:
    """How many key-encryption keys each server keeps."""
    return [len(list((server.directory / "data/server/keystore").glob("*.kek"))) for server in servers]


@pytest.mark.slow
def test_open_root_keys_are_wrapped_when_the_last_server_is_upgraded(tmp_path: Path) -> None:
    before = os.pathsep.join((of_version(tmp_path, WRAPPED_SINCE - 1), os.environ.get("PYTHONPATH", "")))
    ports = free_ports(6)
    join = [f"127.0.0.1:{ports[2 * number + 1]}" for number in range(3)]
    block = {"enabled": True, "bootstrap_expect": 3, "server_join": {"retry_join": join}, **QUICK}
    servers = [
        ServerProcess(tmp_path / f"s{n}", f"s{n}", ports[2 * n], ports[2 * n + 1], server=block, autopilot=AUTOPILOT)
        for n in range(3)
    ]

    def all_is_readable() -> None:
        for server in servers:
            for path, items in ITEMS.items():
                assert server.request("GET", f"/v1/var/{path}?stale")[1]["Items"] == items

    try:
        for server in servers:
            server.start(PYTHONPATH=before)
        for server in servers:
            server.wait_ready()
        for path, items in ITEMS.items():
            write(servers[0], f"/v1/var/{path}", {"Items": items})
        assert kept(servers, ".wrapped.json") == [0, 0, 0]
        for number, server in enumerate(servers, 1):
            assert server.stop() == 0
            server.start().wait_ready()
            wait_until_ready(server)
            all_is_readable()
            if number < 3:  # the cluster of two versions makes keys that both can use
                write(servers[2], "/v1/operator/keyring/rotate")
                wait_for(lambda keys=number + 1: min(kept(servers, ".key.json")) >= keys, 20, "the key everywhere")
                assert made_keks(servers) == kept(servers, ".wrapped.json") == [0, 0, 0]
        wait_for(lambda: min(kept(servers, ".wrapped.json")) >= 3, 20, "wrapped keys on every server")
        wait_for(lambda: kept(servers, ".key.json") == [0, 0, 0], 10, "no open key on any disk")
        assert made_keks(servers) == [1, 1, 1]
        all_is_readable()
    finally:
        for server in servers:
            server.end()


@pytest.mark.slow
def test_a_data_directory_with_open_root_keys_is_taken_over(tmp_path: Path) -> None:
    with tarfile.open(FIXTURE) as archive:
        archive.extractall(tmp_path, filter="data")
    old = tmp_path / "root_keys_in_files"
    found = json.loads((old / "found.json").read_text())
    http, rpc = free_ports(2)
    server = ServerProcess(
        tmp_path / "one", "one", http, rpc, server={"enabled": True, "bootstrap_expect": 1}, acl={"enabled": True}
    )
    shutil.copytree(old / "server", tmp_path / "one/data/server")
    keystore = tmp_path / "one/data/server/keystore"
    headers = {"X-Nomad-Token": found["token"]}

    def all_is_there(but: tuple[str, ...] = ()) -> None:
        for path, items in found["variables"].items():
            status, shown = server.request("GET", f"/v1/var/{path}", headers=headers)
            assert (status, status == 200 and shown["Items"]) == ((404, False) if path in but else (200, items))
        identity = {"X-Nomad-Token": found["identity"]}
        assert server.request("GET", "/v1/var/nomad/jobs/old", headers=identity)[0] == 200
        assert signed_with(server, found["identity"])["nomad_job_id"] == "old"

    try:
        server.start().wait_ready()
        wait_for(lambda: not list(keystore.glob("*.key.json")), 20, "no open key is left")
        assert sorted(path.name.split(".")[0] for path in keystore.glob("*.wrapped.json")) == sorted(found["keys"])
        all_is_there()
        server.kill()
        shutil.rmtree(keystore / "nothing", ignore_errors=True)
        server.start().wait_ready()
        all_is_there()
        # A snapshot from before has no wrapped keys: they come from the copies, and go into the state anew.
        upload = (old / "saved.snap").read_bytes()
        assert restore(server, upload, headers) == 200
        all_is_there(but=tuple(found["after_snapshot"]))
        wait_for(lambda: wrapped_rows(server, headers) == len(found["keys"]), 10, "wrapped rows after the restore")
        for path in keystore.glob("*.wrapped.json"):
            path.unlink()
        server.stop()
        server.start().wait_ready()
        all_is_there(but=tuple(found["after_snapshot"]))
    finally:
        server.end()


def restore(server: ServerProcess, body: bytes, headers: dict[str, str]) -> int:
    """Restore a saved snapshot; the status."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=30)
    try:
        connection.request("PUT", "/v1/operator/snapshot", body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def wrapped_rows(server: ServerProcess, headers: dict[str, str]) -> int:
    """How many wrapped keys the state has."""
    tables = server.request("GET", "/v1/operator/state", headers=headers)[1]
    return next((int(table["Rows"]) for table in tables if table["Table"] == "wrapped_keys"), 0)
