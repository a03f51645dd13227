"""Authorities and certificates for tests of TLS, as files."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from yurt.server.tls.certificates import CLI, SERVER, Issued, make_authority, make_certificate


class Files:
    """A directory with authorities and certificates of theirs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._authorities: dict[str, Issued] = {}

    def authority(self, name: str = "ca") -> str:
        """The file of an authority's certificate; made when it is asked for first."""
        if name not in self._authorities:
            made = make_authority(_now(), days=30, common_name=name, organization="tests")
            self._authorities[name] = made
            (self.directory / f"{name}.pem").write_bytes(made.certificate)
        return str(self.directory / f"{name}.pem")

    def write(self, file: str, role: str, authority: str = "ca", *, age: int = 0, days: int = 5) -> tuple[str, str]:
        """Certificate and key of a role, `age` days old; in place of those of the same name."""
        self.authority(authority)
        issued = make_certificate(
            self._authorities[authority], _now() - timedelta(days=age), role=role, region="global", domain="nomad",
            days=days,
        )  # fmt: skip
        certificate, key = self.directory / f"{file}.pem", self.directory / f"{file}-key.pem"
        certificate.write_bytes(issued.certificate)
        key.write_bytes(issued.key)
        return str(certificate), str(key)

    def tls(self, role: str = SERVER, authority: str = "ca", *, age: int = 0, **fields: Any) -> dict[str, Any]:
        """A `tls` block."""
        certificate, key = self.write(f"{role}-{authority}-{age}", role, authority, age=age)
        return {"ca_file": self.authority("ca"), "cert_file": certificate, "key_file": key, **fields}

    def context(
        self, role: str | None = CLI, authority: str = "ca", *, age: int = 0, trusts: str = "ca"
    ) -> ssl.SSLContext:
        """How a client speaks that trusts an authority and has a certificate of one, or none."""
        context = ssl.create_default_context(cafile=self.authority(trusts))
        if role is not None:
            context.load_cert_chain(*self.write(f"client-{role}-{authority}-{age}", role, authority, age=age))
        return context


def _now() -> datetime:
    return datetime.now(UTC)
