"""Which messages may change this server: those of members, and no term that runs away (docs/security.md, S2).

A term is spent for good: a server that has synced 2^62-1 can never vote again. So a sender that is in no configuration
since the committed one raises no term here, ends no leadership and gets no vote. Three exceptions keep clusters whole
whose configuration moved on while this server was away:

* A server outside its own configuration (a new one, a removed one) waits to be added: any leader may lead it.
* A sender whose connection proved that it belongs to the cluster may lead a server that hears no leader, or get its
  vote: the log that it brings has the configuration that this server lacks.
* A leader of a term that this server learned from members, while it knows no other leader of that term.

A jump of more than `TERM_JUMP_MAX` is refused from everybody, unless this server has no log to lose.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from yurt.server.raft.messages import (
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
    """What is asked of the server."""

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

    def may_be_led_by(self, server_id: str) -> bool:
        """Whether no other server is known to lead in the current term."""


class Admission:
    """Decides, counts and tells. `is_vouched` says whether a sender's connection proved that it is of this cluster."""

    def __init__(self, standing: Standing, now: Callable[[], float]) -> None:
        self._standing, self._now = standing, now
        self.is_vouched: Callable[[str], bool] = lambda _server_id: False
        self.refused = 0
        self._told: dict[str, float] = {}

    def reason_to_refuse(self, sender: str, message: Message) -> str:
        """Return why a message must change nothing here; "" if it may be handled."""
        here = self._standing
        if message.term > here.term + TERM_JUMP_MAX and not here.is_empty:
            return JUMP
        if message.term < here.term or here.knows(sender) or not here.is_member:
            return ""  # what is of a lower term is only answered
        if isinstance(message, (*LEADERS_KINDS, VoteRequest)) and self.is_vouched(sender) and not here.hears_a_leader():
            return ""
        if message.term > here.term or isinstance(message, VoteRequest):
            return STRANGER
        if isinstance(message, LEADERS_KINDS) and not here.may_be_led_by(sender):
            return STRANGER
        return ""  # answers and questions of this term: the handlers count those of followers alone

    def refuse(self, sender: str, message: Message, reason: str) -> None:
        """Count a refused message, and log it unless one of this sender was logged lately."""
        if self._counted(sender):
            log.warning(
                "raft message refused",
                extra={
                    "peer": sender, "kind": type(message).__name__, "term": message.term,
                    "own_term": self._standing.term, "reason": reason,
                },
            )  # fmt: skip

    def refuse_bytes(self, sender: str, reason: str) -> None:
        """The same for bytes that are no message of this protocol."""
        if self._counted(sender):
            log.warning("raft message refused", extra={"peer": sender, "reason": reason[:REASON_MAX]})

    def _counted(self, sender: str) -> bool:
        """Count a message; whether it is told."""
        self.refused += 1
        now = self._now()
        if now < self._told.get(sender, float("-inf")) + TELL_SECONDS:
            return False
        self._told.pop(sender, None)
        self._told[sender] = now
        if len(self._told) > SENDERS_MAX:
            self._told.pop(next(iter(self._told)))
        return True


def answer_to_refused(message: Message, term: int) -> VoteAnswer | None:
    """What a refused sender is told: a candidate that this server's term is another one, nobody anything else."""
    if isinstance(message, VoteRequest):
        return VoteAnswer(message.cluster, term, message.sequence, False, message.poll)
    return None
