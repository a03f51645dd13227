"""Artifacts: fetched, checked, unpacked, and nothing outside the task's directory is written (spec node-agent §13)."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import http.server
import io
import os
import tarfile
import threading
import time
import urllib.parse
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.server.client.test_trees import deepen
from yurt.server.client import artifacts
from yurt.server.client.artifacts import ArtifactError, ArtifactLimits, Artifacts


def tar_of(*entries: tuple[str, bytes | None]) -> bytes:
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w:gz") as archive:
        for name, data in entries:
            member = tarfile.TarInfo(name)
            if data is None:
                member.type, member.linkname = tarfile.SYMTYPE, "/etc"
                archive.addfile(member)
            else:
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return body.getvalue()


def zip_of(**entries: bytes) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return body.getvalue()


FILES = {
    "/plain.txt": b"plain",
    "/good.tar.gz": tar_of(("dir/a", b"A"), ("b", b"B")),
    "/climbs.tar.gz": tar_of(("../../climbed", b"x")),
    "/absolute.tar.gz": tar_of(("/tmp/yurt-absolute", b"x")),
    "/link.tar.gz": tar_of(("link", None), ("link/x", b"x")),
    "/good.zip": zip_of(**{"dir/a": b"A"}),
    "/broken.zip": b"PK not a zip",
}


CUT = {  # headers of answers that all end after five bytes
    "short": {"Content-Length": "9"}, "encoded": {"Content-Length": "9", "Content-Encoding": "x"}, "unsaid": {},
    "nonsense": {"Content-Length": "nine"},
}  # fmt: skip
SLOW = threading.Event()  # a client waits for /slow


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves FILES; shows the headers at /headers."""

    def do_GET(self) -> None:
        if self.path.startswith("/to?u="):
            self.send_response(302)
            self.send_header("Location", urllib.parse.unquote(self.path.removeprefix("/to?u=")))
            self.end_headers()
            return
        if self.path == "/slow":
            SLOW.set()
            with contextlib.suppress(OSError):
                while True:  # a header that does not end
                    self.wfile.write(b"H")
                    time.sleep(0.05)
            return
        if self.path.startswith("/cut/"):
            self.send_response(200)
            for name, value in CUT[self.path.removeprefix("/cut/")].items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"short")
            return
        body = self.headers.get("X-Key", "").encode() if self.path == "/headers" else FILES.get(self.path)
        self.send_response(200 if body is not None else 404)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_args: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def get(task: Path, source: str, **fields: Any) -> None:
    task.mkdir(exist_ok=True)
    artifact = {
        "getter_source": source, "getter_options": None, "getter_headers": None, "getter_mode": "any",
        "relative_dest": "local/", **fields,
    }  # fmt: skip
    asyncio.run(Artifacts().fetch(artifact, task, task.parent))
    assert not list(task.parent.glob(".staging-*")), "nothing is left behind"


def test_a_file_and_where_it_goes(tmp_path: Path, url: str) -> None:
    task = tmp_path / "t"
    get(task, f"{url}/plain.txt")
    get(task, f"{url}/plain.txt", relative_dest="local/named", getter_mode="file")
    get(task, f"{url}/good.tar.gz", relative_dest="local/kept", getter_options={"archive": "false"})
    assert (task / "local/plain.txt").read_bytes() == (task / "local/named").read_bytes() == b"plain"
    assert (task / "local/kept/good.tar.gz").read_bytes() == FILES["/good.tar.gz"]


@pytest.mark.parametrize("name", ["good.tar.gz", "good.zip"])
def test_archives_are_unpacked(tmp_path: Path, url: str, name: str) -> None:
    get(tmp_path / "t", f"{url}/{name}")
    assert (tmp_path / "t/local/dir/a").read_bytes() == b"A"


def test_headers_are_sent(tmp_path: Path, url: str) -> None:
    get(tmp_path / "t", f"{url}/headers", getter_headers={"X-Key": "secret"})
    assert (tmp_path / "t/local/headers").read_bytes() == b"secret"


def test_headers_stay_where_they_belong_and_nothing_but_http_is_followed(tmp_path: Path, url: str) -> None:
    headers = {"X-Key": "secret"}
    get(tmp_path / "a", f"{url}/to?u=/headers", getter_headers=headers, relative_dest="local/f", getter_mode="file")
    assert (tmp_path / "a/local/f").read_bytes() == b"secret", "the same server"
    other = url.replace("127.0.0.1", "localhost")
    get(
        tmp_path / "b",
        f"{url}/to?u={other}/headers",
        getter_headers=headers,
        relative_dest="local/f",
        getter_mode="file",
    )
    assert (tmp_path / "b/local/f").read_bytes() == b"", "another one"
    with pytest.raises(ArtifactError, match="leads to ftp"):
        get(tmp_path / "c", f"{url}/to?u=ftp://127.0.0.1/x")


@pytest.mark.parametrize("kind", ["sha256", "sha1", "md5", "sha512", ""])
def test_checksums(tmp_path: Path, url: str, kind: str) -> None:
    digest = hashlib.new(kind or "sha256", b"plain").hexdigest()
    given = f"{kind}:{digest}" if kind else digest
    get(tmp_path / "t", f"{url}/plain.txt", getter_options={"checksum": given})
    get(tmp_path / "t", f"{url}/plain.txt?checksum={given}")
    with pytest.raises(ArtifactError, match="Checksums did not match"):
        get(
            tmp_path / "t",
            f"{url}/plain.txt",
            getter_options={"checksum": given[:-1] + ("0" if given[-1] != "0" else "1")},
        )


