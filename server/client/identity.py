"""The node's identity: an ID and a secret, made once and kept in the state directory (spec node-agent §1)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

from yurt.server.platform.atomic_file import write_whole

ID_FILE, SECRET_FILE = "client-id", "secret-id"


@dataclass(frozen=True, slots=True)
class Identity:
    """The node's ID, and the secret that it shows to the servers."""

    node_id: str
    secret_id: str


def keep_identity(directory: Path, identity: Identity) -> None:
    """Make a state directory one of this identity, unless it has one. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, value in ((ID_FILE, identity.node_id), (SECRET_FILE, identity.secret_id)):
        if not (directory / name).exists():
            write_whole(directory / name, value.encode())


def load_identity(directory: Path) -> Identity:
    """The identity of a state directory; made if there is none. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Identity(_kept(directory / ID_FILE), _kept(directory / SECRET_FILE))


def _kept(path: Path) -> str:
    try:
        return str(uuid.UUID(path.read_text().strip()))
    except (FileNotFoundError, ValueError):
        fresh = str(uuid.uuid4())
    write_whole(path, fresh.encode())
    return fresh
