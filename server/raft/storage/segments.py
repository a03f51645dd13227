"""The log's files: the disk thread's side of the journal.

Every method leaves the directory so that a crash in it, or after it, is repaired by `load`. A cut is durable before
anything is appended after it, the newest segment first; compaction removes the oldest first; a segment begins only
when all before it is durable; its space was set aside before.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Sequence
from typing import NamedTuple

from yurt.server.raft.errors import StorageFull
from yurt.server.raft.storage.disk import Disk, File
from yurt.server.raft.storage.records import (
    BATCH_HEADER_BYTES,
    CLEAN,
    ENTRIES,
    RECORD_HEADER_BYTES,
    RESET,
    SEAL,
    SEGMENT_HEADER_BYTES,
    Batch,
    Entry,
    Header,
    Scan,
    Segment,
    damage,
    pack_batch,
    read_header,
    scan_segment,
)

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
SPARE = "spare.tmp"
CREATED = "created"


class Loaded(NamedTuple):
    """The content of the files: entries after `base` (index, term), newest commit hint, bytes of torn tail cut."""

    base: tuple[int, int]
    entries: list[Entry]
    commit_hint: int
    torn_bytes: int


class Segments:
    """The segment files of one server's log."""

    def __init__(self, disk: Disk, directory: str, cluster: bytes, segment_bytes: int) -> None:
        self._disk, self._directory, self._cluster = disk, directory, cluster
        self._segment_bytes = segment_bytes
        self._segments: list[Segment] = []
        self._file: File | None = None
        self._number = 0  # of the newest batch; it is durable when the next one is written
        self._hint = 0
        self._term = 0
        self._spare = False
        self._created = False
        self.writable = True

    def _path(self, name: str) -> str:
        return f"{self._directory}/{name}"

    # --- opening

    def load(self) -> Loaded:
        """Read everything, then repair what a crash may have left; raises `Corrupt` before anything is changed."""
        self._disk.make_directory(self._directory)
        names = self._disk.list(self._directory)
        self._created = CREATED in names
        scans, leftover = self._scan([name for name in names if name.endswith(".log")])
        if self._created and not scans:
            raise damage(self._directory, 0, "its segment files are gone")
        self._segments = [scan.segment for scan in scans]
        for name in leftover:
            self._remove(name)
        entries = [entry for scan in scans for entry in scan.entries]
        torn = self._repair(scans)
        base = (0, 0)
        if scans:
            first, last = scans[0].segment.header, scans[-1]
            base = (first.base_index, first.base_term)
            self._term = last.last_term
            self._number = max(scan.number for scan in scans)
            hint = max(base[0], *(scan.commit_hint for scan in scans))
            self._hint = min(hint, last.segment.last_index)
            self._mark_created()
        self.prepare()
        return Loaded(base, entries, self._hint, torn)

    def examine(self) -> Loaded:
        """Return the result that `load` would; raise `Corrupt` as it does, and change nothing."""
        names = self._disk.list(self._directory)
        scans, _ = self._scan([name for name in names if name.endswith(".log")])
        if not scans:
            if CREATED in names:
                raise damage(self._directory, 0, "its segment files are gone")
            return Loaded((0, 0), [], 0, 0)
        first, last = scans[0].segment.header, scans[-1]
        hint = max(first.base_index, *(scan.commit_hint for scan in scans))
        return Loaded(
            (first.base_index, first.base_term),
            [entry for scan in scans for entry in scan.entries],
            min(hint, last.segment.last_index),
            last.segment.size - last.segment.end if last.torn else 0,
        )

    def _scan(self, names: Sequence[str]) -> tuple[list[Scan], list[str]]:
        """The segments that count, oldest first, and the names of those before the newest reset."""
        scans: list[Scan] = []
        for at in range(len(names) - 1, -1, -1):
            name, path = names[at], self._path(names[at])
            data = self._disk.read(path)
            header = read_header(data, path, self._cluster)
            if name != file_name(header.sequence):
                raise damage(path, 0, f"it is segment {header.sequence} under another name")
            if scans:
                following = scans[0].segment.header
                if header.sequence + 1 != following.sequence:
                    raise damage(path, 0, f"the file after it, {file_name(header.sequence + 1)}, is missing")
            scan = scan_segment(data, name, path, self._cluster)
            self._check(scan, path, scans[0].segment.header if scans else None)
            scans.insert(0, scan)
            if header.flags & RESET:
                return scans, list(names[:at])
        return scans, []

    def _check(self, scan: Scan, path: str, following: Header | None) -> None:
        """Raise `Corrupt` unless the segment ends where the next one goes on."""
        segment = scan.segment
        if following is None:
            if scan.mark == SEAL:
                raise damage(
                    path, segment.end, f"the file after it, {file_name(segment.header.sequence + 1)}, is missing"
                )
            return
        end = (segment.last_index, scan.last_term, segment.chain)
        if end != (following.base_index, following.base_term, following.previous_chain):
            raise damage(path, segment.end, "a bad record before the end of the log")
        if scan.mark == CLEAN or (scan.mark == SEAL and scan.torn):
            raise damage(path, segment.end, "something follows its end")

    def _repair(self, scans: list[Scan]) -> int:
        """Seal what a crash left unsealed, cut a torn tail or a mark off the last segment; return the bytes cut."""
        for scan in scans[:-1]:
            if scan.mark != SEAL:
                file = self._disk.open(self._path(scan.segment.name))
                self._seal(file, scan.segment, scan.number + 1)
                file.close()
        if not scans:
            return 0
        last = scans[-1]
        torn = last.segment.size - last.segment.end if last.torn else 0
        self._file = self._disk.open(self._path(last.segment.name))
        self._settle(self._file, last)
        self._reserve(last.segment)
        return torn

    def _settle(self, file: File, last: Scan) -> None:
        """Make durable what was read. The process before may have ended between a write and its sync, or by a failed
        sync, after which only writing again helps: its last batch and cut are in the page cache, not on the device.
        """
        segment = last.segment
        if last.newest:
            file.write(last.newest, self._disk.read(self._path(segment.name), last.newest, segment.end - last.newest))
        if last.torn or last.mark or segment.size == segment.end:
            self._trim(file, segment)
        else:
            file.sync()
        self._disk.sync_directory(self._directory)

    # --- operations

    def append(self, entries: Sequence[Entry], hint: int) -> None:
        """Write a batch and sync it; raises `StorageFull` and then has changed nothing."""
        size = BATCH_HEADER_BYTES + sum(RECORD_HEADER_BYTES + len(entry[0]) for entry in entries)
        base = (entries[0][1] - 1, self._term)
        if not self._segments:
            self._begin(0, base, 0, size)
        elif (
            self._segments[-1].end + size + BATCH_HEADER_BYTES > self._segments[-1].size
        ):  # the seal has its place, too
            self._roll(base, size)
        segment, file = self._segments[-1], self._active()
        self._hint = max(self._hint, hint)
        self._write(file, segment, entries)
        file.sync()

    def cut(self, index: int, term_before: int) -> None:
        """Remove the entry of that index and all after it; `term_before` is the term of the one that stays last."""
        assert not self._segments or index > self._segments[0].header.base_index, "a cut below what is there"
        while len(self._segments) > 1 and self._segments[-1].header.base_index >= index:
            self._close()
            newest, before = self._segments[-1], self._segments[-2]
            self._file = self._disk.open(self._path(before.name))
            self._trim(self._file, before)  # without its seal it may be the last one
            self._remove(newest.name)
            self._segments.pop()
        self._term = term_before
        if not self._segments:
            return
        segment = self._segments[-1]
        kept = index - 1 - segment.header.base_index
        if kept < len(segment.places.ends):
            del segment.places.ends[kept:], segment.places.chains[kept:]
            self._trim(self._active(), segment)
        self._reserve(segment)

    def drop(self, index: int) -> None:
        """Delete segments whose entries are all at or below `index`, the oldest first."""
        while len(self._segments) > 1 and self._segments[0].last_index <= index:
            self._remove(self._segments[0].name)
            self._segments.pop(0)

    def reset(self, index: int, term: int) -> None:
        """Make durable that the log begins, empty, after `index`; then delete what was before."""
        old, file = [segment.name for segment in self._segments], self._file
        self._begin(RESET, (index, term), 0, 0)
        if file is not None:
            file.close()
        del self._segments[:-1]
        for name in old:
            self._remove(name)
        self._term, self._hint = term, max(self._hint, index)

    def rebase(self, index: int, term: int, entries: Sequence[Entry]) -> None:
        """Make the log begin after `index` and hold just these entries: all of it at once, whatever it was before."""
        size = BATCH_HEADER_BYTES + sum(RECORD_HEADER_BYTES + len(entry[0]) for entry in entries)
        old, file = [segment.name for segment in self._segments], self._file
        self._begin(RESET, (index, term), 0, size, entries)
        if file is not None:
            file.close()
        del self._segments[:-1]
        for name in old:
            self._remove(name)

    def finish(self) -> None:
        """Mark a proper stop: what is here now is whole, a bad byte found later is no torn write."""
        if self._file is not None:
            self._number += 1
            mark = Batch(CLEAN, self._number, self._number - 1, self._hint)
            data, _ = pack_batch(mark, (), self._segments[-1], self._cluster)
            self._file.write(self._segments[-1].end, data)
            self._file.sync()
        self._close()

    def close(self) -> None:
        """Close the files (nothing is written)."""
        self._close()

    def prepare(self) -> None:
        """Set the next segment's space aside; without it nothing new should be accepted."""
        if self._spare:
            return
        path = self._path(SPARE)
        try:
            file = self._disk.create(path)
            try:
                file.preallocate(self._segment_bytes)
                file.sync()
            finally:
                file.close()
            self._spare = True
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise
            with contextlib.suppress(OSError):
                self._disk.remove(path)
        self.writable = self._spare

    # --- steps

    def _roll(self, base: tuple[int, int], size: int) -> None:
        """Go on in a new segment: it exists durably before the old one is sealed."""
        old, file = self._segments[-1], self._active()
        self._begin(0, base, old.chain, size)
        self._number += 1
        try:
            self._seal(file, old, self._number)
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise  # without room (it was not reserved after a cut) the next start seals it
        finally:
            file.close()

    def _begin(
        self, flags: int, base: tuple[int, int], previous_chain: int, size: int, entries: Sequence[Entry] = ()
    ) -> None:
        """Make a new last segment with room for a batch of `size` bytes, durably, from the spare; it may hold one.

        Raises `StorageFull` and then has changed nothing.
        """
        sequence = self._segments[-1].header.sequence + 1 if self._segments else 1
        header = Header.of(flags, sequence, base, previous_chain, self._cluster)
        path = self._path(SPARE)
        room = max(self._segment_bytes, SEGMENT_HEADER_BYTES + size + BATCH_HEADER_BYTES)
        file = self._set_aside(path, room)
        file.write(0, header.pack(self._cluster))
        segment = Segment(file_name(header.sequence), header, size=room)
        if entries:
            self._write(file, segment, entries)
        file.sync()
        self._disk.rename(path, self._path(segment.name))
        self._spare = False
        self._disk.sync_directory(self._directory)
        self._segments.append(segment)
        self._file = file
        self._mark_created()
        self.prepare()

    def _set_aside(self, path: str, room: int) -> File:
        """The spare with that room; `StorageFull` if there is none: nothing was begun."""
        try:
            file = self._disk.open(path) if self._spare else self._disk.create(path)
            if room > self._segment_bytes or not self._spare:
                try:
                    file.preallocate(room)
                except OSError:
                    file.close()
                    raise
        except OSError as error:
            if error.errno in NO_SPACE:
                raise StorageFull from error
            raise
        return file

    def _write(self, file: File, segment: Segment, entries: Sequence[Entry]) -> None:
        """Write a batch at the end of a segment."""
        batch = Batch(ENTRIES, self._number + 1, self._number, self._hint)
        data, places = pack_batch(batch, entries, segment, self._cluster)
        file.write(segment.end, data)
        segment.size = max(segment.size, segment.end + len(data))
        segment.places.ends.extend(places.ends)
        segment.places.chains.extend(places.chains)
        self._number += 1
        self._term = entries[-1][2]

    def _seal(self, file: File, segment: Segment, number: int) -> None:
        """Say at the end of a segment that another follows, and give back the space after it."""
        data, _ = pack_batch(Batch(SEAL, number, number - 1, self._hint), (), segment, self._cluster)
        file.write(segment.end, data)
        file.truncate(segment.end + len(data))
        file.sync()
        segment.size = segment.end + len(data)

    def _trim(self, file: File, segment: Segment) -> None:
        """Cut the file after its last entry, durably."""
        file.truncate(segment.end)
        file.sync()
        segment.size = segment.end

    def _reserve(self, segment: Segment) -> None:
        """Set space aside for the rest of the last segment; without it the spare is next."""
        if segment.size < self._segment_bytes:
            try:
                self._active().preallocate(self._segment_bytes)
                segment.size = self._segment_bytes
            except OSError as error:
                if error.errno not in NO_SPACE:
                    raise

    def _mark_created(self) -> None:
        """From now on a directory without segments is one that lost them."""
        if not self._created:
            self._disk.create(self._path(CREATED)).close()
            self._disk.sync_directory(self._directory)
            self._created = True

    def _active(self) -> File:
        if self._file is None:
            self._file = self._disk.open(self._path(self._segments[-1].name))
        return self._file

    def _remove(self, name: str) -> None:
        self._disk.remove(self._path(name))
        self._disk.sync_directory(self._directory)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def file_name(sequence: int) -> str:
    """The name of a segment's file."""
    return f"{sequence:020d}.log"
