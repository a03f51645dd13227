"""Remove directory trees that tasks made: of any depth, with any rights, while links may be put in between."""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
import os
import stat
from pathlib import Path

log = logging.getLogger("client")

DIRECTORY = os.O_DIRECTORY | os.O_CLOEXEC
ALL_OF_OWNER = 0o700
LISTED_MAX = 1000  # entries at a time


def remove(path: Path) -> bool:
    """Remove a directory and all that is below it; return whether nothing is left.

    No link is followed, and a handful of descriptors suffices for any depth. What cannot be removed stays, and the log
    says why.
    """
    try:
        parent = os.open(path.parent, os.O_PATH | DIRECTORY)
        try:
            _Removal(parent).run(path.name)
        finally:
            os.close(parent)
    except OSError as error:
        if os.path.lexists(path):
            log.warning("a directory was not removed", extra={"path": str(path), "reason": str(error)})
            return False
    return True


class _Removal:
    """Walks a tree with one open directory: down by names, up by `..`, where it must find the directory it came from.

    `_above` holds for each directory on the way down from the top its name and device, inode; `_stuck` for the same
    directories and the present one the names in it that are not to be tried again.
    """

    def __init__(self, parent: int) -> None:
        self._fd = os.dup(parent)
        self._above: list[tuple[str, tuple[int, int]]] = []
        self._stuck: list[set[str]] = [set()]
        self._error: OSError | None = None

    def run(self, name: str) -> None:
        """Remove the directory `name`. Raises OSError: the first reason why something is left."""
        try:
            self._down(name)
            while self._above:
                if (below := self._directory_left()) is None:
                    self._up()
                else:
                    self._try_down(below)
        finally:
            os.close(self._fd)
        if self._error is not None:
            raise self._error

    def _directory_left(self) -> str | None:
        """Remove files and empty directories until there is a directory with something in it; return its name.

        Removals while a directory is listed may hide other entries, so it is listed until nothing is left.
        """
        stuck = self._stuck[-1]
        try:
            while True:
                with os.scandir(self._fd) as entries:
                    listed = list(itertools.islice((entry for entry in entries if entry.name not in stuck), LISTED_MAX))
                for entry in listed:
                    if self._is_full(entry):
                        return entry.name
                if not listed:
                    return None
        except OSError as error:
            self._error = self._error or error
        return None

    def _is_full(self, entry: os.DirEntry[str]) -> bool:
        """Remove an entry unless it is a directory with something in it."""
        is_directory = entry.is_dir(follow_symlinks=False)
        try:
            if is_directory:
                os.rmdir(entry.name, dir_fd=self._fd)
            else:
                os.unlink(entry.name, dir_fd=self._fd)
        except FileNotFoundError:
            self._stuck[-1].add(entry.name)  # listed or not, it is gone
        except OSError as error:
            if is_directory and error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                return True
            self._keep(entry.name, error)
        return False

    def _keep(self, name: str, error: OSError) -> None:
        self._stuck[-1].add(name)
        self._error = self._error or error

    def _try_down(self, name: str) -> None:
        try:
            self._down(name)
        except FileNotFoundError:
            pass
        except OSError as error:
            self._keep(name, error)

    def _down(self, name: str) -> None:
        """Go into a directory, with all rights of its owner. Raises OSError."""
        handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | DIRECTORY, dir_fd=self._fd)
        try:
            itself = f"/proc/self/fd/{handle}"
            mode = stat.S_IMODE(os.fstat(handle).st_mode)
            if mode & ALL_OF_OWNER != ALL_OF_OWNER:
                with contextlib.suppress(OSError):
                    os.chmod(itself, mode | ALL_OF_OWNER)
            below = os.open(itself, os.O_RDONLY | DIRECTORY)
        finally:
            os.close(handle)
        self._above.append((name, _identity(self._fd)))
        self._stuck.append(set())
        self._replace(below)

    def _up(self) -> None:
        """Go back to the directory above and remove the one that was left. Raises OSError if it was moved away."""
        name, above = self._above.pop()
        self._stuck.pop()
        self._replace(os.open("..", os.O_RDONLY | DIRECTORY, dir_fd=self._fd))
        if _identity(self._fd) != above:
            raise OSError(errno.ESTALE, f"the directory {name} was moved while it was removed")
        try:
            os.rmdir(name, dir_fd=self._fd)
        except FileNotFoundError:
            pass
        except OSError as error:
            self._keep(name, error)

    def _replace(self, fd: int) -> None:
        os.close(self._fd)
        self._fd = fd


def _identity(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino
