"""Events: what each command did, as the event stream tells it (spec cluster §13).

The ring keeps the newest commands with the rows that they changed; an event is encoded only when somebody reads it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, pairwise
from typing import Any

import msgspec

from yurt.fsm import commands as c
from yurt.fsm import commands_acl as a
from yurt.fsm import commands_nodes as n
from yurt.fsm import commands_services as s
from yurt.fsm import commands_variables as v
from yurt.fsm.store import schema
from yurt.fsm.store.changes import Change
from yurt.fsm.structs.base import replace, to_json
from yurt.fsm.structs.secrets import redacted

_FREE_NUMBERS = 1 << 40  # left out where a ring begins anew: for what is taken back, and no reader's of before

EVALUATION_UPDATED, JOB_REGISTERED = "EvaluationUpdated", "JobRegistered"

# Commands that are not here make no events.
TYPES: dict[type[c.Command], str] = {
    c.RegisterJob: JOB_REGISTERED,
    c.RevertJob: JOB_REGISTERED,
    c.ScaleJob: JOB_REGISTERED,
    c.DispatchJob: JOB_REGISTERED,
    c.LaunchPeriodicJob: JOB_REGISTERED,
    c.DeregisterJob: "JobDeregistered",
    c.DeregisterFamily: "JobDeregistered",
    c.CollectGarbage: "JobBatchDeregistered",
    c.EvaluateJob: EVALUATION_UPDATED,
    c.UpdateEvaluations: EVALUATION_UPDATED,
    c.ApplyPlan: "PlanResult",
    c.UpsertNodePool: "NodePoolUpserted",
    c.DeleteNodePool: "NodePoolDeleted",
    n.RegisterNode: "NodeRegistration",
    n.PurgeNode: "NodeDeregistration",
    n.UpdateNodeStatuses: "NodeStreamEvent",
    n.SetNodeEligibility: "NodeEligibility",
    n.DrainNode: "NodeDrain",
    n.CompleteDrains: "NodeDrain",
    n.EvaluateNode: EVALUATION_UPDATED,
    n.UpdateAllocations: "AllocationUpdated",
    n.TransitionAllocations: "AllocationUpdateDesiredStatus",
    n.PromoteDeployment: "DeploymentPromotion",
    n.PauseDeployment: "DeploymentStatusUpdate",
    n.FailDeployment: "DeploymentStatusUpdate",
    n.SetAllocationHealth: "DeploymentAllocHealth",
    s.UpsertServices: "ServiceRegistration",
    s.DeleteServices: "ServiceDeregistration",
    a.UpsertPolicies: "ACLPolicyUpserted",
    a.DeletePolicies: "ACLPolicyDeleted",
    a.UpsertTokens: "ACLTokenUpserted",
    a.BootstrapAcl: "ACLTokenUpserted",
    a.DeleteTokens: "ACLTokenDeleted",
    a.UpsertRoles: "ACLRoleUpserted",
    a.DeleteRoles: "ACLRoleDeleted",
    v.UpsertVariable: "VariableUpdated",
    v.DeleteVariable: "VariableUpdated",
    v.LockVariable: "VariableUpdated",
    v.UnlockVariable: "VariableUpdated",
}


class Topic(msgspec.Struct, frozen=True):
    """How the rows of a table are told: `deletions` are told too, with the last row."""

    name: str
    key: Callable[[Any], str]
    filter_keys: Callable[[Any], list[str]] | None = None
    shown: Callable[[Any], Any] = lambda row: row
    deletions: bool = False
    payload: str = ""  # under which name; that of the topic by default


def _job_and_deployment(row: Any) -> list[str]:
    return [row.job_id, row.deployment_id]


def _by_id(row: Any) -> str:
    return str(row.id)


TOPICS: dict[str, Topic] = {
    schema.JOBS.name: Topic("Job", _by_id, deletions=True),
    schema.EVALUATIONS.name: Topic("Evaluation", _by_id, _job_and_deployment),
    schema.ALLOCATIONS.name: Topic("Allocation", _by_id, _job_and_deployment, lambda row: replace(row, job=None)),
    schema.DEPLOYMENTS.name: Topic("Deployment", _by_id, lambda row: [row.job_id]),
    schema.NODES.name: Topic("Node", _by_id, None, redacted, deletions=True),
    schema.NODE_POOLS.name: Topic("NodePool", lambda row: str(row.name), deletions=True),
    schema.SERVICE_REGISTRATIONS.name: Topic(
        "Service", _by_id, lambda row: [row.job_id, row.service_name], deletions=True
    ),
    schema.ACL_POLICIES.name: Topic("ACLPolicy", lambda row: str(row.name), deletions=True),
    schema.ACL_ROLES.name: Topic("ACLRole", _by_id, lambda row: [row.name], deletions=True),
    schema.ACL_TOKENS.name: Topic(
        "ACLToken", lambda row: str(row.accessor_id), None, lambda row: row.stub(None), deletions=True
    ),
    schema.VARIABLES.name: Topic(
        "Variable", lambda row: str(row.path), None, lambda row: row.metadata(), deletions=True, payload="Metadata"
    ),
}


class Event:
    """One changed row; `body` is its JSON."""

    __slots__ = ("body", "key", "keys", "namespace", "topic")

    def __init__(self, kind: str, index: int, change: Change) -> None:
        topic = TOPICS[change.table.name]
        row = change.new if change.new is not None else change.old
        keys = topic.filter_keys(row) if topic.filter_keys is not None else None
        key = topic.key(row)
        self.topic, self.namespace = topic.name, getattr(row, "namespace", "")
        self.key, self.keys = key, {key, *(keys or ())}
        payload: dict[str, Any] = {topic.payload or topic.name: topic.shown(row)}
        if topic.name == "Variable" or (change.new is None and topic.name == "Job"):
            payload["Deleted"] = change.new is None
        told = {
            "FilterKeys": keys, "Index": index, "Key": key, "Namespace": self.namespace, "Payload": payload,
            "Topic": topic.name, "Type": kind,
        }  # fmt: skip
        self.body = to_json(told)

    @classmethod
    def told(cls, topic: str, namespace: str, key: str, keys: Iterable[str], body: bytes) -> Event:
        """One that was encoded before."""
        self = cls.__new__(cls)
        self.topic, self.namespace, self.key, self.keys, self.body = topic, namespace, key, set(keys), body
        return self


class Entry:
    """One line of the stream: what one command did, or a part of it."""

    __slots__ = ("_changes", "_events", "index", "kind")

    def __init__(self, kind: str, index: int, changes: list[Change]) -> None:
        self.kind, self.index, self._changes = kind, index, changes
        self._events: list[Event] | None = None

    @classmethod
    def told(cls, index: int, events: list[Event]) -> Entry:
        """One whose events were encoded before."""
        self = cls("", index, [])
        self._events = events
        return self

    @property
    def events(self) -> list[Event]:
        """The events, made once; another thread may ask at the same time."""
        changes = self._changes  # before the look at what was made: they go only after it
        if self._events is None:
            self._events = [Event(self.kind, self.index, change) for change in changes]
            self._changes = []
        return self._events


class EventRing:
    """The newest commands that told something, as entries with a number each.

    `size` counts commands of the log, and a command is held whole or not at all: servers that lived through the same
    hold the same. `gone` is the newest index that is not held any more: whoever has seen that one misses nothing.
    """

    def __init__(self, size: int) -> None:
        self._size = max(1, size)
        self._entries: deque[Entry] = deque()
        self._commands = 0  # that the entries are of
        self._added = 0
        self._listeners: dict[Callable[[], None], None] = {}
        self.gone = 0
        self._is_whole = True  # all is held that it has room for
        self.closed = False

    def add(self, command: c.Command, index: int, changes: list[Change]) -> None:
        """Take in what a command did."""
        kind = TYPES.get(type(command))
        if kind is None:
            return
        told = [one for one in changes if _is_told(one)]
        if not told:
            return
        jobs = [one for one in told if one.table is schema.JOBS]
        # A written job and its evaluation are told one after the other, everything else at once.
        parts = [jobs, [one for one in told if one.table is not schema.JOBS]] if kind.startswith("Job") else [told]
        for part in filter(None, parts):
            self._entries.append(Entry(kind, index, part))
            self._added += 1
        self._commands += 1
        if self._commands > self._size:
            self._drop_oldest()
        self._wake()

    def _drop_oldest(self) -> None:
        self.gone = self._entries[0].index
        while self._entries and self._entries[0].index == self.gone:
            self._entries.popleft()
        self._commands -= 1
        self._is_whole = True

    def begin_at(self, index: int) -> None:
        """The state is another one, of that index: what led to it is not known. Readers have to begin anew."""
        self._entries.clear()
        self._commands = 0
        self._added += _FREE_NUMBERS
        self.gone, self._is_whole = index, False
        self._wake()

    def held(self) -> list[Entry]:
        """The entries, the oldest first."""
        return list(self._entries)

    @property
    def is_whole(self) -> bool:
        """Whether it holds what a ring of its size holds that saw all commands; else something may be taken back."""
        return self._is_whole

    def refill(self, entries: Iterable[Entry], gone: int, upto: int) -> bool:
        """Backfill events in (`gone`, `upto`]. Return False and change nothing if they do not join up with the ring.

        They join up if the ring begins after `upto`, is not whole, and the entries lie between the two, in order.
        Without room for all, the newest commands are taken. Readers go on where they are.
        """
        commands = [list(parts) for _, parts in groupby(entries, key=lambda one: one.index)]
        bounds = [gone, *(parts[0].index for parts in commands), upto + 1]
        if self._is_whole or upto != self.gone or gone >= upto or any(low >= high for low, high in pairwise(bounds)):
            return False
        first = max(0, len(commands) - (self._size - self._commands))
        self.gone = commands[first - 1][0].index if first else gone
        self._is_whole = first > 0 or gone == 0
        for parts in reversed(commands[first:]):
            self._entries.extendleft(reversed(parts))
            self._commands += 1
        return True

    def _wake(self) -> None:
        for listener in list(self._listeners):
            listener()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call the listener when something was added, until `leave`."""
        self._listeners[listener] = None

    def leave(self, listener: Callable[[], None]) -> None:
        """Call it no more."""
        self._listeners.pop(listener, None)

    def close(self) -> None:
        """Nothing more will come: everybody who listens is woken."""
        self.closed = True
        self._wake()

    def number_at(self, index: int) -> int:
        """The number to begin with: of the first entry at or after an index, else of the newest; 0: of the oldest."""
        oldest = self._added - len(self._entries)
        for position, entry in enumerate(self._entries):
            if entry.index >= index:
                return oldest + position
        return max(oldest, self._added - 1)

    @property
    def next_number(self) -> int:
        """The number of the entry that comes next."""
        return self._added

    def number_following(self, index: int) -> int:
        """The number of the first entry after an index; raises LookupError if some after it are gone."""
        if index < self.gone:
            raise LookupError("events after that index are gone")
        oldest = self._added - len(self._entries)
        return next((oldest + at for at, entry in enumerate(self._entries) if entry.index > index), self._added)

    def after(self, number: int) -> Iterator[tuple[int, Entry]]:
        """Entries from that number on with the number that follows each; raises LookupError if some are gone."""
        oldest = self._added - len(self._entries)
        if number < oldest:
            raise LookupError("the reader is slower than the ring")
        for position in range(number, self._added):
            yield position + 1, self._entries[position - oldest]


def _is_told(change: Change) -> bool:
    topic = TOPICS.get(change.table.name)
    return topic is not None and (change.new is not None or topic.deletions)
