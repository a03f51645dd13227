"""A cluster whose majority is gone for good: a surviving server gets another configuration (spec raft-engine §5).

Only who is a member changes: the state as of the newest entry that is known to be committed becomes a snapshot with
the new configuration, and the entries after it stay in the log, so that they are committed by the new majority as Raft
always does it. Survivors that are recovered with the same list therefore agree, however far each of them was: the one
that has most leads. Changes of the old configuration among those entries do nothing any more. The term rises.

Every step may be interrupted: the next start finds `peers.json` still there and does it again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack

from yurt.fsm.machine import Machine
from yurt.server.raft.core.admission import TERM_JUMP_MAX
from yurt.server.raft.core.applying import BATCH, RESTORE
from yurt.server.raft.core.configuration import CHANGE, FIRST
from yurt.server.raft.core.election import NOOP
from yurt.server.raft.core.restoring import Collector, inflated
from yurt.server.raft.errors import Corrupt, DirectoryRefused
from yurt.server.raft.peer import Servers
from yurt.server.raft.storage.disk import Disk
from yurt.server.raft.storage.hard_state import HardState, HardStateFile
from yurt.server.raft.storage.inspect import Examination, Examined
from yurt.server.raft.storage.journal import SEGMENT_BYTES
from yurt.server.raft.storage.peers_file import NOTE, NOTE_TEXT, PEERS, load_peers, read_peers
from yurt.server.raft.storage.records import Entry
from yurt.server.raft.storage.segments import Segments
from yurt.server.raft.storage.snapshots import Snapshot, SnapshotStore


@dataclass(frozen=True)
class Plan:
    """The plan of a recovery: the files that it starts from, and the configuration, log and term that result."""

    examination: Examination
    servers: Servers
    commit: int
    commit_term: int
    tail: list[Entry]
    changes_dropped: int
    term: int

    @property
    def found(self) -> Examined:
        """The findings in the directory."""
        return self.examination.found


def plan(disk: Disk, directory: str, servers: Servers, first: Servers | None = None) -> Plan:
    """Return the plan of a recovery and change nothing; raise `Corrupt` if the files would not start a server."""
    examination = Examination(disk, directory, first)
    found = examination.run()
    if found.damage:
        raise Corrupt(f"a damaged server cannot be recovered: {found.damage[0]}")
    if not found.last_index:
        raise Corrupt(f"{directory} holds no log and no snapshot: there is nothing to recover")
    base_term, entries = examination.log.base[1], examination.log.entries
    commit = min(max(found.commit_hint, 1), found.last_index)
    commit_term = next((entry[2] for entry in entries if entry[1] == commit), base_term)
    tail = [entry for entry in entries if entry[1] > commit]
    changes = sum(entry[0][:1] in (FIRST, CHANGE) for entry in tail)
    term = examination.hard.term if examination.hard else 0
    return Plan(examination, servers, commit, commit_term, tail, changes, max(term, found.last_term))


@dataclass(frozen=True)
class TermReset:
    """A term that a stopped server gets in place of the one it has."""

    found: Examined
    before: int
    term: int


def reset_term(
    disk: Disk, directory: str, term: int, first: Servers | None = None, *, dry_run: bool = False
) -> TermReset:
    """Give a stopped server another term, also a lower one, and no vote; raises `Corrupt` and then changes nothing.

    It is safe if all servers of the cluster are stopped together, all of them get the same term, and it is greater
    than the term of any entry that one of them holds. Votes and leaderships of the terms that come again ended with
    the processes, and no entry of a term to come exists yet, so an index and a term still name one entry. The last
    condition is checked here for this server; with the same number on all of them it is checked for all.
    """
    examination = Examination(disk, directory, first)
    found = examination.run()
    if found.damage:
        raise Corrupt(f"a damaged server cannot be recovered: {found.damage[0]}")
    if not found.last_index or examination.hard is None:
        raise Corrupt(f"{directory} holds no log and no snapshot: there is no term to reset; empty it instead")
    if not found.last_term < term <= found.last_term + TERM_JUMP_MAX:
        raise DirectoryRefused(
            f"term {term} cannot be taken: this server holds entries of term {found.last_term}, and a term names one "
            f"leader for ever. Choose one greater than the last term of every server, at most 2^32 greater"
        )
    if not dry_run:
        hard_state = HardStateFile(disk, directory)
        hard_state.load(required=True)
        hard_state.save(HardState(term, None))
    return TermReset(found, examination.hard.term, term)


def carry_out(
    disk: Disk,
    directory: str,
    servers: Servers,
    machine: Any,
    first: Servers | None = None,
    *,
    segment_bytes: int = SEGMENT_BYTES,
) -> Plan:
    """Do it; `machine` is a fresh state machine. Raises what `plan` raises, and then has changed nothing."""
    wanted = plan(disk, directory, servers, first)
    cluster = wanted.examination.cluster
    store = SnapshotStore(disk, f"{directory}/snapshots", cluster)
    store.open()
    _replay(machine, store, wanted.examination.log.entries, wanted.commit)
    writer = store.begin(Snapshot(wanted.commit, wanted.commit_term, servers, configuration_index=wanted.commit))
    for chunk in machine.write(machine.capture()):
        writer.write(chunk)
    writer.finish_instead_of_all()
    hard_state = HardStateFile(disk, directory)
    hard_state.load(required=True)
    hard_state.save(HardState(wanted.term + 1, None))
    segments = Segments(disk, f"{directory}/log", cluster, segment_bytes)
    segments.load()
    segments.rebase(wanted.commit, wanted.commit_term, list(_without_changes(wanted.tail)))
    segments.finish()
    return wanted


def _replay(machine: Any, store: SnapshotStore, entries: list[Entry], commit: int) -> None:
    """The state as of the entry `commit`."""
    newest = store.newest()
    if newest is not None:
        machine.swap(machine.load(store.body(newest)))
    collector = Collector()
    for command, index, term in entries:
        if (newest is not None and index <= newest.index) or index > commit:
            continue
        collector.entry(term)
        if command[:1] == BATCH:
            for payload in msgpack.unpackb(command[1:], max_bin_len=len(command)):
                machine.apply(payload)
        elif command[:1] == RESTORE and collector.take(term, command):
            machine.swap_above(machine.load(inflated(collector.pieces)))
            collector = Collector()


def _without_changes(entries: list[Entry]) -> Iterator[Entry]:
    """Changes of the lost configuration become entries that do nothing, the same on every survivor."""
    for command, index, term in entries:
        yield (NOOP if command[:1] in (FIRST, CHANGE) else command), index, term


def recover_if_asked(disk: Disk, directory: str, first: Servers) -> Plan | None:
    """At a start: carry out a peers.json, if there is one; without peers.info beside it it is removed unread.

    Raises `DirectoryRefused` and `Corrupt`: the server must not start, and the file stays.
    """
    note, peers = Path(directory) / NOTE, Path(directory) / PEERS
    if not note.exists():
        if os.path.lexists(peers):
            disk.remove(str(peers))
        note.write_text(NOTE_TEXT)
        disk.sync_directory(directory)
        return None
    if not os.path.lexists(peers):
        return None
    text = load_peers(peers)
    known = Examination(disk, directory, first).run().configuration
    done = carry_out(disk, directory, read_peers(text, known), Machine(), first)
    disk.remove(str(peers))
    disk.sync_directory(directory)
    return done
