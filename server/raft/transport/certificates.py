"""Names in a peer's certificate: with verify_server_hostname only a server may speak to servers (spec cluster §16)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any


def names_of(certificate: dict[str, Any] | None) -> list[str]:
    """The DNS names of a verified certificate, and its common name."""
    if not certificate:
        return []
    names = [value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"]
    subject = [value for part in certificate.get("subject", ()) for kind, value in part if kind == "commonName"]
    return [*names, *(name for name in subject if name not in names)]


def refusal(certificate: dict[str, Any] | None, *wanted: str) -> str:
    """Why the certificate, which must have one of the wanted names, does not do; empty if it does."""
    names = names_of(certificate)
    if any(name in names for name in wanted):
        return ""
    return f"invalid certificate, {' or '.join(wanted)} not in {','.join(names) or 'no names'}"


def check_role(writer: asyncio.StreamWriter, roles: Sequence[str]) -> None:
    """Close a connection whose other side has none of the roles; OSError then. No roles: anybody will do."""
    if roles and (reason := refusal(writer.get_extra_info("peercert"), *roles)):
        writer.close()
        raise OSError(reason)
