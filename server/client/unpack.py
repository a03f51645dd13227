"""Unpack an archive below an open directory (spec node-agent §13).

Nothing is written outside of the directory, no link is followed on the way, and entries, bytes and header records are
bounded. Needs nothing but the standard library: `getter.py` runs it in a process of its own.
"""

from __future__ import annotations

import bz2
import contextlib
import encodings.cp437  # noqa: F401 (names in zip archives; nothing can be imported once the root has changed)
import gzip
import lzma
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from typing import IO, Any, NamedTuple

HEADER_BYTES_MAX = 1 << 20
PART_BYTES = 64 << 10
PARTS_MAX, NAME_SHOWN = 64, 100  # names in one path; letters of one that is refused for its length
LINK_BYTES_MAX = 4096
FILE, DIRECTORY, LINK, HARD_LINK, OTHER = "file", "directory", "link", "hard link", "other"
TAR_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
ENDINGS = (".zip", *TAR_ENDINGS, ".gz", ".bz2", ".xz")
_MAGIC: tuple[tuple[bytes, Callable[[Any], Any]], ...] = (
    (b"\x1f\x8b", lambda file: gzip.GzipFile(fileobj=file)), (b"BZh", bz2.BZ2File), (b"\xfd7zXZ\0", lzma.LZMAFile),
)  # fmt: skip


class Refused(ValueError):
    """The archive holds something that is not unpacked here."""


class Entry(NamedTuple):
    """One entry of an archive; `target` is where a link leads, `open` gives a file's contents."""

    name: str
    kind: str
    mode: int
    size: int = 0
    target: str = ""
    open: Callable[[], Any] | None = None


def kind_of(name: str) -> str:
    """The ending that says how a file is unpacked; empty if it is no archive."""
    lower = name.lower()
    return max((ending for ending in ENDINGS if lower.endswith(ending)), key=len, default="")


def unpack(file: IO[bytes], name: str, kind: str, directory: int, *, entries_max: int, bytes_max: int) -> int:
    """Unpack `file`, called `name`, below the open `directory`; return the number of entries, directories that they
    made necessary included. Raises ValueError, OSError and what the standard library raises for broken archives."""
    writer = Writer(directory, entries_max, bytes_max)
    for entry in _entries(file, name, kind):
        writer.put(entry)
    return writer.entries


def _entries(file: IO[bytes], name: str, kind: str) -> Iterator[Entry]:
    if kind == ".zip":
        return _zip_entries(file)
    if kind in TAR_ENDINGS:
        return _tar_entries(file)
    name = name[: -len(kind)] if name.lower().endswith(kind) else name
    return iter((Entry(name or "artifact", FILE, 0o644, open=lambda: _decompressed(file)),))


def _zip_entries(file: IO[bytes]) -> Iterator[Entry]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            mode = info.external_attr >> 16
            kind = _kind_of_mode(mode) if not info.is_dir() else DIRECTORY
            opener = _opener(archive, info)
            target = ""
            if kind == LINK:
                with opener() as contents:
                    target = os.fsdecode(contents.read(LINK_BYTES_MAX))
            default = 0o755 if kind == DIRECTORY else 0o644
            yield Entry(info.filename, kind, mode & 0o777 or default, info.file_size, target, opener)


def _opener(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], Any]:
    return lambda: archive.open(info)


def _kind_of_mode(mode: int) -> str:
    """The kind that a mode tells; archives of systems without modes hold files."""
    if stat.S_IFMT(mode) in (0, stat.S_IFREG):
        return FILE
    return {stat.S_IFDIR: DIRECTORY, stat.S_IFLNK: LINK}.get(stat.S_IFMT(mode), OTHER)


