"""Term and vote on disk: the same record in two slots, both synced before a message that depends on it leaves.

    slot = magic, sequence, term, length of the vote, vote, CRC, zeros up to SLOT_BYTES

The slots are made once and then written in place, so that a full disk does not take a server its vote. Two slots are
no history: the older one would forget a vote, so what is read is written to both again before it counts.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from yurt.server.raft.errors import WAY_OUT, Corrupt, DiskFailed
from yurt.server.raft.storage.disk import Disk

_HEAD = struct.Struct("<8sQQH")
_CRC = struct.Struct("<I")
_MAGIC = b"YURTHRD1"
SLOTS = ("hardstate.0", "hardstate.1")
SLOT_BYTES = 512
VOTE_BYTES_MAX = SLOT_BYTES - _HEAD.size - _CRC.size


class HardState(NamedTuple):
    """The state that a server must never forget: its term and its vote in that term."""

    term: int = 0
    voted_for: str | None = None


class HardStateFile:
    """The two slots. A crash between their writes leaves one of them whole."""

    def __init__(self, disk: Disk, directory: str) -> None:
        self._disk, self._directory = disk, directory
        self._sequence = 0

    def load(self, *, required: bool = False) -> HardState | None:
        """The newest whole record, in both slots again; None if nothing was ever written.

        `required` says that there must be one (a log or a snapshot is there). Raises `Corrupt`, `DiskFailed`.
        """
        names = [name for name in SLOTS if name in self._disk.list(self._directory)]
        if not names and not required:
            return None
        records = [record for name in names if (record := self._read(name)) is not None]
        if not records:
            raise Corrupt(
                f"term and vote in {self._directory} ({', '.join(SLOTS)}) are missing or damaged in both slots. A "
                f"server that forgets its vote may elect two leaders. {WAY_OUT}"
            )
        self._sequence, state = max(records, key=lambda record: record[0])
        if records != [records[0]] * len(SLOTS):
            self.save(state)
        return state

    def slots(self) -> dict[str, HardState | None]:
        """Return the content of each slot that is there, None for a damaged one; change nothing."""
        present = self._disk.list(self._directory)
        records = {name: self._read(name) for name in SLOTS if name in present}
        return {name: None if record is None else record[1] for name, record in records.items()}

    def _read(self, name: str) -> tuple[int, HardState] | None:
        data = self._disk.read(f"{self._directory}/{name}")
        if len(data) != SLOT_BYTES or not data.startswith(_MAGIC):
            return None
        _, sequence, term, length = _HEAD.unpack_from(data)
        end = _HEAD.size + length
        if length > VOTE_BYTES_MAX or _CRC.unpack_from(data, end)[0] != zlib.crc32(data[:end]):
            return None
        return sequence, HardState(term, data[_HEAD.size : end].decode() or None)

    def save(self, state: HardState) -> None:
        """Return when both slots hold the record; any failure is final: `DiskFailed`."""
        vote = (state.voted_for or "").encode()
        if len(vote) > VOTE_BYTES_MAX:
            raise ValueError(f"a server ID of more than {VOTE_BYTES_MAX} bytes")
        self._sequence += 1
        body = _HEAD.pack(_MAGIC, self._sequence, state.term, len(vote)) + vote
        data = (body + _CRC.pack(zlib.crc32(body))).ljust(SLOT_BYTES, b"\0")
        try:
            for name in SLOTS:
                self._write(name, data)
        except OSError as error:
            raise DiskFailed(f"term and vote could not be stored in {self._directory}: {error}") from error

    def _write(self, name: str, data: bytes) -> None:
        path = f"{self._directory}/{name}"
        fresh = name not in self._disk.list(self._directory)
        file = self._disk.create(f"{path}.tmp") if fresh else self._disk.open(path)
        try:
            file.write(0, data)
            file.sync()
        finally:
            file.close()
        if fresh:
            self._disk.rename(f"{path}.tmp", path)
            self._disk.sync_directory(self._directory)
