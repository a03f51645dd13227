"""Where the cluster secret comes from, and which servers do not start without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from yurt.server.config.load import ConfigError, load
from yurt.server.config.secrets import VARIABLE, BadSecret, cluster_secrets, insecure_rpc, new_secret

ONE, TWO, THREE = "the first secret of all", "the second secret of all", "the third secret of all"


@pytest.fixture(autouse=True)
def no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def configured(server: dict[str, Any], **fields: Any) -> Any:
    return load([], {"data_dir": "/data", "server": {"enabled": True, **server}, **fields})


def test_secrets_come_from_everywhere_in_order_and_each_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, encrypt = tmp_path / "secrets", new_secret()
    file.write_text(f"# newest first\n{TWO}\n\n  {ONE}  \n")
    monkeypatch.setenv(VARIABLE, f"{THREE}, {TWO}")
    given = {"cluster_secret": [ONE], "cluster_secret_file": str(file), "encrypt": encrypt}
    assert cluster_secrets(configured(given)) == (ONE, TWO, THREE, encrypt)
    assert cluster_secrets(configured({"cluster_secret": ONE})) == (ONE, THREE, TWO)


@pytest.mark.parametrize(
    ("server", "text"),
    [
        ({"cluster_secret": "short"}, "has 5 characters and needs 16 or more"),
        ({"cluster_secret_file": "/nowhere/at/all"}, "/nowhere/at/all cannot be read: No such file"),
        ({"encrypt": "not base64!"}, "Invalid encryption key"),
        ({"encrypt": "c2hvcnQ="}, "Invalid encryption key: it has 5 bytes"),
    ],
)
def test_what_is_no_secret_is_refused_with_the_reason(server: dict[str, Any], text: str) -> None:
    with pytest.raises((BadSecret, ConfigError), match=text):
        cluster_secrets(configured(server))


def test_an_empty_file_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("# nothing\n")
    with pytest.raises((BadSecret, ConfigError), match="holds no secret"):
        cluster_secrets(configured({"cluster_secret_file": str(tmp_path / "empty")}))


OPEN = {"acl": {"enabled": True}, "bind_addr": "0.0.0.0"}
TLS = {"rpc": True, "ca_file": "ca", "cert_file": "c", "key_file": "k"}


@pytest.mark.parametrize(
    "fields",
    [
        {**OPEN, "bind_addr": "127.0.0.1"},
        {**OPEN, "bind_addr": "::1"},
        {**OPEN, "addresses": {"rpc": "127.0.0.1"}},
        {**OPEN, "acl": {"enabled": False}},
        {**OPEN, "tls": TLS},
        {**OPEN, "server": {"cluster_secret": ONE}},
        {**OPEN, "server": {"encrypt": new_secret()}},
        {**OPEN, "server": {"allow_insecure_rpc": True}},
        {**OPEN, "dev": True},
        {**OPEN, "server": {"enabled": False}, "client": {"enabled": True, "servers": ["s"]}},
    ],
)
def test_s5_these_start(fields: dict[str, Any]) -> None:
    configured(**{"server": {}, **fields})


@pytest.mark.parametrize("fields", [OPEN, {**OPEN, "addresses": {"rpc": "10.0.0.1"}}, {**OPEN, "bind_addr": "::"}])
def test_s5_access_control_beyond_loopback_does_not_start_and_the_error_shows_the_lines(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as refused:
        configured({}, **fields)
    lines = [line.strip() for line in str(refused.value).splitlines()]
    (line,) = [line for line in lines if line.startswith("server { cluster_secret")]
    secret = line.split('"')[1]
    assert cluster_secrets(configured({"cluster_secret": secret}, **fields)) == (secret,), "the line does"
    assert "tls { rpc = true }" in lines and "allow_insecure_rpc = true" in lines[-1]


def test_an_open_port_is_warned_about(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "10.0.0.1" in insecure_rpc(configured({}, bind_addr="10.0.0.1"))
    assert insecure_rpc(configured({"allow_insecure_rpc": True}, **OPEN))
    assert not insecure_rpc(configured({}))
    monkeypatch.setenv(VARIABLE, ONE)
    assert not insecure_rpc(configured({}, bind_addr="10.0.0.1"))


@pytest.mark.parametrize(
    ("tls", "checked"), [({}, False), (TLS, True), ({**TLS, "verify_server_hostname": False}, False)]
)
def test_s16_roles_of_certificates_count_where_servers_speak_tls(tls: dict[str, Any], checked: bool) -> None:
    assert configured({}, tls=tls).tls.verify_server_hostname is checked
