"""The errors that the engine can answer instead of a result.

YurtError
├── NotLeader        surely not written: ask the leader
├── OutcomeUnknown   perhaps written: ask the state
├── Overloaded       surely not written: too much waits already
├── StorageFull      surely not written: no room for the log
│   └── MostStoragesFull  nor on most of the others
├── ChangeRefused    the configuration stays as it is
├── TransferFailed   the leadership stays where it is
├── AddressRefused   a server cannot listen there, or two have the address
├── NotOffered       this engine has no such thing
├── NotSent          a request surely did not reach the peer
├── Corrupt          files hold what was never written
├── DiskFailed       a write or sync failed: the process must end
└── DirectoryRefused the data directory cannot be used
"""

from __future__ import annotations

from yurt.fsm.errors import YurtError

WAY_OUT = (
    "Nothing was changed. `yurt operator raft inspect DATA_DIR` shows what is there. Keep a copy of the data directory "
    "and follow docs/operating.md, A damaged server: the state comes back from the other servers"
)


class NotLeader(YurtError):
    """The request needs the leader; nothing was written. `leader_address` is None during an election."""

    def __init__(self, leader_address: str | None = None) -> None:
        super().__init__("node is not the leader")
        self.leader_address = leader_address


class OutcomeUnknown(YurtError):
    """The server stopped leading before it knew: the write may or may not be committed."""

    def __init__(self) -> None:
        super().__init__(
            "leadership lost while committing log; the outcome is unknown: read the state before you retry"
        )


class Overloaded(YurtError):
    """Too many writes wait; nothing was written."""

    def __init__(self) -> None:
        super().__init__("too many writes are waiting; nothing was written: retry later")


class StorageFull(YurtError):
    """There is no room for the log; nothing was written, reads go on."""

    def __init__(self, whose: str = "the disk has") -> None:
        super().__init__(f"{whose} no space left for the log; nothing was written, reads go on: free some space")


class MostStoragesFull(StorageFull):
    """Most voters have no room for the log; nothing was written, reads go on."""

    def __init__(self) -> None:
        super().__init__("the disks of most servers have")


class NotSent(YurtError):
    """The peer cannot be reached and the request surely did not reach it."""


class Corrupt(YurtError):
    """A file holds what was never written; it was left as it is."""


class DiskFailed(YurtError):
    """A write or sync failed. Nothing after it may be acknowledged: the process ends."""


class DirectoryRefused(YurtError):
    """The data directory is in use, of a newer version, or not permitted."""


class ChangeRefused(YurtError):
    """The configuration stays as it is."""


class TransferFailed(YurtError):
    """The leadership stayed where it was; proposals are taken again."""


class AddressRefused(YurtError):
    """An address that a server cannot listen on, or that two servers have."""


class NotOffered(YurtError):
    """The engine that this cluster runs on has no such thing; nothing was changed."""
