"""The permission that a request needs, as the route table writes it (spec acl §10).

- `""`: nothing.
- `management`: a management token.
- `node:read`, `agent:write`, `operator:snapshot-save`, …: a level or capability of the cluster.
- `pool:read`: a capability with the node pool of the path.
- `read-job`, `submit-job|register-job`: one of these in the namespace that the request names.
- `listed read-job`: the same, but a list of all namespaces is never refused, only empty.
- `service read-job`: the same, or any workload's identity.
- `its read-job`: one of these in the namespace of the object, which the handler finds and checks.
- `own`: the handler decides by who asks.
- `secret`: a node's secret, which the handler compares.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from yurt.server.acl.authority import Identity, denied

CLUSTER = ("node", "agent", "operator", "plugin")


class IdentifiedRequest(Protocol):
    """A request whose token is known."""

    identity: Identity
    arguments: tuple[str, ...]

    @property
    def namespace(self) -> str:
        """The namespace that the request names."""


@dataclass(frozen=True, slots=True)
class Need:
    """One of `any_of`, of a kind."""

    kind: str
    any_of: tuple[str, ...] = ()

    def check(self, request: IdentifiedRequest) -> None:
        """Let the request through, or raise Refusal(403)."""
        if not self._is_met(request):
            raise denied()

    def _is_met(self, request: IdentifiedRequest) -> bool:
        rights = request.identity.rights
        if rights.is_management or self.kind in ("nothing", "its", "own", "secret"):
            return True
        if self.kind in CLUSTER:
            return any(rights.with_cluster(self.kind, one) for one in self.any_of)
        if self.kind == "pool":
            return any(rights.with_pool(request.arguments[0], one) for one in self.any_of)
        if self.kind == "listed" and (request.namespace == "*" or request.identity.claims is not None):
            return True
        if self.kind == "service":
            return request.identity.claims is not None or rights.in_namespace(request.namespace, *self.any_of)
        if self.kind in ("namespace", "listed"):
            return rights.in_namespace(request.namespace, *self.any_of)
        return False


@lru_cache(256)
def need(text: str) -> Need:
    """The need that a text of the route table means."""
    if not text:
        return Need("nothing")
    if text in ("management", "own", "secret"):
        return Need(text)
    for kind in ("its", "listed", "service"):
        if text.startswith(f"{kind} "):
            return Need(kind, tuple(text.removeprefix(f"{kind} ").split("|")))
    kind, colon, words = text.partition(":")
    if colon:
        return Need(kind, tuple(words.split("|")))
    return Need("namespace", tuple(text.split("|")))
