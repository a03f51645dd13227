"""Limits of a request as pure functions of its head: a protocol class asks them, whatever parser it is built on."""

from __future__ import annotations

from collections.abc import Mapping

from yurt.fsm.lang.strconv import parse_position


def declared_length(headers: Mapping[bytes, bytes]) -> int:
    """Return the length that a request's head declares for its body; 0 for none, or for none that counts bytes."""
    return parse_position(headers.get(b"content-length", b"").decode("latin-1")) or 0
