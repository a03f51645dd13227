"""The demand on other servers: the cluster secret is accepted until all members have proved it, then required."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence

log = logging.getLogger("raft.transport")

NONE, ACCEPTED, REQUIRED = "none", "accepted", "required"
PROVED, UNPROVED = "proved", "unproved"


class Trust:
    """The keys of the cluster secrets, and whether others must prove one. `keep` makes the demand outlive a restart.

    Invariant: `is_required` only with keys.
    """

    def __init__(
        self, keys: Sequence[bytes] = (), *, is_required: bool = False, keep: Callable[[], None] = lambda: None
    ) -> None:
        assert keys or not is_required
        self.keys, self.is_required, self._keep = tuple(keys), is_required, keep
        self._proofs: dict[str, bytes] = {}  # by server ID: the key that its newest handshake proved

    @property
    def demand(self) -> str:
        """Return what this server asks of the others: `none`, `accepted` or `required`."""
        if not self.keys:
            return NONE
        return REQUIRED if self.is_required else ACCEPTED

    def noted(self, server_id: str, key: bytes | None) -> None:
        """Remember the key that a server's newest handshake proved; None if it proved none."""
        if key is None:
            self._proofs.pop(server_id, None)
        else:
            self._proofs[server_id] = key

    def forget(self, server_id: str) -> None:
        """Keep nothing of a server that is no member."""
        self._proofs.pop(server_id, None)

    def has_proof_of(self, server_id: str) -> bool:
        """Whether a server's newest handshake proved a secret that is one still."""
        return self._proofs.get(server_id) in self.keys

    def may_be_required(self, own_id: str, members: Collection[str]) -> bool:
        """Whether all members have proved a secret, and it is not required yet."""
        others = set(members) - {own_id}
        return bool(self.keys) and not self.is_required and own_id in members and all(map(self.has_proof_of, others))

    def require(self) -> None:
        """Demand the secret from now on, also after a restart; raises OSError, and nothing has changed."""
        assert self.keys
        self._keep()
        self.is_required = True
        log.info("cluster secret required: every member has proved it")

    def replace(self, keys: Sequence[bytes]) -> None:
        """Take other keys; the demand stays."""
        assert keys or not self.is_required
        self.keys = tuple(keys)
