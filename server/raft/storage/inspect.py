"""A look at the files of a server, without changing any: what is there, how far it goes, what is damaged."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from yurt.fsm.errors import YurtError
from yurt.server.raft.core.configuration import Configurations, Placed, cluster_id
from yurt.server.raft.core.recovery import keeps_log
from yurt.server.raft.errors import Corrupt
from yurt.server.raft.peer import Servers
from yurt.server.raft.storage.disk import Disk
from yurt.server.raft.storage.hard_state import HardState, HardStateFile
from yurt.server.raft.storage.records import CLEAN, SEAL, cluster_in, scan_segment
from yurt.server.raft.storage.segments import Loaded, Segments
from yurt.server.raft.storage.snapshots import Snapshot, SnapshotStore
from yurt.server.raft.transport.forming import stored_configuration


@dataclass
class SegmentFound:
    """One file of the log: its entries, their terms, bytes used of those it has, how it ends."""

    file: str
    state: str
    first_index: int = 0
    last_index: int = 0
    first_term: int = 0
    last_term: int = 0
    used: int = 0
    size: int = 0


@dataclass
class SnapshotFound:
    """One snapshot."""

    file: str
    state: str
    index: int = 0
    term: int = 0
    size: int = 0
    configuration_index: int = 0
    configuration: Servers = field(default_factory=list)


@dataclass
class Examined:
    """Everything in a server's Raft directory; `damage` is empty if a server would start from it."""

    directory: str
    cluster: str = ""
    segments: list[SegmentFound] = field(default_factory=list)
    snapshots: list[SnapshotFound] = field(default_factory=list)
    hard_state: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    first_index: int = 0
    last_index: int = 0
    last_term: int = 0
    commit_hint: int = 0
    torn_bytes: int = 0
    configuration_index: int = 0
    configuration: Servers = field(default_factory=list)
    damage: list[str] = field(default_factory=list)


class _Extent:
    """A log as `keeps_log` wants it."""

    def __init__(self, loaded: Loaded) -> None:
        self.base, self._entries = loaded.base, loaded.entries
        self.first_index, self.last_index = loaded.base[0] + 1, loaded.base[0] + len(loaded.entries)

    def term_at(self, index: int) -> int | None:
        if index == self.base[0]:
            return self.base[1]
        return self._entries[index - self.first_index][2] if self.first_index <= index <= self.last_index else None


class Examination:
    """Reads a Raft directory, `DATA/server/raft`."""

    def __init__(self, disk: Disk, directory: str, first: Servers | None = None) -> None:
        self._disk, self._directory = disk, directory
        self.found = Examined(directory)
        self.log: Loaded = Loaded((0, 0), [], 0, 0)
        self.newest: Snapshot | None = None
        self.hard: HardState | None = None
        self.cluster = self._cluster(first)

    def run(self) -> Examined:
        """Look at everything."""
        self._look_at_segments()
        self._look_at_snapshots()
        self._look_at_hard_state()
        self._look_at_the_whole()
        return self.found

    def _cluster(self, first: Servers | None) -> bytes:
        try:
            first = first or stored_configuration(self._directory)
        except Corrupt as error:
            self.found.damage.append(str(error))
        if first is not None:
            identity = cluster_id(first)
        else:
            names = [name for name in self._disk.list(f"{self._directory}/log") if name.endswith(".log")]
            identity = cluster_in(self._disk.read(f"{self._directory}/log/{names[0]}", 0, 256)) if names else b""
            if names:
                self.found.damage.append(f"{self._directory}/cluster.json is missing")
        self.found.cluster = identity.hex()
        return identity

    def _look_at_segments(self) -> None:
        directory = f"{self._directory}/log"
        for name in self._disk.list(directory):
            if not name.endswith(".log"):
                continue
            data = self._disk.read(f"{directory}/{name}")
            try:
                scan = scan_segment(data, name, f"{directory}/{name}", self.cluster)
            except Corrupt as error:
                self.found.segments.append(
                    SegmentFound(name, f"damaged: {error}".split(". Nothing")[0], size=len(data))
                )
                continue
            state = {SEAL: "sealed", CLEAN: "closed"}.get(scan.mark, "torn" if scan.torn else "open")
            terms = [entry[2] for entry in scan.entries]
            base = scan.segment.header.base_index
            self.found.segments.append(
                SegmentFound(
                    name, state, base + 1, scan.segment.last_index, terms[0] if terms else 0, scan.last_term,
                    scan.segment.end, len(data),
                )
            )  # fmt: skip
        try:
            self.log = Segments(self._disk, directory, self.cluster, 0).examine()
        except Corrupt as error:
            self.found.damage.append(str(error))
        self.found.commit_hint, self.found.torn_bytes = self.log.commit_hint, self.log.torn_bytes

    def _look_at_snapshots(self) -> None:
        store = SnapshotStore(self._disk, f"{self._directory}/snapshots", self.cluster)
        for path in store.files():
            name = path.rpartition("/")[2]
            try:
                one = store.verify(path)
            except (Corrupt, OSError) as error:
                self.found.snapshots.append(SnapshotFound(name, f"damaged: {error}"))
                continue
            self.found.snapshots.append(
                SnapshotFound(name, "good", one.index, one.term, one.size, one.configuration_index, one.configuration)
            )
            if self.newest is None or (one.index, one.term) > (self.newest.index, self.newest.term):
                self.newest = one

    def _look_at_hard_state(self) -> None:
        slots = HardStateFile(self._disk, self._directory).slots()
        self.found.hard_state = {name: state._asdict() if state else None for name, state in slots.items()}
        whole = [state for state in slots.values() if state is not None]
        self.hard = max(whole, key=lambda state: state.term, default=None)
        if not whole and (slots or self.log.entries or self.newest):
            self.found.damage.append(f"term and vote in {self._directory} are missing or damaged in both slots")

    def _look_at_the_whole(self) -> None:
        found, extent = self.found, _Extent(self.log)
        newest = self.newest
        try:
            keeps = keeps_log((newest.index, newest.term) if newest else None, extent)
        except YurtError as error:
            found.damage.append(str(error))
            keeps = True
        entries = self.log.entries if keeps else []
        base = Placed(newest.configuration_index, newest.configuration) if newest else Placed(0, [])
        after = [entry for entry in entries if newest is None or entry[1] > newest.index]
        latest = Configurations(base, after).latest
        found.configuration_index, found.configuration = latest.index, latest.servers
        if keeps:
            found.first_index, found.last_index = extent.first_index, extent.last_index
            found.last_term = int(extent.term_at(extent.last_index) or 0)
        elif newest is not None:
            found.first_index, found.last_index, found.last_term = newest.index + 1, newest.index, newest.term
            self.log = Loaded((newest.index, newest.term), [], newest.index, 0)
        found.commit_hint = max(found.commit_hint, newest.index if newest else 0)

    def as_dict(self) -> dict[str, Any]:
        """Return the findings, for JSON."""
        return asdict(self.found)
