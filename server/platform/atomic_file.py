"""Small files that are there whole or not at all: identities, keys, what an agent knows of its allocations."""

from __future__ import annotations

import os
from pathlib import Path

MODE = 0o600


def write_whole(path: Path, body: bytes, *, sync: bool = True) -> None:
    """Put a file in place in one step, for its owner only; with `sync` it is on disk when this returns.

    Raises OSError; what stood there before stands there still then.
    """
    new = path.with_name(path.name + ".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(body)
        file.flush()
        if sync:
            os.fsync(descriptor)
    new.replace(path)
    if sync:
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Have a directory's entries on disk; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
