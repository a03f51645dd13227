"""TLS of an agent, read anew: files change, what was decided at the start does not."""

from __future__ import annotations

import ssl
from pathlib import Path

import msgspec
import pytest

from tests.process.test_tls import Files
from yurt.server.cli.main import main
from yurt.server.config.agent import Tls
from yurt.server.tls.files import BadTls, TlsFiles


def test_a_reload_neither_loosens_nor_pretends_to_tighten(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Roles are looked for by parts that were made at the start: hostnames must be looked at as long as they are not."""
    tls = msgspec.convert(Files(tmp_path).tls(http=True), Tls)
    files = TlsFiles(tls)
    before = files.to_servers()
    assert before is not None and before.check_hostname
    wanted = msgspec.structs.replace(
        tls, verify_server_hostname=True, verify_https_client=True, tls_min_version="tls13", rpc=True
    )
    assert files.reload(wanted) is False
    after = files.to_servers()
    assert after is not None and after is not before
    assert after.check_hostname and after.verify_mode == ssl.CERT_REQUIRED and files.to_peers() is None
    assert after.minimum_version == before.minimum_version
    assert "next start" in caplog.text
    (said,) = [one.tls for one in caplog.records if hasattr(one, "tls")]
    assert said == "rpc, verify_server_hostname, verify_https_client, tls_min_version"


def test_files_that_cannot_be_used_change_nothing(tmp_path: Path) -> None:
    made = Files(tmp_path)
    tls = msgspec.convert(made.tls(http=True), Tls)
    files = TlsFiles(tls)
    before = files.to_servers()
    Path(tls.cert_file).write_text("nothing")
    with pytest.raises(BadTls, match="cert_file"):
        files.reload(tls)
    assert files.to_servers() is before
    other = made.authority("other")
    assert TlsFiles(msgspec.convert(made.tls(age=1, http=True), Tls)).reload(
        msgspec.structs.replace(msgspec.convert(made.tls(age=1, http=True), Tls), ca_file=other)
    )


def test_a_name_that_is_not_ascii_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (
        "ca create -name-constraint -additional-domain zoë.example",
        "cert create -server -additional-dnsname zoë.example",
    ):
        with pytest.raises(SystemExit) as ended:
            main(["tls", *words.split()])
        assert ended.value.code == 1 and "zoë.example is no name for a certificate" in capsys.readouterr().err
        assert not list(tmp_path.glob("*server*"))
        if words.startswith("ca"):
            main(["tls", "ca", "create"])
