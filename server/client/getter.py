"""The process that fetches or unpacks one artifact: `python -I -S getter.py download|unpack` (spec node-agent §13).

The task comes as JSON on stdin, with open descriptors beside it; the last line of stdout says how it went. Needs
nothing but the standard library. Before it looks at a byte of others it gives up what it does not need: root, memory,
processor time, other processes, and, for unpacking, the sight of all files but those that it writes.
"""

from __future__ import annotations

import ctypes
import encodings.idna  # noqa: F401 (nothing more can be imported by a user who may not read this Python)
import hashlib
import importlib.util
import json
import os
import resource
import signal
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
OPEN_FILES_MAX = 64
PART_BYTES = 1 << 16
READ_SECONDS = 60.0
_DIGESTS = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}
HTTP = ("http", "https")


def limit(request: Mapping[str, Any]) -> None:
    """Give up what is not needed; raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() == 0:
        if (root := request.get("root")) is not None:
            os.fchdir(root)
            os.chroot(".")
        os.setgroups([])
        os.setgid(request["gid"])
        os.setuid(request["uid"])
    for option, value in ((PR_SET_NO_NEW_PRIVS, 1), (PR_SET_PDEATHSIG, signal.SIGKILL)):
        if libc.prctl(option, value, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl failed")
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write fails then
    for kind, most in (
        (resource.RLIMIT_AS, request["memory"]), (resource.RLIMIT_CPU, request["seconds"]),
        (resource.RLIMIT_FSIZE, request["bytes"] + PART_BYTES), (resource.RLIMIT_NOFILE, OPEN_FILES_MAX),
        (resource.RLIMIT_CORE, 0),
    ):  # fmt: skip
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))
    if os.geteuid() != 0:
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to http(s) only; headers, which may hold a password, are for where the artifact was said to be."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if urllib.parse.urlsplit(newurl).scheme not in HTTP:
            raise ValueError(f"it leads to {newurl}, which is not fetched here")
        made = super().redirect_request(req, fp, code, msg, headers, newurl)
        if made is not None and (made.type, made.host) != (req.type, req.host):
            made.headers = {}
        return made


def download(request: Mapping[str, Any], tls: ssl.SSLContext | None) -> None:
    """Write what is at a URL into the open file; raises ValueError, OSError and what urllib raises."""
    digest = _digest(request["checksum"])
    asked = urllib.request.Request(request["url"], headers=dict(request["headers"]))  # noqa: S310 (http or https)
    got = 0
    opener = urllib.request.build_opener(_Redirects, urllib.request.HTTPSHandler(context=tls))
    with opener.open(asked, timeout=READ_SECONDS) as answer, os.fdopen(os.dup(request["file"]), "wb") as file:
        while part := answer.read(PART_BYTES):
            got += len(part)
            if got > request["bytes"]:
                raise ValueError(f"it has more than {request['bytes']} bytes")
            if digest is not None:
                digest[0].update(part)
            file.write(part)
        if answer.length:  # bytes that were announced and did not come
            raise ValueError(f"the download ended after {got} of {got + answer.length} bytes")
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


def _unpacker() -> Any:
    """The module beside this one, found by its path: nothing is on the module path here."""
    where = os.path.join(os.path.dirname(os.path.abspath(__file__)), "unpack.py")
    spec = importlib.util.spec_from_file_location("unpack", where)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["unpack"] = module
    spec.loader.exec_module(module)
    return module


def reason(source: str, error: BaseException) -> str:
    """An error in the words that users look for."""
    if isinstance(error, urllib.error.HTTPError):
        return f"bad response code: {error.code}"
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(inner, ConnectionRefusedError):
        address = urllib.parse.urlsplit(source).netloc
        return f'failed to download artifact: Get "{source}": dial tcp {address}: connect: connection refused'
    if isinstance(inner, MemoryError):
        return "it needs more memory than an artifact may take"
    return str(inner) or type(inner).__name__


def main() -> None:
    """Do what stdin says, and say how it went."""
    request = json.loads(sys.stdin.buffer.read())
    answer = {}
    os.umask(0o022)
    try:
        if sys.argv[1] == "download":
            tls = ssl.create_default_context() if request["url"].startswith("https:") else None
            limit(request)
            download(request, tls)
        else:
            module = _unpacker()
            limit(request)
            with os.fdopen(request["file"], "rb") as file:
                file.seek(0)
                module.unpack(
                    file, request["name"], request["kind"], request["root"],
                    entries_max=request["entries"], bytes_max=request["bytes"],
                )  # fmt: skip
    except Exception as error:  # noqa: BLE001 (the border of a process)
        answer = {"error": reason(request["source"], error)}
    os.write(1, json.dumps(answer).encode())


if __name__ == "__main__":
    main()
