"""Names in a peer's certificate: with verify_server_hostname only a server may speak to servers (spec cluster §16)."""

from __future__ import annotations

from typing import Any


def names_of(certificate: dict[str, Any] | None) -> list[str]:
    """The DNS names of a verified certificate, and its common name."""
    if not certificate:
        return []
    names = [value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"]
    subject = [value for part in certificate.get("subject", ()) for kind, value in part if kind == "commonName"]
    return [*names, *(name for name in subject if name not in names)]


def refusal(certificate: dict[str, Any] | None, wanted: str) -> str:
    """Why the certificate does not do, empty if it does."""
    names = names_of(certificate)
    return "" if wanted in names else f"invalid certificate, {wanted} not in {','.join(names) or 'no names'}"
