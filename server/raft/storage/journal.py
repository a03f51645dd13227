"""The log on disk: segments that are only appended to, cut at the end, and dropped whole at the beginning.

The loop changes the log in memory at once and gets an operation for the disk thread, which performs operations in
order, with one sync for a run of appends.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

from yurt.server.raft.errors import DiskFailed, StorageFull
from yurt.server.raft.storage.disk import Disk
from yurt.server.raft.storage.records import Entry
from yurt.server.raft.storage.segments import Segments

SEGMENT_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Operation:
    """Something for the disk thread: `append` entries, `cut` from an index, `drop` up to one, `reset` after one.

    `term` is that of the entry before a cut or at a reset. `prepare` only looks for the next segment's space, as all of
    them do in the end.
    """

    kind: str
    entries: tuple[Entry, ...] = ()
    index: int = 0
    commit_hint: int = 0
    term: int = 0


class Journal:
    """The log of one server. `entries` and what follows are for the loop, `perform` is for the disk thread."""

    def __init__(self, disk: Disk, directory: str, cluster: bytes, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._directory, self.cluster = directory, cluster
        self._segments = Segments(disk, directory, cluster, segment_bytes)
        self._segment_bytes = segment_bytes
        self._log: list[Entry] = []
        self._base_index = 0  # the entry before the first one
        self._base_term: int | None = 0
        self._failed = False
        self.commit_hint = 0
        self.torn_bytes = 0

    @property
    def writable(self) -> bool:
        """False while the next segment's space cannot be set aside: refuse proposals; `perform` tries again."""
        return self._segments.writable

    # --- opening

    def open(self) -> None:
        """Read what is there, cut a torn tail (`torn_bytes` says how much); raises `Corrupt`, `DiskFailed`."""
        try:
            loaded = self._segments.load()
        except OSError as error:
            self._failed = True
            raise DiskFailed(f"the log in {self._directory} cannot be opened: {error}") from error
        (self._base_index, self._base_term), self._log = loaded.base, loaded.entries
        self.commit_hint, self.torn_bytes = loaded.commit_hint, loaded.torn_bytes

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
        terms = [self.term_at(self.last_index) or 0, *(one[2] for one in new)]
        assert terms == sorted(terms), "terms do not fall"
        self._log.extend(new)
        return Operation("append", entries=new, commit_hint=commit_hint)

    def cut(self, index: int) -> Operation:
        """Remove the entry of that index and all after it."""
        assert index > self._base_index, "a cut below the log"
        del self._log[index - self._base_index - 1 :]
        return Operation("cut", index=index, term=self.term_at(index - 1) or 0)

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
        return Operation("reset", index=index, term=term)

    # --- the disk thread's side

    def perform(self, operations: list[Operation]) -> int:
        """Do them in order; say how many are durable: all, unless there is no room for the next one.

        That one was not begun; nothing is lost, `writable` is false. Any failure is final: `DiskFailed`.
        """
        if self._failed:
            raise DiskFailed(f"the log in {self._directory} failed before")
        done = 0
        try:
            with contextlib.suppress(StorageFull):
                while done < len(operations):
                    done += self._next(operations, done)
            self._segments.prepare()
        except OSError as error:
            self._failed = True
            raise DiskFailed(f"the log in {self._directory} failed: {error}") from error
        if done < len(operations):
            self._segments.writable = False
        return done

    def _next(self, operations: list[Operation], at: int) -> int:
        """Do one operation, or a run of appends that fit into a segment with one sync; how many were done."""
        batch: list[Entry] = []
        hint = size = count = 0
        for operation in operations[at:]:
            more = sum(len(entry[0]) for entry in operation.entries)
            if operation.kind != "append" or (count and size + more > self._segment_bytes):
                break
            batch.extend(operation.entries)
            hint, size, count = max(hint, operation.commit_hint), size + more, count + 1
        if batch:
            self._segments.append(batch, hint)
        elif not count:
            self._change(operations[at])
            return 1
        return count

    def _change(self, operation: Operation) -> None:
        match operation.kind:
            case "cut":
                self._segments.cut(operation.index, operation.term)
            case "drop":
                self._segments.drop(operation.index)
            case "reset":
                self._segments.reset(operation.index, operation.term)

    def finish(self) -> None:
        """Mark a proper stop and close: call it on the disk thread when nothing is left to perform."""
        if self._failed:
            return
        try:
            self._segments.finish()
        except OSError as error:
            self._failed = True
            raise DiskFailed(f"the log in {self._directory} failed: {error}") from error

    def close(self) -> None:
        """Close the files (nothing is written)."""
        self._segments.close()
