"""The log on disk: segments that are only appended to, cut at the end, and dropped whole at the beginning.

The loop changes the log in memory at once and gets an operation for the disk thread, which performs operations in
order, with one sync for a run of appends.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pysyncobj.journal import Journal as JournalInterface

from yurt.server.raft.disk import Disk, File
from yurt.server.raft.errors import Corrupt, DiskFailed
from yurt.server.raft.records import (
    BATCH_HEADER_BYTES,
    RECORD_HEADER_BYTES,
    SEGMENT_HEADER_BYTES,
    Entry,
    pack_batch,
    scan_segment,
    segment_header,
)

SEGMENT_BYTES = 16 << 20
SPARE = "spare.tmp"


@dataclass(frozen=True, slots=True)
class Operation:
    """Something for the disk thread: `append` entries, `cut` from an index, `drop` up to one, `reset` after one."""

    kind: str
    entries: tuple[Entry, ...] = ()
    index: int = 0
    commit_hint: int = 0


@dataclass
class _Segment:
    name: str
    first_index: int
    end: int
    chain: int
    places: list[tuple[int, int]] = field(default_factory=list)  # (offset, chain before) of each record


class Journal(JournalInterface):  # type: ignore[misc]  # the library has no types
    """The log of one server. `entries` and what follows are for the loop, `perform` is for the disk thread."""

    def __init__(self, disk: Disk, directory: str, cluster: bytes, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._disk, self._directory, self.cluster = disk, directory, cluster
        self._segment_bytes = segment_bytes
        self._log: list[Entry] = []
        self._base_index = 0  # the entry before the first one
        self._base_term: int | None = 0
        self._segments: list[_Segment] = []
        self._file: File | None = None
        self._durable_index = 0
        self._failed = False
        self.writable = True
        self.commit_hint = 0

    # --- opening

    def open(self) -> None:
        """Read what is there, cut a torn tail; raises `Corrupt`."""
        self._disk.make_directory(self._directory)
        names = [name for name in self._disk.list(self._directory) if name.endswith(".log")]
        chain = None
        for name in names:
            last = name == names[-1]
            data = self._disk.read(f"{self._directory}/{name}")
            if last and len(names) > 1 and not any(data[:SEGMENT_HEADER_BYTES]):
                self._disk.remove(f"{self._directory}/{name}")  # made, but its header never got there
                continue
            scan = scan_segment(data, name, self.cluster, last=last)
            if self._log and scan.first_index != self._log[-1][1] + 1:
                raise Corrupt(f"{name} does not follow the segment before it: a file is missing")
            if not self._segments:
                self._base_index = scan.first_index - 1
                self._base_term = None if self._base_index else 0
            places = [(one.offset, one.chain_before) for one in scan.found]
            if chain is not None and scan.found and scan.found[0].chain_before != chain:
                raise Corrupt(f"{name} does not follow the segment before it")
            chain = scan.chain
            self._segments.append(_Segment(name, scan.first_index, scan.end, scan.chain, places))
            self._log.extend(one.entry for one in scan.found)
            self.commit_hint = max(self.commit_hint, scan.commit_hint)
            if last and scan.torn:
                self._clear_tail(self._segments[-1])
        self._durable_index = self.last_index
        self.commit_hint = min(self.commit_hint, self.last_index)
        if self._segments:
            self._file = self._disk.open(f"{self._directory}/{self._segments[-1].name}")
        self._make_spare()

    def _clear_tail(self, segment: _Segment) -> None:
        file = self._disk.open(f"{self._directory}/{segment.name}")
        file.truncate(segment.end)
        file.sync()
        file.close()

    # --- the loop's side: the log in memory

    @property
    def first_index(self) -> int:
        """The index of the first entry that is there."""
        return self._base_index + 1

    @property
    def last_index(self) -> int:
        """The index of the last entry."""
        return self._base_index + len(self._log)

    def term_at(self, index: int) -> int | None:
        """The term of an entry, or of the one before the first; None if it is not known."""
        if index == self._base_index:
            return self._base_term
        if self._base_index < index <= self.last_index:
            return self._log[index - self._base_index - 1][2]
        return None

    def entries(self, low: int, bytes_max: int) -> list[Entry]:
        """The entries from `low` on, at least one and at most about `bytes_max` bytes."""
        found: list[Entry] = []
        size = 0
        for entry in self._log[low - self._base_index - 1 : low - self._base_index - 1 + 4096]:
            size += len(entry[0])
            if found and size > bytes_max:
                break
            found.append(entry)
        return found

    def at(self, index: int) -> Entry:
        """The entry of an index."""
        return self._log[index - self._base_index - 1]

    def set_base(self, index: int, term: int) -> None:
        """Say the term of the entry before the first one (from the snapshot that ends there)."""
        if index == self._base_index:
            self._base_term = term

    def append(self, entries: Iterable[Entry], commit_hint: int = 0) -> Operation:
        """Add entries at the end."""
        new = tuple(entries)
        assert all(one[1] == self.last_index + 1 + i for i, one in enumerate(new)), "indexes are contiguous"
        self._log.extend(new)
        return Operation("append", entries=new, commit_hint=commit_hint)

    def cut(self, index: int) -> Operation:
        """Remove the entry of that index and all after it."""
        del self._log[index - self._base_index - 1 :]
        return Operation("cut", index=index)

    def drop(self, index: int) -> Operation:
        """Forget entries up to that index (whole segments only on disk)."""
        gone = min(index, self.last_index) - self._base_index
        if gone > 0:
            self._base_term = self._log[gone - 1][2]
            del self._log[:gone]
            self._base_index += gone
        return Operation("drop", index=index)

    def reset(self, index: int, term: int) -> Operation:
        """Empty the log; the next entry will be `index` + 1."""
        self._log, self._base_index, self._base_term = [], index, term
        return Operation("reset", index=index)

    # --- the disk thread's side

    def perform(self, operations: list[Operation]) -> None:
        """Do them in order; they are durable when this returns. Any failure is final: `DiskFailed`."""
        if self._failed:
            raise DiskFailed("the log failed before")
        try:
            batch: list[Entry] = []
            hint = 0
            for operation in operations:
                if operation.kind == "append":
                    batch.extend(operation.entries)
                    hint = max(hint, operation.commit_hint)
                    continue
                self._write(batch, hint)
                batch = []
                getattr(self, f"_{operation.kind}")(operation.index)
            self._write(batch, hint)
            if not self.writable:
                self._make_spare()
        except OSError as error:
            self._failed = True
            raise DiskFailed(f"the log in {self._directory} failed: {error}") from error

    def _write(self, entries: list[Entry], hint: int) -> None:
        if not entries:
            return
        size = BATCH_HEADER_BYTES + sum(RECORD_HEADER_BYTES + len(one[0]) for one in entries)
        if self._file is None or self._segments[-1].end + size > self._segment_bytes:
            self._roll(entries[0][1], size)
        segment = self._segments[-1]
        data, places, chain = pack_batch(
            entries,
            offset=segment.end,
            chain=segment.chain,
            durable=self._durable_index,
            commit=hint,
            cluster=self.cluster,
        )
        assert self._file is not None
        self._file.write(segment.end, data)
        self._file.sync()
        segment.end += len(data)
        segment.chain = chain
        segment.places.extend(places)
        self._durable_index = entries[-1][1]

    def _roll(self, first_index: int, size: int) -> None:
        """Start a new segment, in the space that was set aside."""
        if self._file is not None:
            self._file.truncate(self._segments[-1].end)
            self._file.sync()
            self._file.close()
        chain = self._segments[-1].chain if self._segments else 0
        name = f"{first_index:020d}.log"
        path, spare = f"{self._directory}/{name}", f"{self._directory}/{SPARE}"
        if SPARE not in self._disk.list(self._directory):
            self._disk.create(spare).close()
        file = self._disk.open(spare)
        file.preallocate(max(self._segment_bytes, SEGMENT_HEADER_BYTES + size))
        file.write(0, segment_header(first_index, chain, self.cluster))
        file.sync()
        self._disk.rename(spare, path)
        self._disk.sync_directory(self._directory)
        self._file = file
        self._segments.append(_Segment(name, first_index, SEGMENT_HEADER_BYTES, chain))
        self._make_spare()

    def _make_spare(self) -> None:
        """Set the next segment's space aside; without it nothing new is accepted."""
        spare = f"{self._directory}/{SPARE}"
        try:
            file = self._disk.create(spare)
            try:
                file.preallocate(self._segment_bytes)
                file.sync()
            finally:
                file.close()
            self.writable = True
        except OSError as error:
            self._disk.remove(spare)
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            self.writable = False

    def _cut(self, index: int) -> None:
        """Cuts are durable before anything is appended after them, the newest segment first."""
        while self._segments and self._segments[-1].first_index >= index and len(self._segments) > 1:
            self._close()
            self._disk.remove(f"{self._directory}/{self._segments.pop().name}")
            self._disk.sync_directory(self._directory)
        if not self._segments:
            return
        segment = self._segments[-1]
        if self._file is None:
            self._file = self._disk.open(f"{self._directory}/{segment.name}")
        position = index - segment.first_index
        if position < len(segment.places):
            self._rewrite(segment, max(0, position))
        self._durable_index = min(self._durable_index, index - 1)

    def _rewrite(self, segment: _Segment, keep: int) -> None:
        """Keep the first `keep` records of a segment. A batch is cut inside by writing its rest as a new batch."""
        assert self._file is not None
        data = self._disk.read(f"{self._directory}/{segment.name}")
        scan = scan_segment(data, segment.name, self.cluster, last=True)
        kept = [one.entry for one in scan.found[:keep]]
        start, chain = SEGMENT_HEADER_BYTES, scan.found[0].chain_before
        body = b""
        places: list[tuple[int, int]] = []
        if kept:
            body, places, chain = pack_batch(
                kept, offset=start, chain=chain, durable=kept[-1][1], commit=0, cluster=self.cluster
            )
        spare = f"{self._directory}/rewrite.tmp"
        fresh = self._disk.create(spare)
        fresh.preallocate(self._segment_bytes)
        fresh.write(0, segment_header(segment.first_index, scan.found[0].chain_before, self.cluster) + body)
        fresh.sync()
        self._disk.rename(spare, f"{self._directory}/{segment.name}")
        self._disk.sync_directory(self._directory)
        self._file.close()
        self._file = fresh
        segment.places, segment.chain, segment.end = places, chain, start + len(body)

    def _drop(self, index: int) -> None:
        """Delete segments whose entries are all at or below `index`, the oldest first."""
        while len(self._segments) > 1 and self._segments[1].first_index <= index + 1:
            self._disk.remove(f"{self._directory}/{self._segments.pop(0).name}")
            self._disk.sync_directory(self._directory)

    def _reset(self, index: int) -> None:
        self._close()
        while self._segments:
            self._disk.remove(f"{self._directory}/{self._segments.pop().name}")
            self._disk.sync_directory(self._directory)
        self._durable_index = index

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def close(self) -> None:
        """Close the files (nothing is written)."""
        self._close()

    # --- the library's interface, as far as its kept methods use it

    def add(self, command: bytes, idx: int, term: int) -> None:
        """The constructor's first entry is not ours: the log begins with the configuration."""

    def getCurrentTerm(self) -> int:
        """Terms are in the hard state."""
        return 0

    def getVotedForNodeId(self) -> str | None:
        """Votes are in the hard state."""
        return None

    def getRaftCommitIndex(self) -> int:
        """The commit index is volatile."""
        return 0

    def _destroy(self) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._log)

    def __getitem__(self, item: Any) -> Any:
        return self._log[item]
