"""Term and vote on disk: the same record in two slots, both synced before a message that depends on it leaves."""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from yurt.server.raft.disk import Disk
from yurt.server.raft.errors import Corrupt, DiskFailed

_HEAD = struct.Struct("<8sQQH")
_MAGIC = b"YURTHRD1"
SLOTS = ("hardstate.0", "hardstate.1")


class HardState(NamedTuple):
    """What a server must never forget: its term and whom it voted for in it."""

    term: int = 0
    voted_for: str | None = None


class HardStateFile:
    """The two slots. A crash between their writes leaves one of them whole."""

    def __init__(self, disk: Disk, directory: str) -> None:
        self._disk, self._directory = disk, directory
        self._sequence = 0

    def load(self) -> HardState | None:
        """The newest whole record; None if nothing was ever written; raises `Corrupt` if both are damaged."""
        names = [name for name in SLOTS if name in self._disk.list(self._directory)]
        if not names:
            return None
        records = [record for name in names if (record := self._read(name)) is not None]
        if not records:
            raise Corrupt(
                f"term and vote in {self._directory} are damaged in both slots. A server that forgets its vote may "
                "elect two leaders: bring it back with an empty data directory"
            )
        self._sequence, state = max(records)
        return state

    def _read(self, name: str) -> tuple[int, HardState] | None:
        data = self._disk.read(f"{self._directory}/{name}")
        if len(data) < _HEAD.size + 4 or struct.unpack("<I", data[-4:])[0] != zlib.crc32(data[:-4]):
            return None
        magic, sequence, term, length = _HEAD.unpack_from(data)
        vote = data[_HEAD.size : -4]
        if magic != _MAGIC or len(vote) != length:
            return None
        return sequence, HardState(term, vote.decode() or None)

    def save(self, state: HardState) -> None:
        """Return when both slots hold the record; any failure is final: `DiskFailed`."""
        self._sequence += 1
        vote = (state.voted_for or "").encode()
        body = _HEAD.pack(_MAGIC, self._sequence, state.term, len(vote)) + vote
        data = body + struct.pack("<I", zlib.crc32(body))
        try:
            for name in SLOTS:
                path = f"{self._directory}/{name}"
                fresh = self._disk.create(f"{path}.tmp")
                fresh.write(0, data)
                fresh.sync()
                fresh.close()
                self._disk.rename(f"{path}.tmp", path)
            self._disk.sync_directory(self._directory)
        except OSError as error:
            raise DiskFailed(f"term and vote could not be stored in {self._directory}: {error}") from error
