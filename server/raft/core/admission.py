"""Which messages may change this server: those of members, and no term that runs away (docs/security.md, S2).

A term is spent for good: a server that has synced 2^62-1 can never vote again. So a sender that is in no configuration
since the committed one raises no term here, leads nobody and gets no vote. Four exceptions keep clusters whole whose
configuration moved on while this server was away:

* A server outside its own configuration (a new one, a removed one) waits to be added: any leader may lead it.
* A sender whose connection proved that it belongs to the cluster may lead a server that hears no leader, or get its
  vote: the log that it brings has the configuration that this server lacks.
* Where connections ask for no proof at all, a sender with a newer log is believed by a server that has had no leader
  for long, if the term is near. Whoever reaches such a port may as well call itself by a member's ID.
* Who was let in as the leader of this term is heard until the term ends.

A jump of more than `TERM_JUMP_MAX` is refused from everybody, unless this server has no log to lose.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from yurt.server.raft.core.messages import (
    Append,
    Heartbeat,
    Message,
    SnapshotBegin,
    SnapshotChunk,
    TimeoutNow,
    VoteAnswer,
    VoteRequest,
)

log = logging.getLogger("raft.admission")

TERM_JUMP_MAX = 1 << 32
UNPROVED_TERMS_MAX = 1 << 16  # how far ahead the term of a sender may be that proves nothing
TELL_SECONDS = 60.0  # between two lines about one sender
REASON_MAX = 300  # characters
SENDERS_MAX = 64  # whose last line is remembered
LEADERS_KINDS = (Append, Heartbeat, SnapshotBegin, SnapshotChunk, TimeoutNow)

STRANGER = "the sender is not in the configuration"
JUMP = (
    "the term is more than 2^32 ahead: that is no election. If the other servers have it, "
    "`yurt operator raft recover -term` resets it"
)


class Standing(Protocol):
    """The state of the server that admission asks for."""

    @property
    def term(self) -> int:
        """Its term."""

    @property
    def is_member(self) -> bool:
        """Whether it is in a configuration since the committed one."""

    @property
    def is_empty(self) -> bool:
        """Whether it has neither a log nor a snapshot."""

    def knows(self, server_id: str) -> bool:
        """Whether that server is in a configuration since the committed one."""

    def hears_a_leader(self) -> bool:
        """Whether a leader lives."""

    def is_led_by(self, server_id: str) -> bool:
        """Whether it follows that server in the current term."""

    def has_long_been_leaderless(self) -> bool:
        """Whether no leader was heard for so long that its configuration may have moved on without it."""

    @property
    def log_end(self) -> tuple[int, int]:
        """The term and the index of its last entry."""


class Admission:
    """Decides, counts and tells.

    `is_vouched` says whether a sender's connection proved that it is of this cluster, `asks_for_proof` whether
    connections can prove that.
    """

    def __init__(self, standing: Standing, now: Callable[[], float]) -> None:
        self._standing, self._now = standing, now
        self.is_vouched: Callable[[str], bool] = lambda _server_id: False
        self.asks_for_proof: Callable[[], bool] = lambda: True
        self.refused = 0
        self._told: dict[tuple[str, bool], float] = {}

    def reason_to_refuse(self, sender: str, message: Message) -> str:
        """Return why a message must change nothing here; "" if it may be handled."""
        here = self._standing
        if message.term > here.term + TERM_JUMP_MAX and not here.is_empty:
            return JUMP
        if message.term < here.term or here.knows(sender) or not here.is_member:
            return ""  # what is of a lower term is only answered
        if not isinstance(message, (*LEADERS_KINDS, VoteRequest)):
            return STRANGER if message.term > here.term else ""  # the handlers count answers of followers alone
        if message.term == here.term and not isinstance(message, VoteRequest) and here.is_led_by(sender):
            return ""
        return "" if self._may_lead(sender, message) else STRANGER

    def _may_lead(self, sender: str, message: Message) -> bool:
        """Whether a server outside the configuration may lead this one from now on, or get its vote."""
        here = self._standing
        if self.is_vouched(sender):
            return not here.hears_a_leader()
        if self.asks_for_proof() or not here.has_long_been_leaderless():
            return False
        if message.term > here.term + UNPROVED_TERMS_MAX or log_end_in(message) <= here.log_end:
            return False
        if self._is_due(sender, is_believed=True):
            log.warning(
                "raft message of a server outside the configuration believed without proof",
                extra={"peer": sender, "kind": type(message).__name__, "term": message.term, "own_term": here.term},
            )
        return True

    def refuse(self, sender: str, message: Message, reason: str) -> None:
        """Count a refused message, and log it unless one of this sender was logged lately."""
        self.refused += 1
        if self._is_due(sender):
            log.warning(
                "raft message refused",
                extra={
                    "peer": sender, "kind": type(message).__name__, "term": message.term,
                    "own_term": self._standing.term, "reason": reason,
                },
            )  # fmt: skip

    def refuse_bytes(self, sender: str, reason: str) -> None:
        """The same for bytes that are no message of this protocol."""
        self.refused += 1
        if self._is_due(sender):
            log.warning("raft message refused", extra={"peer": sender, "reason": reason[:REASON_MAX]})

    def _is_due(self, sender: str, *, is_believed: bool = False) -> bool:
        """Whether a line about a sender is due, which is written then."""
        key, now = (sender, is_believed), self._now()
        if now < self._told.get(key, float("-inf")) + TELL_SECONDS:
            return False
        self._told.pop(key, None)
        self._told[key] = now
        if len(self._told) > SENDERS_MAX:
            self._told.pop(next(iter(self._told)))
        return True


def log_end_in(message: Message) -> tuple[int, int]:
    """Return the term and the index of the newest entry that a message shows its sender to have; (0, 0) for none."""
    match message:
        case VoteRequest():
            return message.last_term, message.last_index
        case Append(entries=[*_, (_payload, index, term)]):
            return term, index
        case Append():
            return message.previous_term, message.previous_index
        case SnapshotBegin() | SnapshotChunk():
            return message.snapshot_term, message.index
        case _:
            return 0, 0


def answer_to_refused(message: Message, term: int) -> VoteAnswer | None:
    """Return the reply to a refused sender: a denied vote with this server's term for a candidate, else None."""
    if isinstance(message, VoteRequest):
        return VoteAnswer(message.cluster, term, message.sequence, False, message.poll)
    return None
