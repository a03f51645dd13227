"""Changes of who is a member: the library's own list first, then an entry by which everybody notes the server.

Either may be lost without the other, when a leader ends between them: asked again, a change does what is left of it.
"""

from __future__ import annotations

from typing import Any, Protocol

from pysyncobj import FAIL_REASON

from yurt.fsm.errors import YurtError
from yurt.server.raft.callbacks import tell
from yurt.server.raft.consensus import Callback
from yurt.server.raft.engines.pysyncobj.members import Members, Row
from yurt.server.raft.engines.pysyncobj.replica import Replica, error_of
from yurt.server.raft.errors import ChangeRefused, NotLeader, OutcomeUnknown
from yurt.server.raft.peer import Peer


class Leader(Protocol):
    """The server that may change who is a member."""

    own: Peer

    @property
    def leading(self) -> Replica | None:
        """The library's object while this server leads and is ready."""

    @property
    def leader_address(self) -> str | None:
        """The leader's peer address."""

    async def asked(self, server_id: str) -> list[Row]:
        """Return what another server knows, itself first; raises YurtError."""

    def wait_for_change(self, callback: Callback) -> Callback:
        """Call back once, at the end of the leadership at the latest."""


class Membership:
    """The changes of one server."""

    def __init__(self, leader: Leader, members: Members) -> None:
        self._leader, self._members = leader, members

    def _others(self) -> set[str]:
        """Where the libraries of the others listen, as this server's library has it."""
        replica = self._leader.leading
        return {node.id for node in replica.otherNodes} if replica is not None else set()

    async def add(self, peer: Peer, callback: Callback) -> None:
        """Add a server, which votes at once: the library has no learners."""
        known = self._members.get(peer.id)
        if self._leader.leading is None:
            tell(callback, None, NotLeader(self._leader.leader_address))
        elif known is not None and (known.peer.address, known.peer.name) != (peer.address, peer.name):
            tell(callback, None, ChangeRefused("the server has another address or name here: take it out first"))
        elif known is not None and (peer.id == self._leader.own.id or known.library in self._others()):
            tell(callback, 0, None)
        elif known is not None:
            self._change((peer.id, peer.address, peer.name, known.library), known.library, callback)
        elif library := await self._listens(peer.id, callback):
            other = self._members.at(library)
            if other is not None and other.peer.id != peer.id:
                text = f"pysyncobj of {other.peer.name or other.peer.id} has the address {library} already"
                tell(callback, None, ChangeRefused(text))
            else:
                self._change((peer.id, peer.address, peer.name, library), library, callback)

    async def remove(self, server_id: str, callback: Callback) -> None:
        """Take a server out; a leader cannot take itself out."""
        known = self._members.get(server_id)
        if self._leader.leading is None:
            tell(callback, None, NotLeader(self._leader.leader_address))
        elif server_id == self._leader.own.id:
            text = "a leader on pysyncobj cannot take itself out: hand the leadership over"
            tell(callback, None, ChangeRefused(text))
        elif known is not None:
            self._change((server_id, "", "", ""), known.library, callback)
        elif not self._others() - {member.library for member in self._members.all()}:
            tell(callback, 0, None)
        elif library := await self._listens(server_id, callback):  # the library has somebody whom nobody has noted
            if library in self._others() and self._members.at(library) is None:
                self._change((server_id, "", "", ""), library, callback)
            else:
                tell(callback, 0, None)

    async def _listens(self, server_id: str, callback: Callback) -> str:
        """Where a server says that its library listens; empty when the callback was told why not."""
        try:
            library = (await self._leader.asked(server_id))[0][3]
        except YurtError as error:
            text = f"the server does not say where its pysyncobj listens: {error}"
            tell(callback, None, ChangeRefused(text))
            return ""
        if not library:
            tell(callback, None, ChangeRefused("the server does not say where its pysyncobj listens"))
        return library

    def _change(self, row: Row, library: str, callback: Callback) -> None:
        """Change the library's list, then let everybody note it; a row without an address takes the server out."""
        replica, is_added = self._leader.leading, bool(row[3])
        if replica is None:
            tell(callback, None, NotLeader(self._leader.leader_address))
            return
        answer = self._leader.wait_for_change(callback)

        def noted(_result: Any, reason: int) -> None:
            error = error_of(reason)
            answer(None if error else 0, error)

        def changed(_result: Any, reason: int) -> None:
            is_done = reason == FAIL_REASON.REQUEST_DENIED and (library in self._others()) == is_added
            leading = self._leader.leading
            if leading is not None and (reason == FAIL_REASON.SUCCESS or is_done):
                leading.member(row, callback=noted)
            elif reason == FAIL_REASON.REQUEST_DENIED:
                answer(None, ChangeRefused("pysyncobj refuses this change now: try again later"))
            else:
                answer(None, error_of(reason) or OutcomeUnknown())

        change = replica.addNodeToCluster if is_added else replica.removeNodeFromCluster
        change(library, changed)
