"""Artifacts: fetched over http(s), checked, unpacked by processes of their own, then moved into the task's directory
(spec node-agent §13)."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import sys
import tempfile
import urllib.parse
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import orjson

from yurt.fsm.errors import YurtError
from yurt.server.client import getter, trees
from yurt.server.client.allocdir import Inside, Owner
from yurt.server.client.unpack import kind_of

T = TypeVar("T")
UNPACK_SECONDS = 600.0
DOWNLOAD_CPU_SECONDS = 600
DOWNLOAD_MEMORY_BYTES, UNPACK_MEMORY_BYTES = 512 << 20, 256 << 20
DOWNLOADS_MAX, UNPACKERS_MAX = 64, 4
ANSWER_BYTES_MAX = 64 << 10
NOBODY, EXECUTABLE = 65534, 0o755
_OPTIONS = ("archive", "checksum", "filename")
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_PASSED = (*_PROXIES, "SSL_CERT_FILE", "SSL_CERT_DIR")


class ArtifactError(YurtError):
    """The artifact is not there, not what it should be, or not of a kind that is fetched here."""


@dataclass(frozen=True, slots=True)
class ArtifactLimits:
    """Bounds of one artifact. `read_seconds` bounds the whole download, 0 for none; `bytes` what comes over the network
    and what is unpacked of it."""

    read_seconds: float = 1800.0
    bytes: int = 4 << 30
    unpacked_bytes: int = 4 << 30
    files: int = 4096


@dataclass(frozen=True, slots=True)
class _Plan:
    """One artifact as it is fetched: `kind` is the ending to unpack by, empty to leave it as it is."""

    source: str
    url: str
    checksum: str
    name: str
    kind: str
    destination: str
    headers: Mapping[str, str]


class Artifacts:
    """Fetches artifacts for all tasks of a node. Each download and each unpacking is a process with a deadline; they
    end when whoever waits for them is cancelled, and never occupy the loop's executor."""

    def __init__(self, limits: ArtifactLimits | None = None) -> None:
        self.limits = limits or ArtifactLimits()
        self._downloads, self._unpackers = asyncio.Semaphore(DOWNLOADS_MAX), asyncio.Semaphore(UNPACKERS_MAX)
        self._movers: ThreadPoolExecutor | None = None

    async def fetch(self, artifact: Mapping[str, Any], task: Path, allocation: Path, owner: Owner = None) -> None:
        """Fetch one artifact into `task`'s directory, to belong to `owner`; raises `ArtifactError`.

        All is made ready in a directory of the allocation that tasks cannot enter, then moved to where it belongs:
        tasks that run meanwhile lead nothing astray.
        """
        source = str(artifact["getter_source"])
        try:
            plan = _planned(source, artifact)
            staging = Path(tempfile.mkdtemp(dir=allocation, prefix=".staging-"))
            try:
                ready = await self._made_ready(plan, staging)
                await self._moved(functools.partial(_place, ready, task, plan.destination, owner))
            finally:
                await self._moved(functools.partial(trees.remove, staging))
        except Exception as error:  # whatever it is, the task fails with its reason
            raise ArtifactError(f'failed to download artifact "{source}": {getter.reason(source, error)}') from error

    async def _made_ready(self, plan: _Plan, staging: Path) -> Path:
        """Download, unpack if need be; return the directory that holds what is to be moved."""
        limits, ready = self.limits, staging / "ready"
        ready.mkdir()
        with _opened(staging / "download", os.O_RDWR | os.O_CREAT | os.O_EXCL) as file:
            request = {
                "source": plan.source, "url": plan.url, "headers": plan.headers, "checksum": plan.checksum,
                "bytes": limits.bytes, "memory": DOWNLOAD_MEMORY_BYTES, "seconds": DOWNLOAD_CPU_SECONDS, "file": file,
            }  # fmt: skip
            async with self._downloads:
                await _run("download", request, limits.read_seconds or None, (file,))
            if plan.kind:
                if os.geteuid() == 0:
                    os.chown(ready, NOBODY, NOBODY)
                await self._unpack(plan, file, ready)
                return ready
            os.fchmod(file, EXECUTABLE)
        (staging / "download").rename(ready / plan.name)
        return ready

    async def _unpack(self, plan: _Plan, file: int, ready: Path) -> None:
        limits = self.limits
        with _opened(ready, os.O_RDONLY | os.O_DIRECTORY) as root:
            request = {
                "source": plan.source, "name": plan.name, "kind": plan.kind, "file": file, "root": root,
                "bytes": limits.unpacked_bytes, "entries": limits.files, "memory": UNPACK_MEMORY_BYTES,
                "seconds": int(UNPACK_SECONDS),
            }  # fmt: skip
            async with self._unpackers:
                await _run("unpack", request, UNPACK_SECONDS, (file, root))

    async def _moved(self, work: functools.partial[T]) -> T:
        """Run file work on this object's own thread, one after another and never left half done."""
        if self._movers is None:
            self._movers = ThreadPoolExecutor(1, thread_name_prefix="artifacts")
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._movers, work))


