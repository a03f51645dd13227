"""One server on the library, behind `server.raft.consensus`."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import msgpack
from pysyncobj import FAIL_REASON

from yurt.fsm.errors import YurtError
from yurt.server.raft.callbacks import tell
from yurt.server.raft.consensus import Callback, ServerRow, StateMachine, Status
from yurt.server.raft.engines.library import LibraryEngine
from yurt.server.raft.engines.pysyncobj.dump import Internal, read_dump, write_dump
from yurt.server.raft.engines.pysyncobj.hand_over import HandOver
from yurt.server.raft.engines.pysyncobj.members import Members, Row, decode
from yurt.server.raft.engines.pysyncobj.membership import Membership
from yurt.server.raft.engines.pysyncobj.replica import DUMP, JOURNAL, Replica, Settings, error_of
from yurt.server.raft.engines.waiting import Reads, Writes
from yurt.server.raft.errors import AddressRefused, ChangeRefused, NotLeader, NotOffered, Overloaded, TransferFailed
from yurt.server.raft.peer import Peer, Servers

log = logging.getLogger("raft.pysyncobj")

METHOD = "pysyncobj.members"  # between servers: whom another one knows, itself first
LEADER, CONNECTED = 2, 2  # in the library's status
BUSY_TICK_SECONDS, IDLE_TICK_SECONDS = 0.001, 0.01
ASK_AGAIN_SECONDS = 0.2
WRITE_SECONDS_MAX, READ_SECONDS_MAX, TRANSFER_SECONDS_MAX = 10.0, 5.0, 5.0
WAITING_MAX = 4096
WARNING = (
    "this server runs on pysyncobj as it ships, which loses acknowledged writes: use it to compare, never for data "
    "that matters"
)


class PySyncObj(LibraryEngine):
    """One server on the library. Implements `server.raft.consensus.Consensus`.

    `ask` asks a server by its ID for what `known` answers there; `loading` is entered while a state is loaded.
    """

    name = "pysyncobj"
    may_read = False

    def __init__(
        self,
        own: Peer,
        *,
        settings: Settings,
        cluster: bytes,
        machine: StateMachine,
        ask: Callable[[str], Awaitable[bytes]],
        fatal: Callable[[BaseException], None],
        loading: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.own, self.cluster, self.machine, self.spool = own, cluster, machine, str(settings.directory)
        super().__init__()
        self._settings, self._ask, self._fatal, self._loading = settings, ask, fatal, loading
        self.began_empty = True
        self._members = Members(settings.directory / "members.json")
        self._membership = Membership(self, self._members)
        self._replica: Replica | None = None
        self._status: dict[str, Any] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ticking: asyncio.Handle | None = None
        self._tick_at = 0.0
        self._stopped = False
        self._ready_term = self._asked_term = -1
        self._writes = Writes(WRITE_SECONDS_MAX)
        self._reads = Reads(self._barrier, READ_SECONDS_MAX)
        self._hand_over: HandOver | None = None
        self._dump_index, self._dump_time = 0, 0.0

    # --- life

    def start(self, bootstrap: Servers) -> None:
        """Look for the others' libraries; take part when all of the first configuration are known."""
        log.warning(WARNING)
        self._settings.directory.mkdir(parents=True, exist_ok=True)
        self._members.begin(bootstrap, self.own, self._settings.address)
        journal, dump = (self._settings.directory / name for name in (JOURNAL, DUMP))
        has_log = journal.exists() and self._members.get(self.own.id) is not None  # a newcomer's journal is empty
        self.began_empty = not has_log and not dump.exists()
        self._spawn(self._begin())

    def _spawn(self, work: Coroutine[Any, Any, None], callback: Callback | None = None) -> None:
        """Do it beside; `callback` is told `NotLeader` if this server stops before the end."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._ended(task, callback))

    def _ended(self, task: asyncio.Task[None], callback: Callback | None) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            if callback is not None:
                tell(callback, None, NotLeader())
        elif (error := task.exception()) is not None and not self._stopped:
            self._fatal(error)

    async def _begin(self) -> None:
        if unknown := self._members.unknown():
            log.info("pysyncobj waits for the addresses of other servers", extra={"servers": ", ".join(unknown)})
        while unknown:
            for server_id in unknown:
                if server_id in self._members.unknown():
                    await self._learn(server_id)
            if unknown := self._members.unknown():
                await asyncio.sleep(ASK_AGAIN_SECONDS)
        if twice := self._members.twice():
            raise AddressRefused(
                f"pysyncobj of more than one server is dialled at {', '.join(twice)}: give each an address of its own, "
                'server { pysyncobj { advertise = "HOST:PORT" } }'
            )
        self._members.save()
        given = self._settings
        others = [member.library for member in self._members.all() if member.library != given.address]
        self._replica = Replica(self, given, others)
        self._tick()

    async def known(self, _payload: bytes) -> bytes:
        """Answer another server: the rows of this one, member or not, and of all members that it knows."""
        own = (self.own.id, self.own.address, self.own.name, self._settings.address)
        packed: bytes = msgpack.packb([own, *(row for row in self._members.rows() if row[0] != self.own.id)])
        return packed

    async def _learn(self, server_id: str) -> None:
        try:
            self._members.learn(await self.asked(server_id))
        except ChangeRefused as error:
            log.warning("an answer of another server is ignored", extra={"server": server_id, "reason": str(error)})
        except YurtError as error:
            log.debug("a server does not answer yet", extra={"server": server_id, "reason": str(error)})

    async def asked(self, server_id: str) -> list[Row]:
        """Return what another server knows, itself first; raises `ChangeRefused` for an answer of no use, YurtError."""
        rows = decode(await self._ask(server_id))
        if rows[0][0] != server_id:
            raise ChangeRefused(f"server {server_id} answers as {rows[0][0]}")
        return rows

    def stop(self) -> None:
        """Take no more part; what waits ends."""
        if self._stopped:
            return
        self._stopped = True
        if self._ticking is not None:
            self._ticking.cancel()
        for task in self._tasks:
            task.cancel()
        if self._replica is not None:
            self._replica.destroy()
        self._end_hand_over(None, TransferFailed("this server stops"))
        self._writes.end()
        self._reads.end()

    async def close(self, *, clean: bool) -> None:
        """Nothing is left after `stop`; the library leaves no mark."""

    # --- ticks

    def _tick(self) -> None:
        if self._stopped or self._replica is None:
            return
        try:
            self._replica.doTick(0.0)
            if not self._stopped:
                self._look()
        except Exception as error:  # noqa: BLE001 (what stopped half way must not be continued)
            self._fatal(error)
            return
        self._tick_in(BUSY_TICK_SECONDS if self._writes or self._reads or self._hand_over else IDLE_TICK_SECONDS)

    def _tick_in(self, seconds: float) -> None:
        if self._stopped:
            return
        loop = asyncio.get_running_loop()
        if self._ticking is not None:
            self._ticking.cancel()
        self._tick_at = loop.time() + seconds
        self._ticking = loop.call_later(seconds, self._tick)

    def _tick_soon(self) -> None:
        if self._tick_at - asyncio.get_running_loop().time() > BUSY_TICK_SECONDS:
            self._tick_in(0.0)

    def _look(self) -> None:
        """See what the last tick changed."""
        assert self._replica is not None
        self._status = self._replica.getStatus()
        if not self.is_leader_role:
            self._writes.end()
        elif self._asked_term != self.term:
            self._asked_term = term = self.term
            self._replica.barrier(callback=lambda _result, reason: self._leads(term, reason))
        if self._hand_over is not None:
            self._look_at_hand_over(self._hand_over)
        self.leadership_seen()

    def _leads(self, term: int, reason: int) -> None:
        if reason == FAIL_REASON.SUCCESS:
            self._ready_term = term
        elif self._asked_term == term:
            self._asked_term = -1

    # --- work

    def propose(self, payload: bytes, callback: Callback) -> None:
        """Commit one command on the leader; `OutcomeUnknown` if the library says nothing for ten seconds."""
        if self._replica is None or not self.is_ready:
            callback(None, NotLeader(self.leader_address))
        elif len(self._writes) >= WAITING_MAX:
            callback(None, Overloaded())
        else:
            number = self._writes.wait(callback)
            self._replica.command(
                payload, callback=lambda result, reason: self._writes.answer(number, result, error_of(reason))
            )
            self._tick_soon()

    def apply(self, payload: bytes) -> Any:
        """Apply a committed command; an error of the machine ends the server, or the library would try for ever."""
        began = time.perf_counter()
        try:
            result = self.machine.apply(payload)
        except BaseException as error:
            self._fatal(error)
            raise
        self.applied(time.perf_counter() - began)
        return result

    def read(self, callback: Callback, *, quorum: bool = False) -> None:
        """Call back when an entry that does nothing was committed and applied here: the library has no read index."""
        if self._replica is None or self.leader is None:
            callback(None, NotLeader())
        else:
            self._reads.wait(callback)

    def _barrier(self, answered: Callable[[bool], None]) -> None:
        if self._replica is None or self._stopped:
            answered(False)
            return
        self._replica.barrier(callback=lambda _result, reason: answered(reason == FAIL_REASON.SUCCESS))
        self._tick_soon()

    def restore_state(self, pieces: Sequence[bytes], callback: Callback) -> None:
        """Answer `NotOffered`: the library cannot replace the state of all servers at one place of the log."""
        callback(None, NotOffered("the pysyncobj engine cannot restore a snapshot; nothing was changed"))

    # --- who leads

    @property
    def is_leader_role(self) -> bool:
        """Whether the library believes that it leads: it goes on for 30 s without a majority."""
        return bool(self._status.get("state") == LEADER)

    @property
    def is_ready(self) -> bool:
        """Whether it leads and an entry of its term was committed."""
        return not self._stopped and self.is_leader_role and self._ready_term == self.term

    @property
    def leader(self) -> Peer | None:
        """The member at whose address the library sees the leader."""
        node = self._status.get("leader")
        member = self._members.at(node.id) if node is not None else None
        return member.peer if member is not None else None

    def transfer(self, target: str | None, callback: Callback) -> None:
        """Ask the library to hand over; give the ID of who leads then."""
        member = self._members.get(target) if target else None
        if self._replica is None or not self.is_ready:
            callback(None, NotLeader(self.leader_address))
        elif self._hand_over is not None:
            callback(None, TransferFailed("the leadership is being transferred already"))
        elif target and (member is None or target == self.own.id):
            callback(None, TransferFailed("there is no other such server"))
        else:
            library = member.library if member else None
            self._hand_over = HandOver(library, callback, time.monotonic() + TRANSFER_SECONDS_MAX)

    def _look_at_hand_over(self, hand_over: HandOver) -> None:
        """Ask until the other server has everything: the library refuses at once while it lacks an entry."""
        if self.leader is not None and self.leader.id != self.own.id:
            self._end_hand_over(self.leader.id, None)
        elif time.monotonic() > hand_over.deadline:
            self._end_hand_over(None, TransferFailed("the other server is not in contact, or lacks entries"))
        elif not hand_over.is_asked and self._replica is not None:
            self._replica.transferLeadership(hand_over.library, hand_over.answered)

    def _end_hand_over(self, successor: str | None, error: Exception | None) -> None:
        if self._hand_over is not None:
            callback, self._hand_over = self._hand_over.callback, None
            tell(callback, successor, error)

    # --- members

    @property
    def configuration(self) -> Servers:
        """The servers: all vote, the library has no learners."""
        return self._members.configuration

    @property
    def leading(self) -> Replica | None:
        """The library's object while this server leads and is ready."""
        return self._replica if self.is_ready else None

    def add_server(self, server_id: str, address: str, name: str, callback: Callback) -> None:
        """Add a server, which votes at once: the library has no learners."""
        self._spawn(self._membership.add(Peer(server_id, address, name), callback), callback)

    def remove_server(self, server_id: str, callback: Callback) -> None:
        """Take a server out; a leader cannot take itself out."""
        self._spawn(self._membership.remove(server_id, callback), callback)

    def wait_for_change(self, callback: Callback) -> Callback:
        """Call back once, when the change ends, at the end of the leadership at the latest."""
        number = self._writes.wait(callback)
        self._tick_soon()
        return lambda result, error: self._writes.answer(number, result, error)

    def member_changed(self, row: Row) -> None:
        """A committed entry says who came or went."""
        self._members.take(row)
        self._members.save()
        self.membership_seen()

    # --- the state in a dump, which the library writes and reads within a tick

    def write_dump(self, file: str, internal: Internal) -> None:
        """Write the state and the library's own part."""
        write_dump(Path(file), internal, self._members.rows(), self.machine)
        self._dump_index, self._dump_time = internal[1][1], time.monotonic()
        self.dumped()

    def read_dump(self, file: str) -> Internal:
        """Take the state and the members of a dump: at the start, and when a leader sent its own."""
        try:
            with self._loading():
                internal, rows = read_dump(Path(file), self.machine)
            self._members.replace(rows)
            self._members.save()
        except BaseException as error:
            self._fatal(error)  # the library would log it and go on without the state
            raise
        self.membership_seen()
        self._dump_index, self._dump_time = internal[1][1], time.monotonic()
        return internal

    # --- looking at it

    @property
    def term(self) -> int:
        """The library's term."""
        return int(self._status.get("raft_term", 0))

    def status(self) -> Status:
        """Return the status that the library reports; it does not say where its log ends."""
        commit, applied = int(self._status.get("commit_idx", 0)), int(self._status.get("last_applied", 0))
        age = time.monotonic() - self._dump_time if self._dump_index else 0.0
        return Status(self.term, max(commit, applied), commit, applied, 0, self._dump_index, age, True)

    def servers(self) -> list[ServerRow]:
        """Every server; one with an open connection is in contact."""
        leader, found = self.leader, list[ServerRow]()
        for member in self._members.all():
            peer, is_own = member.peer, member.peer.id == self.own.id
            linked = is_own or self._status.get(f"partner_node_status_server_{member.library}") == CONNECTED
            match = self._status.get(f"match_idx_server_{member.library}") if self.is_leader_role else None
            row = ServerRow(
                id=peer.id, address=peer.address, name=peer.name, leader=leader is not None and leader.id == peer.id,
                voter=True, contact=0.0 if linked else None, match=self.status().last_index if is_own else match,
            )  # fmt: skip
            found.append(row)
        return found

    def stats(self) -> dict[str, str]:
        """Counters as texts, under the names that operators know."""
        status = self.status()
        return {
            "engine": self.name,
            "state": ("Follower", "Candidate", "Leader")[self._status.get("state", 0)],
            "term": str(status.term),
            "commit_index": str(status.commit_index),
            "applied_index": str(status.applied_index),
            "last_log_index": str(status.last_index),
            "last_snapshot_index": str(status.snapshot_index),
            "fsm_pending": str(status.commit_index - status.applied_index),
            "num_peers": str(len(self.configuration) - 1),
            "last_contact": f"{self.last_contact_seconds() * 1000:.3f}ms",
        }
