"""The directories of an allocation, and paths in them that cannot leave them (spec node-agent §9, §16)."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
import struct
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from yurt.fsm.errors import YurtError
from yurt.server.client import trees

log = logging.getLogger("client")

LINKS_MAX, DEPTH_MAX, READ_BYTES_MAX = 40, 256, 16 << 20
PASSED_THROUGH = 0o711
ACL_NAME = "system.posix_acl_access"
Owner = tuple[int, int] | None  # uid and gid; None for the agent's own
SECRETS, PRIVATE = "secrets", "private"


class Escapes(YurtError):
    """A path leads out of the allocation's directory."""

    def __init__(self) -> None:
        super().__init__("Path escapes the alloc directory")


class TaskDir:
    """The directories of one task."""

    def __init__(self, path: Path) -> None:
        self.path, self.local, self.secrets = path, path / "local", path / SECRETS
        self.private, self.temporary = path / PRIVATE, path / "tmp"


class AllocDir:
    """The directories of one allocation, below the agent's `alloc_dir`."""

    def __init__(self, root: Path, alloc_id: str) -> None:
        self.path = root / alloc_id
        self.shared = self.path / "alloc"
        self.logs = self.shared / "logs"

    def task(self, name: str) -> TaskDir:
        """The directories of a task; its name cannot lead elsewhere."""
        if name in ("", ".", "..", "alloc") or "/" in name or "\0" in name:
            raise Escapes
        return TaskDir(self.path / name)

    def build(self, owners: Iterable[Owner] = ()) -> None:
        """Make what all tasks share, for the users that they run as and nobody else. Raises OSError."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(PASSED_THROUGH)
        users = sorted({owner for owner in owners if owner is not None})
        if len(users) < 2:
            owner = users[0] if users else None
            for path in self._all_shared():
                _make(path, 0o700, owner)
            return
        for path in self._all_shared():
            _make(path, 0o777 if path != self.shared else 0o700)
        try:
            os.setxattr(self.shared, ACL_NAME, _access_list([uid for uid, _ in users]), follow_symlinks=False)
        except OSError as error:
            log.warning("the tasks' shared directory is open to local users", extra={"reason": str(error)})
            _make(self.shared, PASSED_THROUGH)

    def _all_shared(self) -> tuple[Path, ...]:
        return self.shared, self.shared / "data", self.logs, self.shared / "tmp"

    def build_task(self, name: str, owner: Owner, *, is_root: bool = False) -> TaskDir:
        """Make a task's own directories, which belong to `owner` (uid, gid). Raises OSError, `Escapes`.

        `is_root`: the task's directory becomes the root of its file system, which it must not change.
        """
        made = self.task(name)
        if is_root and owner is not None:
            _make(made.path, 0o750, (os.geteuid(), owner[1]))
        else:
            _make(made.path, 0o700, owner)
        for path, mode in ((made.local, 0o700), (made.secrets, 0o700), (made.private, 0o700), (made.temporary, 0o1777)):
            _make(path, mode, owner)
        return made

    def destroy(self) -> None:
        """Remove all of it; what cannot be removed stays, and the log says why."""
        trees.remove(self.path)


def _access_list(uids: list[int]) -> bytes:
    """A POSIX access list as the kernel stores it: everything for the owner and these users, nothing for others."""
    user_object, user, group_object, mask, other, nobody = 1, 2, 4, 16, 32, 0xFFFFFFFF
    entries = [(user_object, 7, nobody), *((user, 7, uid) for uid in uids)]
    entries += [(group_object, 0, nobody), (mask, 7, nobody), (other, 0, nobody)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def _make(path: Path, mode: int, owner: Owner = None) -> None:
    """A directory with these rights, never through a link that a task put in its place. Raises OSError."""
    with contextlib.suppress(FileExistsError):
        path.mkdir()
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if owner is not None:
            os.fchown(fd, *owner)
        os.fchmod(fd, mode)
    finally:
        os.close(fd)


class Inside:
    """An open handle on something in a directory, found without ever leaving it, whoever moves things meanwhile.

    `parts` are the names from the root to what was found, links followed. Links are followed inside only. With `make`
    directories that are missing are made, to belong to `owner`.
    """

    def __init__(self, root: Path, path: str, *, make: bool = False, owner: Owner = None) -> None:
        """Raises `Escapes`, or OSError as `stat` would."""
        self.root, self._makes, self._owner = root, make, owner
        self.parts: list[str] = []
        self._fds = [os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)]
        try:
            self._walk(path)
        except BaseException:
            self.close()
            raise

    def _walk(self, path: str) -> None:
        waiting, links = deque(path.split("/")), 0
        while waiting:
            part = waiting.popleft()
            if part in ("", "."):
                continue
            if part == "..":
                if not self.parts:
                    raise Escapes
                self.parts.pop()
                os.close(self._fds.pop())
                continue
            fd = self._step(part)
            if not stat.S_ISLNK(os.fstat(fd).st_mode):
                self._fds.append(fd)
                self.parts.append(part)
                if len(self.parts) > DEPTH_MAX:
                    raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
                continue
            target = os.readlink("", dir_fd=fd)
            os.close(fd)
            links += 1
            if links > LINKS_MAX:
                raise Escapes
            waiting.extendleft(reversed(self._relative(target).split("/")))

    def _step(self, part: str) -> int:
        flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.open(part, flags, dir_fd=self._fds[-1])
        except FileNotFoundError:
            if not self._makes:
                raise
        with contextlib.suppress(FileExistsError):
            self._make(part, self._owner)
        return os.open(part, flags, dir_fd=self._fds[-1])

    def _make(self, name: str, owner: Owner, mode: int = 0o755) -> None:
        """Make a directory in what was found. Raises OSError."""
        os.mkdir(name, 0o700, dir_fd=self._fds[-1])
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._fds[-1])
        try:
            if owner is not None:
                os.fchown(fd, *owner)
            os.fchmod(fd, mode)
        finally:
            os.close(fd)

    def _relative(self, target: str) -> str:
        """A link's target as a path from here; an absolute one must lie below the root."""
        if not target.startswith("/"):
            return target
        start = f"{self.root}/"
        if not f"{target}/".startswith(start):
            raise Escapes
        while self.parts:
            self.parts.pop()
            os.close(self._fds.pop())
        return target[len(start) :]

    @property
    def status(self) -> os.stat_result:
        """The status of the opened file or directory."""
        return os.fstat(self._fds[-1])

    @property
    def is_secret(self) -> str:
        """`secret` or `private` if it lies in such a directory of a task, else nothing."""
        kinds = {SECRETS: "secret", PRIVATE: "private"}
        return kinds.get(self.parts[1], "") if len(self.parts) > 2 else ""

    def open(self) -> int:
        """A descriptor to read it with; nothing is waited for. Raises OSError."""
        return os.open(f"/proc/self/fd/{self._fds[-1]}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def read(self) -> bytes:
        """Return what is in the regular file. Raises OSError, also for one that is too large."""
        if not stat.S_ISREG(self.status.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        with os.fdopen(self.open(), "rb") as file:
            body = file.read(READ_BYTES_MAX + 1)
        if len(body) > READ_BYTES_MAX:
            raise OSError(errno.EFBIG, f"it has more than {READ_BYTES_MAX} bytes")
        return body

    def write(self, name: str, data: bytes, mode: int, owner: Owner = None) -> None:
        """Put a file into the directory, in place of what has its name, which may be a link; of `mode` the rights
        alone count. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._fds[-1])
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(name, flags, 0o600, dir_fd=self._fds[-1]), "wb") as file:
            file.write(data)
            if owner is not None:
                os.fchown(file.fileno(), *owner)
            os.fchmod(file.fileno(), mode & 0o777)

    def take(self, source: Path, owner: Owner = None) -> None:
        """Move a file, link or directory of the same volume in here, in place of a file that has its name; directories
        merge. All of it belongs to `owner` then, with rights and no other mode bits.

        Raises OSError, for devices and the like too.
        """
        holder = os.open(source.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._take(holder, source.name, owner or (os.geteuid(), os.getegid()))
        finally:
            os.close(holder)

    def _take(self, holder: int, name: str, owner: tuple[int, int]) -> None:
        """Take what is called `name` in the open directory `holder`; two descriptors are open for each level."""
        found = os.stat(name, dir_fd=holder, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            with contextlib.suppress(FileExistsError):
                self._make(name, owner, found.st_mode & 0o777)
            source = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=holder)
            try:
                with Inside(self.root, "/".join((*self.parts, name))) as below:
                    below._leave_the_way()
                    for child in sorted(os.listdir(source)):
                        below._take(source, child, owner)
            finally:
                os.close(source)
            return
        if stat.S_ISLNK(found.st_mode):
            os.chown(name, *owner, dir_fd=holder, follow_symlinks=False)
        elif stat.S_ISREG(found.st_mode):
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=holder)
            try:
                os.fchown(fd, *owner)
                os.fchmod(fd, found.st_mode & 0o777)
            finally:
                os.close(fd)
        else:
            raise OSError(errno.EINVAL, f"{name} is no file")
        os.rename(name, name, src_dir_fd=holder, dst_dir_fd=self._fds[-1])

    def _leave_the_way(self) -> None:
        """Close the directories on the way: of what was found one descriptor stays open."""
        for fd in self._fds[:-1]:
            os.close(fd)
        self._fds = self._fds[-1:]

    def entries(self) -> list[tuple[str, os.stat_result]]:
        """Names in the directory, sorted, with what they are. Raises OSError."""
        fd = os.open(f"/proc/self/fd/{self._fds[-1]}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        found = []
        try:
            for name in sorted(os.listdir(fd)):
                with contextlib.suppress(FileNotFoundError):
                    found.append((name, os.stat(name, dir_fd=fd, follow_symlinks=False)))
        finally:
            os.close(fd)
        return found

    def close(self) -> None:
        """Let go."""
        for fd in self._fds:
            os.close(fd)
        self._fds = []

    def __enter__(self) -> Inside:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
