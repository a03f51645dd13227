"""A server of the configuration."""

from __future__ import annotations

from dataclasses import dataclass, field

Servers = list[list[str]]  # of each: ID, address, name, and "learner" if it does not vote


@dataclass(frozen=True, slots=True, order=True)
class Peer:
    """A server: equal to another with the same ID, in the order of the IDs. `address` is that of its rpc port."""

    id: str
    address: str = field(compare=False)
    name: str = field(default="", compare=False)


def address_in(servers: Servers, server_id: str) -> str | None:
    """Return the address of a server; None if it is not among them."""
    return next((server[1] for server in servers if server[0] == server_id), None)
