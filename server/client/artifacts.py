"""Files that a task wants before it starts: http(s), checked, unpacked, within limits (spec node-agent §13)."""

from __future__ import annotations

import hashlib
import os
import tarfile
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any

from yurt.fsm.errors import YurtError
from yurt.server.client.allocdir import Escapes, Inside

READ_SECONDS = 60.0
BYTES_MAX = 4 << 30
FILES_MAX = 4096
PART_BYTES = 1 << 20
_ARCHIVES = (".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar")
_DIGESTS = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}


class ArtifactError(YurtError):
    """The artifact is not there, not what it should be, or not of a kind that is fetched here."""


def fetch(artifact: Mapping[str, Any], task: Path, allocation: Path) -> None:
    """Fetch into the task's directory; raises `ArtifactError`. Runs in a thread.

    All is made ready in a directory of the allocation that tasks cannot enter, then moved to where it belongs: tasks
    that run meanwhile lead nothing astray.
    """
    source = str(artifact["getter_source"])
    options = dict(artifact["getter_options"] or {})
    try:
        with tempfile.TemporaryDirectory(dir=allocation, prefix=".staging-") as staging:
            _fetch(source, options, artifact, task, Path(staging))
    except (OSError, Escapes, HTTPException, ValueError, tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise ArtifactError(f'failed to download artifact "{source}": {_reason(source, error)}') from error


def _reason(source: str, error: Exception) -> str:
    reason = (
        error.reason
        if isinstance(error, urllib.error.URLError) and not isinstance(error, urllib.error.HTTPError)
        else error
    )
    if isinstance(error, urllib.error.HTTPError):
        return f"bad response code: {error.code}"
    if isinstance(reason, ConnectionRefusedError):
        address = urllib.parse.urlsplit(source).netloc
        return f'failed to download artifact: Get "{source}": dial tcp {address}: connect: connection refused'
    return str(reason)


def _fetch(source: str, options: dict[str, str], artifact: Mapping[str, Any], task: Path, staging: Path) -> None:
    parts = urllib.parse.urlsplit(source)
    if parts.scheme not in ("http", "https") or "::" in source:
        raise ValueError("only http and https are fetched by this agent")
    query = urllib.parse.parse_qsl(parts.query, keep_blank_values=True)
    for name in ("archive", "checksum", "filename"):
        options.update({key: value for key, value in query if key == name})
    kept = [(key, value) for key, value in query if key not in ("archive", "checksum", "filename")]
    url = urllib.parse.urlunsplit(parts._replace(query=urllib.parse.urlencode(kept)))
    destination = str(artifact["relative_dest"] or "local/")
    is_file = artifact["getter_mode"] == "file"
    name = Path(options.get("filename") or parts.path).name or "artifact"
    kind = "" if is_file else _archive_kind(name, options.get("archive", ""))
    if is_file:
        destination, name = os.path.split(destination.rstrip("/"))
    ready = staging / "ready"
    ready.mkdir()
    with open(staging / "download", "w+b") as file:
        _download(url, artifact["getter_headers"] or {}, file, options.get("checksum", ""))
        file.seek(0)
        if kind:
            _unpack(file, kind, ready)
    if not kind:
        (staging / "download").rename(ready / name)
        (ready / name).chmod(0o755)
    with Inside(task, destination, make=True) as target:
        for one in sorted(ready.iterdir()):
            target.take(one)


def _archive_kind(name: str, wanted: str) -> str:
    if wanted in ("false", "0"):
        return ""
    ending = f".{wanted}" if wanted else name.lower()
    return next((one for one in _ARCHIVES if ending.endswith(one)), "")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to http(s) only; headers, which may hold a password, are for where the artifact was said to be."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if urllib.parse.urlsplit(newurl).scheme not in ("http", "https"):
            raise ValueError(f"it leads to {newurl}, which is not fetched here")
        made = super().redirect_request(req, fp, code, msg, headers, newurl)
        if made is not None and (made.type, made.host) != (req.type, req.host):
            made.headers = {}
        return made


def _download(url: str, headers: Mapping[str, str], file: IO[bytes], checksum: str) -> None:
    digest = _digest(checksum)
    request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310 (the scheme was checked)
    got = 0
    with urllib.request.build_opener(_Redirects).open(request, timeout=READ_SECONDS) as answer:
        while part := answer.read(PART_BYTES):
            got += len(part)
            if got > BYTES_MAX:
                raise ValueError(f"it has more than {BYTES_MAX} bytes")
            if digest is not None:
                digest[0].update(part)
            file.write(part)
    if digest is not None and digest[0].hexdigest() != digest[1]:
        raise ValueError(f"Checksums did not match. Expected: {digest[1]} Got: {digest[0].hexdigest()}")


def _digest(checksum: str) -> tuple[Any, str] | None:
    if not checksum:
        return None
    kind, _, wanted = checksum.rpartition(":")
    if not kind:
        kind = next((name for name, length in _DIGESTS.items() if length == len(wanted)), "")
    if kind not in _DIGESTS:
        raise ValueError(f"unsupported checksum type: {kind}")
    return hashlib.new(kind, usedforsecurity=False), wanted.lower()


def _unpack(file: IO[bytes], kind: str, target: Path) -> None:
    """Nothing leaves the target, links and devices do not come in, and there is an end to size and number."""
    if kind == ".zip":
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            _check(len(entries), sum(one.file_size for one in entries))
            for one in entries:
                archive.extract(one, target)  # drops absolute paths and `..`
                if (mode := one.external_attr >> 16 & 0o777) and not one.is_dir():
                    (target / one.filename).chmod(mode)
        return
    if not hasattr(tarfile, "data_filter"):
        raise ValueError("this Python has no safe way to unpack tar archives (3.11.4 has)")
    with tarfile.open(fileobj=file, mode="r:*") as tar:
        number = size = 0
        for member in tar:
            number, size = number + 1, size + member.size
            _check(number, size)
            tar.extract(member, target, filter="data")


def _check(number: int, size: int) -> None:
    if number > FILES_MAX or size > BYTES_MAX:
        raise ValueError(f"the archive has more than {FILES_MAX} files or {BYTES_MAX} bytes")
