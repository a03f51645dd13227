"""Snapshot files: `TERM-INDEX.snap`, written aside, read back, renamed, never replaced by an older one; two are kept.

Snapshots are written and published on threads beside the loop, which reads the list of them and pins.

file = body, metadata (msgpack), metadata length, CRC of the metadata, magic
metadata = index, term, configuration as of there and its index, cluster, size and CRC of the body
"""

from __future__ import annotations

import contextlib
import errno
import re
import struct
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import msgpack

from yurt.server.raft.errors import Corrupt, DiskFailed, StorageFull
from yurt.server.raft.storage.apart import Apart, write_file, written
from yurt.server.raft.storage.disk import Disk, File

_TAIL = struct.Struct("<II8s")
_MAGIC = b"YURTSNP1"
_NAME = re.compile(r"(\d{1,20})-(\d{1,20})\.snap")
KEPT = 2
CHUNK_BYTES = 1 << 20
METADATA_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot's place in the log, the configuration as of there and the index of that one; size in bytes."""

    index: int
    term: int
    configuration: list[list[str]]
    size: int = 0
    crc: int = 0
    configuration_index: int = 0


class SnapshotWriter:
    """A snapshot being written; `finish` publishes it, `abandon` removes it.

    A write that finds no space removes the file and raises `StorageFull`: nothing is lost. Other failures of the disk
    are `DiskFailed`, and final.
    """

    def __init__(self, store: SnapshotStore, snapshot: Snapshot) -> None:
        self._store, self._snapshot = store, snapshot
        self._path = store.temporary(snapshot)
        with self._failures():
            self._file: File = store.disk.create(self._path)
        self.size = self._crc = 0

    def write(self, chunk: bytes) -> None:
        """Add to the body."""
        with self._failures():
            self._file.write(self.size, chunk)
        self.size += len(chunk)
        self._crc = zlib.crc32(chunk, self._crc)

    def fill(self, chunks: Callable[[], Iterable[bytes]]) -> None:
        """Write the whole body, in a process apart if the store has one; also raises `Abandoned`, `Failed`."""
        apart, disk = self._store.apart, self._store.disk
        if apart is None:
            for chunk in chunks():
                self.write(chunk)
            return
        with self._failures():
            result = apart.run(lambda: write_file(self._path, chunks(), sync=disk.syncs))
            self.size, self._crc = written(result)

    def finish(self) -> Snapshot:
        """Sync, read back, rename; return the newest that is published now (one that is not newer is removed).

        Raises `Corrupt` if it does not read back.
        """
        return self._publish(self._check(self._end()))

    def _end(self) -> Snapshot:
        done = replace(self._snapshot, size=self.size, crc=self._crc)
        metadata = msgpack.packb({**asdict(done), "cluster": self._store.cluster})
        self.write(metadata + _TAIL.pack(len(metadata), zlib.crc32(metadata), _MAGIC))
        return done

    def _check(self, expected: Snapshot) -> Snapshot:
        """Sync and read back; raises `Corrupt` (and removes it) if it is not what it should be."""
        with self._failures():
            self._file.sync()
            self._file.close()
            try:
                found = self._store.verify(self._path)
                if (found.index, found.term, found.crc) != (expected.index, expected.term, expected.crc):
                    raise Corrupt(f"the snapshot {self._path} is not the one that was expected")
            except Corrupt:
                self._store.disk.remove(self._path)
                raise
            return found

    def finish_instead_of_all(self) -> Snapshot:
        """As `finish`, but every other snapshot goes."""
        found = self._check(self._end())
        with self._failures():
            self._store.replace_all(self._path, found)
        return found

    def _publish(self, found: Snapshot) -> Snapshot:
        with self._failures():
            return self._store.publish(self._path, found)

    def abandon(self) -> None:
        """Remove what was written."""
        self._file.close()
        with contextlib.suppress(OSError):
            self._store.disk.remove(self._path)

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            with contextlib.suppress(OSError):
                self._store.disk.remove(self._path)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageFull from error
            raise DiskFailed(f"the snapshot {self._path} could not be written: {error}") from error


class SnapshotReceiver(SnapshotWriter):
    """A snapshot that comes from a peer in chunks, `file_bytes` in all: the file as the peer has it."""

    def __init__(self, store: SnapshotStore, snapshot: Snapshot, file_bytes: int) -> None:
        super().__init__(store, snapshot)
        self.file_bytes = file_bytes
        self._found = snapshot

    def chunk(self, offset: int, data: bytes) -> int:
        """Take a chunk if it is the next one; return the offset that is wanted next (also after a repeated one)."""
        if offset == self.size and self.size + len(data) <= self.file_bytes:
            self.write(data)
        return self.size

    def check(self) -> Snapshot:
        """Return the received snapshot; raise `Corrupt` (and remove it) if it is not whole or not the one announced."""
        if self.size != self.file_bytes:
            self.abandon()
            raise Corrupt(f"the snapshot {self._path} has {self.size} of {self.file_bytes} bytes")
        self._found = self._check(self._snapshot)
        return self._found

    def body(self) -> Iterator[bytes]:
        """The body of what was checked, before it is published."""
        return self._store.read_body(self._path, self._found)

    def publish(self) -> Snapshot:
        """Publish what was checked; return the newest that is published now."""
        return self._publish(self._found)

    def finish(self) -> Snapshot:
        """Check and publish."""
        self.check()
        return self.publish()


class SnapshotStore:
    """The snapshots of one server. `cluster` goes into each of them; one of another cluster is refused.

    With `apart` bodies are written there, else by the thread that asks.
    """

    def __init__(self, disk: Disk, directory: str, cluster: bytes = b"", apart: Apart | None = None) -> None:
        self.disk, self.directory, self.cluster, self.apart = disk, directory, cluster, apart
        self._publishing = threading.Lock()
        self._valid: list[Snapshot] = []  # the newest first
        self._pinned: list[Snapshot] = []
        self._temporaries = 0
        self.damaged: list[str] = []

    def open(self) -> None:
        """Make the directory, remove what was never finished, verify what is there (`damaged`: what was not good)."""
        self.disk.make_directory(self.directory)
        self._valid, self.damaged = [], []
        for name in self.disk.list(self.directory):
            path = f"{self.directory}/{name}"
            if name.endswith(".tmp"):
                self.disk.remove(path)
            elif _NAME.fullmatch(name):
                try:
                    found = self.verify(path)
                    if self.path(found) != path:
                        raise Corrupt(f"the snapshot {path} is that of {found.term}-{found.index}")
                    self._valid.append(found)
                except (Corrupt, OSError) as error:
                    self.damaged.append(f"{path}: {error}")
        self.disk.sync_directory(self.directory)  # a name that is seen may not be durable yet
        self._valid.sort(key=_place, reverse=True)

    def path(self, snapshot: Snapshot) -> str:
        """The snapshot's file."""
        return f"{self.directory}/{snapshot.term}-{snapshot.index}.snap"

    def temporary(self, snapshot: Snapshot) -> str:
        """A name for a file being written, used once."""
        self._temporaries += 1
        return f"{self.directory}/{snapshot.term}-{snapshot.index}.{self._temporaries}.tmp"

    def newest(self) -> Snapshot | None:
        """The newest valid snapshot; damaged ones are passed over."""
        return self._valid[0] if self._valid else None

    def age(self) -> float:
        """The seconds since the newest was written; 0 without one."""
        newest = self.newest()
        try:
            return self.disk.age(self.path(newest)) if newest is not None else 0.0
        except OSError:  # a newer one took its place just now
            return 0.0

    def kept_index(self) -> int:
        """The index of the older of two valid snapshots, else 0; the log before it may go."""
        return self._valid[KEPT - 1].index if len(self._valid) >= KEPT else 0

    def verify(self, path: str) -> Snapshot:
        """The metadata of a file whose body has the right checksum; raises `Corrupt`."""
        snapshot, size = self._metadata(path)
        crc = 0
        for start in range(0, size, CHUNK_BYTES):
            crc = zlib.crc32(self.disk.read(path, start, min(CHUNK_BYTES, size - start)), crc)
        if size != snapshot.size or crc != snapshot.crc:
            raise Corrupt(f"the body of the snapshot {path} is damaged")
        return snapshot

    def body(self, snapshot: Snapshot) -> Iterator[bytes]:
        """The body in chunks; raises `Corrupt` at the end if it is not what was written: use it only then."""
        return self.read_body(self.path(snapshot), snapshot)

    def read_body(self, path: str, snapshot: Snapshot) -> Iterator[bytes]:
        """The body of a file under any name."""
        crc = 0
        for start in range(0, snapshot.size, CHUNK_BYTES):
            chunk = self.disk.read(path, start, min(CHUNK_BYTES, snapshot.size - start))
            crc = zlib.crc32(chunk, crc)
            yield chunk
        if crc != snapshot.crc:
            raise Corrupt(f"the body of the snapshot {path} is damaged")

    def file_bytes(self, snapshot: Snapshot) -> int:
        """The length of the file, for a peer."""
        return self.disk.size(self.path(snapshot))

    def chunk(self, snapshot: Snapshot, offset: int, length: int = CHUNK_BYTES) -> bytes:
        """A piece of the file, for a peer."""
        return self.disk.read(self.path(snapshot), offset, length)

    def begin(self, snapshot: Snapshot) -> SnapshotWriter:
        """Start to write one."""
        return SnapshotWriter(self, snapshot)

    def receive(self, snapshot: Snapshot, file_bytes: int) -> SnapshotReceiver:
        """Start to take one from a peer, which announced its index, term, CRC and the bytes of its file."""
        return SnapshotReceiver(self, snapshot, file_bytes)

    def pin(self, snapshot: Snapshot) -> None:
        """Keep a snapshot while it is being sent; once for each `unpin`."""
        self._pinned.append(snapshot)

    def unpin(self, snapshot: Snapshot) -> None:
        """Let it go when its turn comes."""
        self._pinned.remove(snapshot)

    def pinned_index(self) -> int | None:
        """The index of the oldest that is being sent; what follows it in the log will be needed."""
        return min((one.index for one in self._pinned), default=None)

    def publish(self, path: str, snapshot: Snapshot) -> Snapshot:
        """Give a verified file its name, unless there is one at least as new; return the newest."""
        with self._publishing:
            newest = self.newest()
            if newest is not None and _place(newest) >= _place(snapshot):
                self.disk.remove(path)
                return newest
            self.disk.rename(path, self.path(snapshot))
            self.disk.sync_directory(self.directory)
            self._valid = [snapshot, *self._valid]
            self._drop_old()
            return snapshot

    def replace_all(self, path: str, snapshot: Snapshot) -> None:
        """Let a verified file take the place of every other one (only when the engine does not run)."""
        self.disk.rename(path, self.path(snapshot))
        self.disk.sync_directory(self.directory)
        for name in self.disk.list(self.directory):
            if _NAME.fullmatch(name) and f"{self.directory}/{name}" != self.path(snapshot):
                self.disk.remove(f"{self.directory}/{name}")
        self.disk.sync_directory(self.directory)
        self._valid = [snapshot]

    def files(self) -> list[str]:
        """The paths of all snapshots, good or not."""
        return [f"{self.directory}/{name}" for name in self.disk.list(self.directory) if _NAME.fullmatch(name)]

    def _drop_old(self) -> None:
        """Keep the newest two valid ones and those pinned; damaged ones go when there are two."""
        wanted = self._valid[:KEPT] + [one for one in self._valid[KEPT:] if one in self._pinned]
        if len(wanted) < KEPT:
            return
        keep = {self.path(one) for one in wanted}
        for name in self.disk.list(self.directory):
            path = f"{self.directory}/{name}"
            if _NAME.fullmatch(name) and path not in keep:
                self.disk.remove(path)
        self.disk.sync_directory(self.directory)
        self._valid = wanted

    def _metadata(self, path: str) -> tuple[Snapshot, int]:
        """The metadata, and the size of what is before it."""
        try:
            end = self.disk.size(path) - _TAIL.size
            length, crc, magic = _TAIL.unpack(self.disk.read(path, max(0, end), _TAIL.size))
            size = end - length
            if magic != _MAGIC or length > METADATA_BYTES_MAX or size < 0:
                raise Corrupt(f"the end of the snapshot {path} is damaged")
            packed = self.disk.read(path, size, length)
            if zlib.crc32(packed) != crc:
                raise Corrupt(f"the metadata of the snapshot {path} is damaged")
            fields: dict[str, Any] = msgpack.unpackb(packed)
            if fields.pop("cluster") != self.cluster:
                raise Corrupt(f"the snapshot {path} belongs to another cluster")
            return Snapshot(**fields), size
        except (struct.error, ValueError, TypeError, KeyError) as error:
            raise Corrupt(f"the snapshot {path} is damaged: {error}") from error


def _place(snapshot: Snapshot) -> tuple[int, int]:
    return snapshot.index, snapshot.term
