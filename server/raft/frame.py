"""The library's frame: the only file that knows the private names of pysyncobj 0.3.17.

Kept and used: the class and its constructor, its configuration, nodes, roles and state, the command queue, the table of
commands that wait for their commit, `doTick`, `getStatus`, `destroy`. Its protocol steps are replaced (docs/raft.md);
what of them must never run says so. A contract test pins the version and the source of what is kept.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, NoReturn

from pysyncobj import SyncObj, SyncObjConf
from pysyncobj.node import Node
from pysyncobj.transport import Transport

VERSION = "0.3.17"
FOLLOWER, CANDIDATE, LEADER = 0, 1, 2
KEPT = (
    "__init__", "_applyCommand", "_SyncObj__setState", "_SyncObj__onNodeConnected", "_SyncObj__onNodeDisconnected",
    "_SyncObj__callErrCallback", "getStatus", "doTick", "_doDestroy", "destroy",
)  # fmt: skip


class Peer(Node):  # type: ignore[misc]  # the library has no types
    """A server of the configuration, with an order and a hash that are the same in every process."""

    def __init__(self, server_id: str, address: str, name: str = "") -> None:
        super().__init__(server_id, address=address, name=name)
        self.address: str
        self.name: str

    def __hash__(self) -> int:
        return zlib.crc32(self.id.encode())

    def __lt__(self, other: Peer) -> bool:
        return str(self.id) < str(other.id)


class Links(Transport):  # type: ignore[misc]  # the library has no types
    """The library's transport interface over a function that sends bytes to a server."""

    def __init__(self, send: Callable[[str, Any], None]) -> None:
        super().__init__(None, None, [])
        self._send = send

    def send(self, node: Peer, message: Any) -> bool:
        """Hand a message to the peers' connections; a lost one is repaired by the protocol."""
        self._send(node.id, message)
        return True

    def destroy(self) -> None:
        """The connections are closed by their owner."""


class Frame(SyncObj):  # type: ignore[misc]  # the library has no types
    """A `SyncObj` whose state has names and whose own protocol never runs."""

    def __init__(self, own: Peer, links: Links) -> None:
        conf = SyncObjConf(
            autoTick=False,
            appendEntriesUseBatch=True,
            journalFile=None,
            fullDumpFile=None,
            serializer=None,
            dynamicMembershipChange=False,
            commandsQueueSize=4096,
        )
        super().__init__(own, [], conf=conf, transport=links)
        self._SyncObj__needLoadDumpFile = False

    def __dir__(self) -> list[str]:
        """The library's own names only: its constructor looks at every attribute for replicated methods."""
        return dir(SyncObj)

    term = property(
        lambda self: self._SyncObj__raftCurrentTerm,
        lambda self, value: setattr(self, "_SyncObj__raftCurrentTerm", value),
    )
    voted_for = property(
        lambda self: self._SyncObj__votedForNodeId,
        lambda self, value: setattr(self, "_SyncObj__votedForNodeId", value),
    )
    leader = property(
        lambda self: self._SyncObj__raftLeader, lambda self, value: setattr(self, "_SyncObj__raftLeader", value)
    )
    log = property(lambda self: self._SyncObj__raftLog, lambda self, value: setattr(self, "_SyncObj__raftLog", value))
    commit_index = property(
        lambda self: self._SyncObj__raftCommitIndex,
        lambda self, value: setattr(self, "_SyncObj__raftCommitIndex", value),
    )
    last_applied = property(
        lambda self: self._SyncObj__raftLastApplied,
        lambda self, value: setattr(self, "_SyncObj__raftLastApplied", value),
    )
    next_index = property(lambda self: self._SyncObj__raftNextIndex)
    match_index = property(lambda self: self._SyncObj__raftMatchIndex)
    connected = property(lambda self: self._SyncObj__connectedNodes)
    queue = property(lambda self: self._SyncObj__commandsQueue)
    waiting = property(lambda self: self._SyncObj__commandsWaitingCommit)
    links = property(lambda self: self._SyncObj__transport)

    @property
    def role(self) -> int:
        """FOLLOWER, CANDIDATE or LEADER."""
        return int(self._SyncObj__raftState)

    def set_role(self, role: int) -> None:
        """Change the role through the library, which tells its `onStateChanged`."""
        self._SyncObj__setState(role)

    @property
    def others(self) -> list[Peer]:
        """The other voters, in the order of their IDs."""
        return sorted(self._SyncObj__otherNodes)

    def set_others(self, voters: list[Peer], learners: list[Peer]) -> None:
        """Take the configuration's other servers."""
        self._SyncObj__otherNodes = set(voters)
        self._SyncObj__readonlyNodes = set(learners)

    # --- the library's protocol steps: never to run

    def _refuse(self, *_arguments: Any, **_named: Any) -> NoReturn:
        raise AssertionError("this step of the library is replaced by the engine's")

    _SyncObj__sendAppendEntries = _refuse
    _SyncObj__onBecomeLeader = _refuse
    _SyncObj__applyLogEntries = _refuse
    _SyncObj__doApplyCommand = _refuse
    _SyncObj__changeCluster = _refuse
    _SyncObj__doChangeCluster = _refuse
    _SyncObj__updateClusterConfiguration = _refuse
    _SyncObj__parseChangeClusterRequest = _refuse
    _SyncObj__tryLogCompaction = _refuse
    _SyncObj__loadDumpFile = _refuse
    transferLeadership = _refuse
    setCodeVersion = _refuse

    def _SyncObj__generateRaftTimeout(self) -> float:
        """The constructor asks; the engine sets its own deadline."""
        return 0.0
