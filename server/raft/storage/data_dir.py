"""The data directory: one process at a time, a format that is known, a server ID that stays."""

from __future__ import annotations

import fcntl
import os
import uuid
from pathlib import Path

from yurt.server.platform.atomic_file import write_whole
from yurt.server.raft.errors import DirectoryRefused

FORMAT_VERSION = 1


class DataDirectory:
    """The directory of one server, locked as long as the object lives."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock = -1

    def open(self) -> str:
        """Lock the directory, check its format, return the server's ID (made at the first start).

        Raises `DirectoryRefused` with what to do.
        """
        server = Path(self.path) / "server"
        try:
            server.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(server / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._take()
            self._check_version(server / "version")
            return self._server_id(server / "node-id")
        except PermissionError as error:
            raise DirectoryRefused(
                f"no permission for the data directory {self.path}: {error.filename}: {error.strerror}. "
                "It must belong to the user who runs the agent"
            ) from error

    def _take(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = os.pread(self._lock, 32, 0).decode(errors="replace").strip()
            raise DirectoryRefused(
                f"the data directory {self.path} is in use by another agent (process {other or 'unknown'}); "
                "stop it, or give this one a directory of its own"
            ) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def _check_version(self, file: Path) -> None:
        if file.exists():
            text = file.read_text().strip()
            if not text.isdigit() or int(text) > FORMAT_VERSION:
                raise DirectoryRefused(
                    f"the data directory {self.path} has format {text}, newer than this version's {FORMAT_VERSION}: "
                    "run the newer version again; nothing was changed"
                )
        else:
            write_whole(file, b"%d\n" % FORMAT_VERSION)

    def _server_id(self, file: Path) -> str:
        if not file.exists():
            write_whole(file, f"{uuid.uuid4()}\n".encode())
        return file.read_text().strip()

    def close(self) -> None:
        """Let another process use it."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
