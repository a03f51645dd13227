"""Job files from a URL, from a real server on loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.server.cli.test_jobfile import SOURCE, loaded
from yurt.server.cli import fetch


class Files(BaseHTTPRequestHandler):
    """Serves one job file, redirections and a file that is too large."""

    def do_GET(self) -> None:
        moved = {"/moved": "/web.nomad.hcl?x=1", "/away": "file:///etc/passwd", "/ftp": "ftp://127.0.0.1/x"}
        path = self.path.partition("?")[0]
        if path in moved:
            self.send_response(302)
            self.send_header("Location", moved[path])
            self.end_headers()
            return
        body = {"/web.nomad.hcl": SOURCE.encode(), "/large": b"x" * 2000}.get(path)
        self.send_response(404 if body is None else 200)
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, format: str, *_args: object) -> None:
        """Nothing on the tests' output."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Files)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(10)
    server.server_close()


@pytest.mark.parametrize("path", ["/web.nomad.hcl?v=2", "/moved"])
def test_a_job_file_from_a_url(site: str, path: str) -> None:
    found = loaded(site + path)
    assert found.job["ID"] == "j" and found.submission["Source"] == SOURCE


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/missing", "HTTP Error 404"),
        ("/away", "Redirection to url 'file:///etc/passwd' is not allowed"),
        ("/ftp", "redirected to ftp://127.0.0.1/x, which is not followed"),
        ("/large", "more than 0 MiB"),
    ],
)
def test_what_cannot_be_had_is_said(
    site: str, path: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fetch, "BYTES_MAX", 1000)
    with pytest.raises(SystemExit):
        loaded(site + path)
    told = capsys.readouterr().err
    assert f"Error getting job file from {site}{path}" in told and words in told


def test_diagnostics_name_the_last_part_of_the_path(site: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        loaded(site + "/web.nomad.hcl", variables=("unknown=1",))
    assert "web.nomad.hcl" in capsys.readouterr().err


def test_only_http_is_a_url() -> None:
    assert fetch.is_url("HTTPS://example.org/x") and not fetch.is_url("file:///x") and not fetch.is_url("web.hcl")