@pytest.mark.parametrize(
    ("source", "fields", "text"),
    [
        ("{url}/nothing", {}, "bad response code: 404"), ("file:///etc/passwd", {}, "only http and https"),
        ("git::https://x/y", {}, "only http and https"), ("/etc/passwd", {}, "only http and https"),
        ("http://127.0.0.1:9/x", {}, "connection refused"), ("{url}/broken.zip", {}, "zip"),
        ("{url}/plain.txt", {"relative_dest": "../../x"}, "escapes"),
        ("{url}/plain.txt", {"getter_options": {"checksum": "crc:12"}}, "unsupported checksum type"),
        ("{url}/climbs.tar.gz", {}, "outside"),
        ("{url}/absolute.tar.gz", {}, "absolute name"), ("{url}/link.tar.gz", {}, ""),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, url: str, source: str, fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ArtifactError) as caught:
        get(tmp_path / "t", source.format(url=url), **fields)
    assert text in str(caught.value)
    assert not (tmp_path / "climbed").exists() and not (tmp_path / "x").exists()


def test_a_link_of_the_task_is_not_written_through(tmp_path: Path, url: str) -> None:
    task = tmp_path / "t"
    (task / "local").mkdir(parents=True)
    (tmp_path / "victim").write_text("kept")
    (task / "local/plain.txt").symlink_to(tmp_path / "victim")
    get(task, f"{url}/plain.txt")
    assert (tmp_path / "victim").read_text() == "kept" and not (task / "local/plain.txt").is_symlink()
    (task / "out").symlink_to(tmp_path)
    with pytest.raises(ArtifactError, match="escapes"):
        get(task, f"{url}/plain.txt", relative_dest="out/")


@pytest.mark.parametrize("error", [RecursionError("too deep"), RuntimeError("can't start new thread"), EOFError()])
def test_whatever_goes_wrong_is_an_error_of_the_artifact(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def place(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr(artifacts, "_place", place)
    with pytest.raises(ArtifactError, match=str(error) or "EOFError"):
        get(tmp_path / "t", f"{url}/plain.txt")


def test_a_failed_artifact_of_any_depth_leaves_nothing_behind(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def place(ready: Path, *_arguments: object) -> None:
        deepen(ready)
        raise OSError("no room")

    monkeypatch.setattr(artifacts, "_place", place)
    with pytest.raises(ArtifactError, match="no room"):
        get(tmp_path / "t", f"{url}/plain.txt")


@pytest.mark.parametrize(
    ("sent", "text"),
    [("short", "ended after 5 of 9 bytes"), ("encoded", "ended after 5 of 9 bytes"), ("unsaid", ""), ("nonsense", "")],
)  # fmt: skip
def test_a_download_that_ends_early_is_no_artifact(tmp_path: Path, url: str, sent: str, text: str) -> None:
    if text:
        with pytest.raises(ArtifactError, match=text):
            get(tmp_path / "t", f"{url}/cut/{sent}")
        assert not (tmp_path / "t/local").exists()
    else:
        get(tmp_path / "t", f"{url}/cut/{sent}")
        assert (tmp_path / "t/local" / sent).read_bytes() == b"short"


def children() -> set[str]:
    """The processes that fetch for this one."""
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
            parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
            if b"getter.py" in arguments and parent == str(os.getpid()):
                found.add(pid)
    return found


def wanted(source: str) -> dict[str, Any]:
    return {
        "getter_source": source, "getter_options": None, "getter_headers": None, "getter_mode": "any",
        "relative_dest": "local/",
    }  # fmt: skip


def test_s9_a_slow_server_is_given_up_at_the_deadline_of_the_whole(tmp_path: Path, url: str) -> None:
    (tmp_path / "t").mkdir()
    impatient = Artifacts(ArtifactLimits(read_seconds=1.5))
    with pytest.raises(ArtifactError, match=r"not fetched within 1\.5 seconds"):
        asyncio.run(impatient.fetch(wanted(f"{url}/slow"), tmp_path / "t", tmp_path))
    assert not children() and not list(tmp_path.glob(".staging-*"))


def test_s9_a_download_ends_with_whoever_waits_for_it_and_holds_no_thread_of_the_loop(tmp_path: Path, url: str) -> None:
    async def life() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        SLOW.clear()
        fetching = loop.create_task(Artifacts().fetch(wanted(f"{url}/slow"), tmp_path / "t", tmp_path))
        async with asyncio.timeout(20):
            while not SLOW.is_set():
                await asyncio.sleep(0.01)
            assert await asyncio.to_thread(lambda: "free") == "free" and children()
            fetching.cancel()
            with pytest.raises(asyncio.CancelledError):
                await fetching
        assert not children()

    (tmp_path / "t").mkdir()
    asyncio.run(life())
    assert not list(tmp_path.glob(".staging-*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_files_belong_to_the_tasks_user(tmp_path: Path, url: str) -> None:
    (tmp_path / "t").mkdir()
    for name in ("good.tar.gz", "plain.txt"):
        asyncio.run(
            Artifacts().fetch({**wanted(f"{url}/{name}"), "relative_dest": "x/y"}, tmp_path / "t", tmp_path, (1, 2))
        )
    found = {str(path.relative_to(tmp_path / "t")): path.stat() for path in (tmp_path / "t").rglob("*")}
    assert set(found) == {"x", "x/y", "x/y/dir", "x/y/dir/a", "x/y/b", "x/y/plain.txt"}
    assert {(one.st_uid, one.st_gid) for one in found.values()} == {(1, 2)}
