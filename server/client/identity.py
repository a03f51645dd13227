"""Who this node is: an ID and a secret, made once and kept in the state directory (spec node-agent §1)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

from yurt.server.wholefile import write_whole


@dataclass(frozen=True, slots=True)
class Identity:
    """The node's ID, and the secret that it shows to the servers."""

    node_id: str
    secret_id: str


def load_identity(directory: Path) -> Identity:
    """The identity of a state directory; made if there is none. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Identity(_kept(directory / "client-id"), _kept(directory / "secret-id"))


def _kept(path: Path) -> str:
    try:
        return str(uuid.UUID(path.read_text().strip()))
    except (FileNotFoundError, ValueError):
        fresh = str(uuid.uuid4())
    write_whole(path, fresh.encode())
    return fresh