class _BoundedReads:
    """A file of which no header record larger than `HEADER_BYTES_MAX` is read: tarfile takes each in one piece."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        """Read `size` bytes; raises `Refused` for too many."""
        if not 0 <= size <= HEADER_BYTES_MAX:
            raise Refused(f"the archive has a header record of more than {HEADER_BYTES_MAX} bytes")
        return self._file.read(size)


def _decompressed(file: IO[bytes]) -> Any:
    head = file.read(8)
    file.seek(0)
    return next((make(file) for magic, make in _MAGIC if head.startswith(magic)), file)


def _tar_entries(file: IO[bytes]) -> Iterator[Entry]:
    bounded: Any = _BoundedReads(_decompressed(file))
    with tarfile.open(fileobj=bounded, mode="r:") as archive:
        for member in archive:
            kind = OTHER
            if member.isreg():
                kind = FILE
            elif member.isdir():
                kind = DIRECTORY
            elif member.issym():
                kind = LINK
            elif member.islnk():
                kind = HARD_LINK
            size = member.size if kind == FILE else 0
            yield Entry(member.name, kind, member.mode & 0o777, size, member.linkname, _tar_opener(archive, member))


def _tar_opener(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Callable[[], Any]:
    return lambda: archive.extractfile(member)


# --- writing


class Writer:
    """Puts entries below an open directory, each found from there by descriptors.

    `entries` counts them, with the directories that no entry was for when they were made.
    """

    def __init__(self, directory: int, entries_max: int, bytes_max: int) -> None:
        self._root, self._entries_max, self._bytes_max = directory, entries_max, bytes_max
        self.entries = self._said = 0  # `_said`: bytes that the archive says it has
        self._bytes_left = bytes_max

    def put(self, entry: Entry) -> None:
        """Write one entry. Raises `Refused`, OSError."""
        self._said += entry.size
        self._count(1)
        parts = _parts(entry.name)
        if entry.kind == OTHER:
            raise Refused(f'"{entry.name}" is a device, a pipe or a socket, which are not unpacked')
        if entry.kind == DIRECTORY:
            with self._directory(entry.name, parts, counted=len(parts) - 1) as fd:
                if parts:
                    os.fchmod(fd, entry.mode & 0o777 | 0o700)
            return
        if not parts:
            raise Refused(f'"{entry.name}" is no name of a file')
        with self._directory(entry.name, parts[:-1]) as parent:
            self._put_in(parent, parts, entry)

    def _count(self, more: int) -> None:
        self.entries += more
        if self.entries > self._entries_max or self._said > self._bytes_max:
            raise Refused(f"the archive has more than {self._entries_max} files or {self._bytes_max} bytes")

    def _put_in(self, parent: int, parts: list[str], entry: Entry) -> None:
        source = None
        if entry.kind == LINK:
            _check_target(entry, len(parts) - 1)
        elif entry.kind == HARD_LINK:
            source = _parts(entry.target)
            if source == parts or not source:
                raise Refused(f'"{entry.name}" is a link to itself')
        with contextlib.suppress(FileNotFoundError):
            os.unlink(parts[-1], dir_fd=parent)
        if entry.kind == LINK:
            os.symlink(entry.target, parts[-1], dir_fd=parent)
        elif source is not None:
            self._link(entry, source, parts[-1], parent)
        else:
            self._write(entry, parts[-1], parent)

    def _link(self, entry: Entry, source: list[str], name: str, parent: int) -> None:
        """Link to a regular file that was unpacked before."""
        with self._directory(entry.target, source[:-1], make=False) as holder:
            found = os.stat(source[-1], dir_fd=holder, follow_symlinks=False)
            if not stat.S_ISREG(found.st_mode):
                raise Refused(f'"{entry.name}" is a link to what is no file of the archive')
            os.link(source[-1], name, src_dir_fd=holder, dst_dir_fd=parent, follow_symlinks=False)

    def _write(self, entry: Entry, name: str, parent: int) -> None:
        assert entry.open is not None
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(name, flags, 0o600, dir_fd=parent)
        with os.fdopen(fd, "wb") as file, entry.open() as contents:
            while part := contents.read(PART_BYTES):
                self._bytes_left -= len(part)
                if self._bytes_left < 0:
                    raise Refused(f"the archive has more than {self._bytes_max} bytes")
                file.write(part)
            os.fchmod(fd, entry.mode & 0o777 | 0o600)

    @contextlib.contextmanager
    def _directory(self, name: str, parts: list[str], *, make: bool = True, counted: int = PARTS_MAX) -> Iterator[int]:
        """A directory below the root, made where it is missing; no part of its path may be a link.

        Parts that are made count as entries if they are among the first `counted`.
        """
        fd = os.dup(self._root)
        try:
            for depth, part in enumerate(parts):
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, 0o755, dir_fd=fd)
                        self._count(1 if depth < counted else 0)
                flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                try:
                    below = os.open(part, flags, dir_fd=fd)
                except OSError as error:
                    raise Refused(f'"{name}" does not lie in a directory of the archive: {error.strerror}') from None
                os.close(fd)
                fd = below
            yield fd
        finally:
            os.close(fd)


def _parts(name: str) -> list[str]:
    """The names in a path; raises `Refused` for one that could lead elsewhere or too deep."""
    if name.startswith("/"):
        raise Refused(f'"{name}" is an absolute name, outside the archive')
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in name:
        raise Refused(f'"{name}" leads outside the archive')
    if len(parts) > PARTS_MAX:
        raise Refused(f'"{name[:NAME_SHOWN]}…" lies more than {PARTS_MAX} names deep')
    return parts


def _check_target(entry: Entry, depth: int) -> None:
    """Let a link lead upwards first and then down, never above the root, so that all it meets is inside."""
    parts = [part for part in entry.target.split("/") if part not in ("", ".")]
    upwards = 0
    while upwards < len(parts) and parts[upwards] == "..":
        upwards += 1
    if entry.target.startswith("/") or upwards > depth or ".." in parts[upwards:] or not entry.target:
        raise Refused(f'"{entry.name}" is a link to "{entry.target}", outside the archive')
