"""A disk in memory that forgets at a crash what was not synced, in every way a real one may.

Contents and names are kept apart: `File.sync` makes contents durable, `sync_directory` makes names durable. What is
pending at a crash survives in any combination: writes whole, torn at sectors or not at all, in any order.

    disk.crash_at = 7                   # the 7th call from now on raises Crash and does nothing
    disk.fail_at[7] = errno.EIO         # the 7th call raises OSError
    disk.capacity = 1 << 20             # bytes; beyond: ENOSPC
    for after in disk.crash_states(): … # every disk that the crash may leave (exhaustive: small scripts only)
    disk.crash(random.Random(seed))     # one of them, in place (simulation)
    disk.durable()                      # what is sure to survive: the oracle of the simulation
"""

from __future__ import annotations

import errno
import itertools
import os
import random
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple


class Crash(BaseException):  # not an error of the code under test: nothing may catch it
    """The machine lost power."""


class Change(NamedTuple):
    """A pending change of a file: `data` is written at `offset`, or without data the length becomes `offset`."""

    offset: int
    data: bytes | None


class Naming(NamedTuple):
    """A pending change of a directory: `old` and `new` name the inode before and after."""

    old: str | None
    new: str | None
    inode: Inode


Pieces = list[Change]


class Inode:
    """A file's contents, as seen (`live`) and as they surely survive (`safe`)."""

    def __init__(self, safe: bytes = b"") -> None:
        self.live, self.safe = bytearray(safe), bytearray(safe)
        self.pending: list[Change] = []

    def change(self, change: Change) -> None:
        """Do it where it is seen, and remember that it is not durable."""
        apply(self.live, change)
        self.pending.append(change)


def apply(contents: bytearray, change: Change) -> None:
    """Carry out a change: a gap before what is written reads as zeros."""
    size = change.offset
    if len(contents) < size:
        contents.extend(bytes(size - len(contents)))
    if change.data is None:
        del contents[size:]
    else:
        contents[size : size + len(change.data)] = change.data


class SimulatedFile:
    """An open file."""

    def __init__(self, disk: SimulatedDisk, path: str, inode: Inode) -> None:
        self._disk, self._path, self._inode = disk, path, inode

    def write(self, offset: int, data: bytes) -> None:
        """Write; a disk without room takes nothing."""
        self._disk.call("write", self._path)
        self._disk.take(offset + len(data) - len(self._inode.live))
        self._inode.change(Change(offset, bytes(data)))

    def truncate(self, size: int) -> None:
        """Cut (or grow with zeros)."""
        self._disk.call("truncate", self._path)
        self._inode.change(Change(size, None))

    def preallocate(self, size: int) -> None:
        """Grow with zeros, if there is room."""
        self._disk.call("preallocate", self._path)
        self._disk.take(size - len(self._inode.live))
        if size > len(self._inode.live):
            self._inode.change(Change(size, None))

    def sync(self) -> None:
        """Make contents durable. A sync that fails forgets them, and the next one will not say so."""
        try:
            self._disk.call("sync", self._path)
        except OSError:
            self._inode.pending.clear()
            raise
        for change in self._inode.pending:
            apply(self._inode.safe, change)
        self._inode.pending.clear()

    def close(self) -> None:
        """Nothing."""