def _planned(source: str, artifact: Mapping[str, Any]) -> _Plan:
    """Read the artifact's description; raises ValueError for a source that is not fetched here."""
    options = dict(artifact["getter_options"] or {})
    parts = urllib.parse.urlsplit(source)
    if parts.scheme not in getter.HTTP or "::" in source:
        raise ValueError("only http and https are fetched by this agent")
    query = urllib.parse.parse_qsl(parts.query, keep_blank_values=True)
    options.update({key: value for key, value in query if key in _OPTIONS})
    kept = [(key, value) for key, value in query if key not in _OPTIONS]
    url = urllib.parse.urlunsplit(parts._replace(query=urllib.parse.urlencode(kept)))
    destination = str(artifact["relative_dest"] or "local/")
    is_file = artifact["getter_mode"] == "file"
    name = _file_name(options.get("filename") or parts.path)
    kind = "" if is_file else _archive_kind(name, options.get("archive", ""))
    if is_file:
        destination, name = os.path.split(destination.rstrip("/"))
        name = _file_name(name)
    headers = {str(key): str(value) for key, value in (artifact["getter_headers"] or {}).items()}
    return _Plan(source, url, options.get("checksum", ""), name, kind, destination, headers)


def _file_name(path: str) -> str:
    """The last part of a path, which is a name and nothing else."""
    name = Path(path).name
    if "\0" in name or name == "..":
        raise ValueError(f"{name!r} is no name of a file")
    return name or "artifact"


def _archive_kind(name: str, wanted: str) -> str:
    if wanted in ("false", "0"):
        return ""
    return kind_of(f".{wanted}" if wanted and wanted not in ("true", "1") else name)


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    fd = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        yield fd
    finally:
        os.close(fd)


async def _run(what: str, request: dict[str, Any], seconds: float | None, fds: tuple[int, ...]) -> None:
    """Run `getter.py`; kill it at the deadline and when this is cancelled. Raises ValueError, OSError."""
    env = {name: value for name in _PASSED if (value := os.environ.get(name)) is not None}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", getter.__file__, what, stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, env=env, pass_fds=fds,
    )  # fmt: skip
    whole = orjson.dumps({**request, "uid": NOBODY, "gid": NOBODY})
    try:
        async with asyncio.timeout(seconds):
            output = await _told(process, whole)
    except TimeoutError:
        raise ValueError(f"it was not {_DONE[what]} within {seconds:g} seconds") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    try:
        answer = orjson.loads(output)
    except ValueError:
        raise ValueError(f"the process that should have {_DONE[what]} it ended with {process.returncode}") from None
    if "error" in answer:
        raise ValueError(str(answer["error"]))


async def _told(process: asyncio.subprocess.Process, request: bytes) -> bytes:
    """Hand over the request; return all that the process says, which is not much. Raises ValueError."""
    assert process.stdin is not None and process.stdout is not None
    with contextlib.suppress(ConnectionError):
        process.stdin.write(request)
        process.stdin.write_eof()
    try:
        await process.stdout.readexactly(ANSWER_BYTES_MAX)
    except asyncio.IncompleteReadError as ended:
        return ended.partial
    raise ValueError("the answer of the process that gets it is too long")


_DONE = {"download": "fetched", "unpack": "unpacked"}


def _place(ready: Path, task: Path, destination: str, owner: Owner) -> None:
    """Move what is ready to where it belongs. Raises OSError, `Escapes`."""
    with Inside(task, destination, make=True, owner=owner) as target:
        for path in sorted(ready.iterdir()):
            target.take(path, owner)
