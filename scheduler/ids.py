"""IDs that follow from an evaluation: the same evaluation at the same state makes the same ones."""

from __future__ import annotations

import hashlib


def derived_id(eval_id: str, index: int, what: str) -> str:
    """A UUID-shaped ID from an evaluation, the index of the state it saw and what the ID is for."""
    digest = hashlib.blake2b(f"{eval_id}/{index}/{what}".encode(), digest_size=16).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-a{digest[17:20]}-{digest[20:]}"
