"""IDs that commands make: from a seed that travels in the command, so that every server makes the same ones."""

from __future__ import annotations

import hashlib


def seeded_id(seed: str, *what: str) -> str:
    """A UUID that follows from a fresh UUID and the thing that it is for."""
    digest = hashlib.blake2b("\0".join((seed, *what)).encode(), digest_size=16).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-a{digest[17:20]}-{digest[20:]}"
