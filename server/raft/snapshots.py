"""Snapshot files: `TERM-INDEX.snap`, written aside, read back, renamed, never replaced by an older one; two are kept.

file = body, metadata (msgpack), metadata length, CRC of the metadata, magic
"""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import msgpack

from yurt.server.raft.disk import Disk, File
from yurt.server.raft.errors import Corrupt

_TAIL = struct.Struct("<II8s")
_MAGIC = b"YURTSNP1"
KEPT = 2
CHUNK_BYTES = 1 << 20
METADATA_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot's place in the log, and the configuration as of there."""

    index: int
    term: int
    configuration: list[list[str]]
    size: int = 0
    crc: int = 0


class SnapshotWriter:
    """A snapshot being written; `finish` publishes it, `abandon` removes it."""

    def __init__(self, store: SnapshotStore, snapshot: Snapshot) -> None:
        self._store, self._snapshot = store, snapshot
        self._path = f"{store.directory}/{snapshot.term}-{snapshot.index}.tmp"
        self._file: File = store.disk.create(self._path)
        self.size = self._crc = 0

    def write(self, chunk: bytes) -> None:
        """Add to the body."""
        self._file.write(self.size, chunk)
        self.size += len(chunk)
        self._crc = zlib.crc32(chunk, self._crc)

    def finish(self) -> Snapshot:
        """Sync, read back, rename; return what was published. Raises `Corrupt` if it does not read back."""
        done = replace(self._snapshot, size=self.size, crc=self._crc)
        metadata = msgpack.packb(asdict(done))
        self._file.write(self.size, metadata + _TAIL.pack(len(metadata), zlib.crc32(metadata), _MAGIC))
        self._file.sync()
        self._file.close()
        self._store.verify(self._path)
        self._store.disk.rename(self._path, self._store.path(done))
        self._store.disk.sync_directory(self._store.directory)
        self._store.drop_old()
        return done

    def abandon(self) -> None:
        """Remove what was written."""
        self._file.close()
        self._store.disk.remove(self._path)


class SnapshotStore:
    """The snapshots of one server."""

    def __init__(self, disk: Disk, directory: str) -> None:
        self.disk, self.directory = disk, directory

    def open(self) -> None:
        """Make the directory, remove what was never finished."""
        self.disk.make_directory(self.directory)
        for name in self.disk.list(self.directory):
            if name.endswith(".tmp"):
                self.disk.remove(f"{self.directory}/{name}")

    def path(self, snapshot: Snapshot) -> str:
        """The snapshot's file."""
        return f"{self.directory}/{snapshot.term}-{snapshot.index}.snap"

    def _names(self) -> list[str]:
        """File names, the newest first."""
        names = [name for name in self.disk.list(self.directory) if name.endswith(".snap")]
        return sorted(names, key=lambda name: int(name[:-5].split("-")[1]), reverse=True)

    def newest(self) -> Snapshot | None:
        """The newest valid snapshot; damaged ones are passed over."""
        for name in self._names():
            with contextlib.suppress(Corrupt, OSError):
                return self.verify(f"{self.directory}/{name}")
        return None

    def kept_index(self) -> int:
        """The index of the oldest kept snapshot, if as many are kept as should be; the log before it may go."""
        names = self._names()[:KEPT]
        return int(names[-1][:-5].split("-")[1]) if len(names) == KEPT else 0

    def verify(self, path: str) -> Snapshot:
        """The metadata of a file whose body has the right checksum; raises `Corrupt`."""
        data = self.disk.read(path)
        snapshot, size = _metadata(data, path)
        if size != snapshot.size or zlib.crc32(memoryview(data)[:size]) != snapshot.crc:
            raise Corrupt(f"the snapshot {path} is damaged")
        return snapshot

    def body(self, snapshot: Snapshot) -> Iterator[bytes]:
        """The body in chunks."""
        data = memoryview(self.disk.read(self.path(snapshot)))[: snapshot.size]
        for start in range(0, len(data), CHUNK_BYTES):
            yield bytes(data[start : start + CHUNK_BYTES])

    def begin(self, snapshot: Snapshot) -> SnapshotWriter:
        """Start to write one."""
        return SnapshotWriter(self, snapshot)

    def drop_old(self) -> None:
        """Keep the newest two."""
        for name in self._names()[KEPT:]:
            self.disk.remove(f"{self.directory}/{name}")
        self.disk.sync_directory(self.directory)


def _metadata(data: bytes, path: str) -> tuple[Snapshot, int]:
    try:
        length, crc, magic = _TAIL.unpack_from(data, len(data) - _TAIL.size)
        size = len(data) - _TAIL.size - length
        packed = data[size : size + length]
        if magic != _MAGIC or length > METADATA_BYTES_MAX or size < 0 or zlib.crc32(packed) != crc:
            raise Corrupt(f"the snapshot {path} is damaged")
        fields: dict[str, Any] = msgpack.unpackb(packed)
        return Snapshot(**fields), size
    except (struct.error, ValueError, TypeError) as error:
        raise Corrupt(f"the snapshot {path} is damaged: {error}") from error
