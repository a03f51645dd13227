"""Files of an allocation as clients read them: lists, status, contents, streams of frames (spec node-agent §16)."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import errno
import os
import stat
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import msgspec

from yurt.fsm.errors import Refusal
from yurt.fsm.structs.base import Record, to_json
from yurt.fsm.structs.times import to_rfc3339
from yurt.server.client.allocdir import AllocDir, Escapes, Inside

FRAME_BYTES = 64 << 10
POLL_SECONDS, HEARTBEAT_SECONDS = 0.1, 1.0
HEARTBEAT = b"{}"
_KINDS = (
    (stat.S_ISDIR, "d"), (stat.S_ISLNK, "L"), (stat.S_ISFIFO, "p"), (stat.S_ISSOCK, "S"), (stat.S_ISCHR, "Dc"),
    (stat.S_ISBLK, "D"),
)  # fmt: skip
_SIGNATURES = (
    (b"\x1f\x8b\x08", "application/x-gzip"), (b"PK\x03\x04", "application/zip"), (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"), (b"GIF8", "image/gif"), (b"\xff\xd8\xff", "image/jpeg"),
    (b"<!DOCTYPE HTML", "text/html; charset=utf-8"), (b"<html", "text/html; charset=utf-8"),
    (b"<?xml", "text/xml; charset=utf-8"),
)  # fmt: skip
_BINARY = bytes(one for one in range(32) if one not in (9, 10, 12, 13, 27))


class FileInfo(Record, frozen=True):
    """A file; `mod_time` is RFC 3339, its content's type only if it is asked for alone."""

    name: str
    is_dir: bool
    size: int
    file_mode: str
    mod_time: str
    content_type: str | msgspec.UnsetType = msgspec.UNSET


def mode_text(mode: int) -> str:
    """The mode as the reference writes it: `drwxrwxrwx`, `-rw-r--r--`, `dtrwxrwxrwx`."""
    kind = next((letter for test, letter in _KINDS if test(mode)), "")
    for bit, letter in ((stat.S_ISUID, "u"), (stat.S_ISGID, "g"), (stat.S_ISVTX, "t")):
        kind += letter if mode & bit else ""
    rights = "".join(letter if mode & 1 << 8 - place else "-" for place, letter in enumerate("rwxrwxrwx"))
    return (kind or "-") + rights


def content_type(head: bytes) -> str:
    """Guess the content type of a file from its first bytes."""
    for start, kind in _SIGNATURES:
        if head.startswith(start):
            return kind
    return "text/plain; charset=utf-8" if head.translate(None, _BINARY) == head else "application/octet-stream"


def _described(name: str, found: os.stat_result, kind: str | msgspec.UnsetType = msgspec.UNSET) -> FileInfo:
    return FileInfo(
        name=name,
        is_dir=stat.S_ISDIR(found.st_mode),
        size=found.st_size,
        file_mode=mode_text(found.st_mode),
        mod_time=to_rfc3339(found.st_mtime_ns),
        content_type=kind,
    )


@contextlib.contextmanager
def _errors(path: str, verb: str) -> Iterator[None]:
    """Turn errors about a path into refusals, in the words that clients look for."""
    try:
        yield
    except Escapes as error:
        raise Refusal(500, str(error)) from None
    except OSError as error:
        status = 404 if error.errno == errno.ENOENT else 500
        raise Refusal(status, f"{verb} {path}: {os.strerror(error.errno or 0).lower()}") from None
    except ValueError as error:  # a zero byte
        raise Refusal(500, f"{verb} {path}: invalid argument: {error}") from None


def list_directory(directory: AllocDir, path: str) -> bytes:
    """fs/ls."""
    with _errors(f"{directory.path}/{path.lstrip('/')}", "open"), Inside(directory.path, path) as found:
        return to_json([_described(name, one) for name, one in found.entries()])


def file_status(directory: AllocDir, path: str) -> bytes:
    """fs/stat."""
    with _errors(f"{directory.path}/{path.lstrip('/')}", "stat"), Inside(directory.path, path) as found:
        kind = "" if not stat.S_ISREG(found.status.st_mode) or found.is_secret else content_type(_head(found))
        name = found.parts[-1] if found.parts else directory.path.name
        return to_json(_described(name, found.status, kind))


def _head(found: Inside) -> bytes:
    fd = found.open()
    try:
        return os.read(fd, 512)
    finally:
        os.close(fd)


def open_file(directory: AllocDir, path: str) -> int:
    """A descriptor of a file that may be read; raises Refusal."""
    if not path:
        raise Refusal(400, "must provide a file name")
    shown = path.lstrip("/")
    with _errors(f"{directory.path}/{shown}", "stat"), Inside(directory.path, path) as found:
        if found.is_secret:
            raise Refusal(500, f"Reading {found.is_secret} file prohibited: {'/'.join(found.parts)}")
        if stat.S_ISDIR(found.status.st_mode):
            raise Refusal(400, f'file "{shown}" is a directory')
        if not stat.S_ISREG(found.status.st_mode):
            raise Refusal(400, f'file "{shown}" is no regular file')
        return found.open()


def size_of(fd: int) -> int:
    """How long an open file is."""
    return os.fstat(fd).st_size


async def contents(fd: int, offset: int, limit: int | None) -> AsyncIterator[bytes]:
    """The bytes of a file from an offset on; closes it."""
    try:
        while limit is None or limit > 0:
            part = os.pread(fd, FRAME_BYTES if limit is None else min(limit, FRAME_BYTES), offset)
            if not part:
                return
            offset += len(part)
            limit = None if limit is None else limit - len(part)
            yield part
            await asyncio.sleep(0)
    finally:
        os.close(fd)


@dataclass(frozen=True, slots=True)
class Frame:
    """A piece of a file; `offset` is the position after it."""

    data: bytes
    file: str
    offset: int

    def json(self) -> bytes:
        """As clients read it."""
        return b'{"Data":"%b","File":%b,"Offset":%d}' % (
            base64.b64encode(self.data), to_json(self.file), self.offset,
        )  # fmt: skip


async def follow(fd: int, name: str, offset: int, *, on: bool) -> AsyncIterator[Frame | None]:
    """Frames of a file, from then on also what is appended; None now and then when there is nothing. Closes it."""
    quiet = 0.0
    try:
        while True:
            if os.fstat(fd).st_size < offset:
                offset = 0  # it was cut
            if data := os.pread(fd, FRAME_BYTES, offset):
                offset, quiet = offset + len(data), 0.0
                yield Frame(data, name, offset)
                await asyncio.sleep(0)
                continue
            if not on:
                return
            await asyncio.sleep(POLL_SECONDS)
            quiet += POLL_SECONDS
            if quiet >= HEARTBEAT_SECONDS:
                quiet = 0.0
                yield None
    finally:
        os.close(fd)
