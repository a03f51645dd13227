"""The library's object, its configuration and its reasons."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pysyncobj import FAIL_REASON, SyncObj, SyncObjConf, SyncObjException, replicated

from yurt.server.raft.engines.pysyncobj.dump import Internal
from yurt.server.raft.engines.pysyncobj.members import Row
from yurt.server.raft.errors import AddressRefused, NotLeader, OutcomeUnknown, Overloaded

JOURNAL, DUMP = "journal", "dump"
ENTRY_BYTES_MAX = 64 << 20  # a longer one goes in pieces, of which the library loses the last at some lengths


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings from the configuration. `listen` is bound, `address` is dialled by the other servers."""

    directory: Path
    listen: str
    address: str
    password: str = ""
    multiplier: float = 1.0
    dump_entries: int = 8192  # a dump is written after so many entries
    dump_seconds: float = 120.0  # or after so long, whichever comes first


class Owner(Protocol):
    """The owner of the library's object, which calls it back."""

    def apply(self, payload: bytes) -> Any:
        """Apply a committed command."""

    def member_changed(self, row: Row) -> None:
        """A committed entry says who came or went."""

    def write_dump(self, file: str, internal: Internal) -> None:
        """Write the state and the library's own part."""

    def read_dump(self, file: str) -> Internal:
        """Take the state of a dump; give the library its own part."""


class Replica(SyncObj):
    """The library's object: its replicated methods are the entries of the log. Raises `AddressRefused`."""

    def __init__(self, owner: Owner, given: Settings, others: list[str]) -> None:
        self._owner = owner
        try:
            super().__init__(given.address, others, _conf(owner, given))
        except SyncObjException as error:
            raise AddressRefused(
                f"pysyncobj cannot listen on {given.listen}: another process may have the port, or the machine has no "
                "such address. Stop that process, or set another address: "
                'server { pysyncobj { address = "HOST:PORT" } }'
            ) from error

    @replicated
    def command(self, payload: bytes) -> Any:
        """One command of the state machine."""
        return self._owner.apply(payload)

    @replicated
    def barrier(self) -> None:
        """Nothing: who waits for it has everything before it."""

    @replicated
    def member(self, row: Row) -> None:
        """A server came or goes (`Members.take`)."""
        self._owner.member_changed(row)


def _conf(owner: Owner, given: Settings) -> SyncObjConf:
    """Journal and dump as files, members that change, the library's own times by the cluster's multiplier."""
    files = given.directory
    return SyncObjConf(
        autoTick=False,
        bindAddress=given.listen,
        maxBindRetries=1,
        journalFile=str(files / JOURNAL),
        fullDumpFile=str(files / DUMP),
        serializer=owner.write_dump,
        deserializer=owner.read_dump,
        dynamicMembershipChange=True,
        password=given.password or None,
        raftMinTimeout=0.4 * given.multiplier,
        raftMaxTimeout=1.4 * given.multiplier,
        connectionTimeout=3.5 * given.multiplier,
        appendEntriesPeriod=0.1 * given.multiplier,
        appendEntriesBatchSizeBytes=ENTRY_BYTES_MAX,
        logCompactionMinEntries=max(2, given.dump_entries),
        logCompactionMinTime=max(1.0, given.dump_seconds),
    )


def error_of(reason: int) -> Exception | None:
    """Return the error for a library's reason; most of its failures do not tell whether the entry lives on."""
    if reason == FAIL_REASON.SUCCESS:
        return None
    if reason == FAIL_REASON.QUEUE_FULL:
        return Overloaded()
    if reason in (FAIL_REASON.MISSING_LEADER, FAIL_REASON.NOT_LEADER, FAIL_REASON.REQUEST_DENIED):
        return NotLeader()
    return OutcomeUnknown()