class SimulatedDisk:
    """Implements `yurt.server.raft.storage.disk.Disk`."""

    syncs = True

    def __init__(self, *, sector: int = 512) -> None:
        self.sector = sector
        self.seen: dict[str, Inode] = {}  # names as seen
        self.safe: dict[str, Inode] = {}  # names as they surely survive
        self.naming: list[Naming] = []
        self.calls = 0
        self.trace: list[tuple[str, str]] = []
        self.tracing = False
        self.crash_at: int | None = None
        self.fail_at: dict[int, int] = {}
        self.before_call: Callable[[str, str], None] | None = None
        self.capacity: int | None = None

    # --- faults

    def call(self, kind: str, path: str) -> None:
        """Count a call that changes something, and let it fail if it is its turn."""
        self.calls += 1
        if self.tracing:
            self.trace.append((kind, path))
        if self.before_call:
            self.before_call(kind, path)
        if self.calls == self.crash_at:
            raise Crash
        if code := self.fail_at.get(self.calls):
            raise OSError(code, os.strerror(code), path)

    def take(self, more: int) -> None:
        """Raise ENOSPC if `more` bytes do not fit."""
        if self.capacity is not None and more > 0 and self.used() + more > self.capacity:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def used(self) -> int:
        """Bytes of all files."""
        return sum(len(inode.live) for inode in self.seen.values())

    # --- the interface

    def create(self, path: str) -> SimulatedFile:
        """Open a new, empty file; one that exists is emptied."""
        self.call("create", path)
        inode = self.seen.get(path)
        if inode is None:
            inode = self.seen[path] = Inode()
            self.naming.append(Naming(None, path, inode))
        else:
            inode.change(Change(0, None))
        return SimulatedFile(self, path, inode)

    def open(self, path: str) -> SimulatedFile:
        """Open an existing file."""
        return SimulatedFile(self, path, self._at(path))

    def read(self, path: str, offset: int = 0, length: int = -1) -> bytes:
        """The bytes from `offset` on, all or up to `length`, as seen."""
        live = self._at(path).live
        return bytes(live[offset:] if length < 0 else live[offset : offset + length])

    def size(self, path: str) -> int:
        """The length, as seen."""
        return len(self._at(path).live)

    def age(self, path: str) -> float:
        """No time has passed: nothing that is simulated goes by it."""
        self._at(path)
        return 0.0

    def list(self, directory: str) -> list[str]:
        """Names in a directory, sorted."""
        start = len(directory) + 1
        return sorted(path[start:] for path in self.seen if os.path.dirname(path) == directory)

    def make_directory(self, directory: str) -> None:
        """Directories are always there."""

    def rename(self, old: str, new: str) -> None:
        """Give another name, in one step."""
        self.call("rename", new)
        inode = self._at(old)
        self.seen[new] = self.seen.pop(old)
        self.naming.append(Naming(old, new, inode))

    def remove(self, path: str) -> None:
        """Remove a name, if it is there."""
        self.call("remove", path)
        inode = self.seen.pop(path, None)
        if inode is not None:
            self.naming.append(Naming(path, None, inode))

    def sync_directory(self, directory: str) -> None:
        """Make its names durable."""
        self.call("sync_directory", directory)
        left = []
        for naming in self.naming:
            if os.path.dirname(naming.new or naming.old or "") == directory:
                rename(self.safe, naming)
            else:
                left.append(naming)
        self.naming = left

    def _at(self, path: str) -> Inode:
        if path not in self.seen:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return self.seen[path]

    # --- what survives

    def durable(self) -> dict[str, bytes]:
        """Path → contents that survive every crash (a name without durable contents has what was synced of it)."""
        return {path: bytes(inode.safe) for path, inode in self.safe.items()}

    @classmethod
    def holding(cls, files: dict[str, bytes], *, sector: int = 512) -> SimulatedDisk:
        """A disk on which these files, and nothing else, are durable."""
        disk = cls(sector=sector)
        disk.seen = {path: Inode(contents) for path, contents in files.items()}
        disk.safe = dict(disk.seen)
        return disk

    def crash(self, chance: random.Random) -> None:
        """Lose power: of what is pending a random part survives; counters and faults are reset."""
        names = dict(self.safe)
        for naming in self.naming:
            if chance.random() < 0.5:
                rename(names, naming)
        files = {path: self._survivor(inode, chance) for path, inode in sorted(names.items())}
        fresh = self.holding(files, sector=self.sector)
        self.seen, self.safe, self.naming = fresh.seen, fresh.safe, []
        self.crash_at, self.fail_at = None, {}

    def _survivor(self, inode: Inode, chance: random.Random) -> bytes:
        contents = bytearray(inode.safe)
        likelihood = chance.choice((0.0, 0.2, 0.5, 0.8, 1.0))
        for change in inode.pending:
            for piece in self._pieces(change):
                if chance.random() < likelihood:
                    apply(contents, piece)
        return bytes(contents)

    def _pieces(self, change: Change) -> Pieces:
        """A write in sectors, as a device takes it."""
        if change.data is None:
            return [change]
        pieces: Pieces = []
        position, end = change.offset, change.offset + len(change.data)
        while position < end:
            stop = min(end, (position // self.sector + 1) * self.sector)
            pieces.append(Change(position, change.data[position - change.offset : stop - change.offset]))
            position = stop
        return pieces

    def crash_states(self) -> Iterator[SimulatedDisk]:
        """Every disk that a crash may leave now, each once."""
        known = set()
        for kept in itertools.product((False, True), repeat=len(self.naming)):
            names = dict(self.safe)
            for naming, keep in zip(self.naming, kept, strict=True):
                if keep:
                    rename(names, naming)
            paths = sorted(names)
            for contents in itertools.product(*(self._outcomes(names[path]) for path in paths)):
                key = tuple(zip(paths, contents, strict=True))
                if key not in known:
                    known.add(key)
                    yield self.holding(dict(key), sector=self.sector)

    def _outcomes(self, inode: Inode) -> Sequence[bytes]:
        found = {bytes(inode.safe)}
        for choice in itertools.product(*(self._variants(change) for change in inode.pending)):
            contents = bytearray(inode.safe)
            for pieces in choice:
                for piece in pieces:
                    apply(contents, piece)
            found.add(bytes(contents))
        return sorted(found)

    def _variants(self, change: Change) -> Sequence[Pieces]:
        """Nothing; every prefix and suffix of its sectors; each sector missing, each alone."""
        pieces = self._pieces(change)
        n = len(pieces)
        chosen = {frozenset(range(i)) for i in range(n + 1)} | {frozenset(range(i, n)) for i in range(n)}
        chosen |= {frozenset(range(n)) - {i} for i in range(n)} | {frozenset({i}) for i in range(n)}
        return [[pieces[i] for i in sorted(one)] for one in sorted(chosen, key=sorted)]


def rename(names: dict[str, Inode], naming: Naming) -> None:
    """Carry out a change of names, if what it starts from is still so."""
    if naming.old is not None and names.get(naming.old) is naming.inode:
        del names[naming.old]
    if naming.new is not None:
        names[naming.new] = naming.inode
