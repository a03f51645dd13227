"""TLS of an agent: contexts from certificate files, which are read anew when the agent is told to (spec cluster §16).

A listening context is handed out once; each handshake on it uses what was read last. Sessions cannot be resumed, so
every connection shows a certificate that the authority of that moment has signed.
"""

from __future__ import annotations

import hashlib
import logging
import ssl
from collections.abc import Callable
from pathlib import Path

import msgspec

from yurt.fsm.errors import YurtError
from yurt.server.config.agent import AgentConfig, Tls

log = logging.getLogger("agent")

DECIDED_AT_START = ("http", "rpc", "verify_server_hostname", "verify_https_client", "tls_min_version")
VERSIONS = {"tls12": ssl.TLSVersion.TLSv1_2, "tls13": ssl.TLSVersion.TLSv1_3}


class BadTls(YurtError):
    """A certificate, key or authority cannot be used; the text names the file."""


class Material:
    """The contexts of one reading; raises `BadTls`."""

    def __init__(self, tls: Tls) -> None:
        self.tls = tls
        self.authority = _digest(tls.ca_file)
        self.http = self._listening(required=tls.verify_https_client) if tls.http else None
        self.peers = self._listening(required=True) if tls.rpc else None
        self.to_peers = self._context(ssl.Purpose.SERVER_AUTH) if tls.rpc else None
        self.to_servers = self._context(ssl.Purpose.SERVER_AUTH) if tls.http else None
        self.to_nodes = self._context(ssl.Purpose.SERVER_AUTH) if tls.http else None
        for context in (self.to_peers, self.to_nodes, self.to_servers if tls.verify_server_hostname else None):
            if context is not None:
                context.check_hostname = False  # if anything, a role is wanted: see raft/certificates.py

    def _listening(self, *, required: bool) -> ssl.SSLContext:
        context = self._context(ssl.Purpose.CLIENT_AUTH)
        if required:
            context.verify_mode = ssl.CERT_REQUIRED
        context.num_tickets = 0
        context.options |= ssl.OP_NO_TICKET
        return context

    def _context(self, purpose: ssl.Purpose) -> ssl.SSLContext:
        tls = self.tls
        try:
            context = ssl.create_default_context(purpose, cafile=tls.ca_file or None)
        except (OSError, ssl.SSLError) as error:
            raise BadTls(f"tls.ca_file {tls.ca_file} cannot be used: {_reason(error)}") from error
        context.minimum_version = VERSIONS[tls.tls_min_version]
        if tls.cert_file or purpose is ssl.Purpose.CLIENT_AUTH:
            try:
                context.load_cert_chain(tls.cert_file, tls.key_file)
            except (OSError, ssl.SSLError) as error:
                files = f"tls.cert_file {tls.cert_file!r} with tls.key_file {tls.key_file!r}"
                raise BadTls(f"{files} cannot be used: {_reason(error)}") from error
        return context


class TlsFiles:
    """The TLS of an agent; `http` and `peers` are for its listeners, None where TLS is off. Raises `BadTls`."""

    def __init__(self, tls: Tls) -> None:
        self._now = outer = Material(tls)
        self.http = _switching(outer.http, lambda: self._now.http)
        self.peers = _switching(outer.peers, lambda: self._now.peers)

    def to_peers(self) -> ssl.SSLContext | None:
        """How another server is spoken to from now on."""
        return self._now.to_peers

    def to_servers(self) -> ssl.SSLContext | None:
        """How a node speaks to the API of a server from now on."""
        return self._now.to_servers

    def to_nodes(self) -> ssl.SSLContext | None:
        """How a server speaks to the API of a node from now on."""
        return self._now.to_nodes

    def reload(self, tls: Tls) -> bool:
        """Read all files; answer whether the authority is another one. Raises `BadTls`, and nothing has changed.

        Only files are read anew. Where there is TLS, who must show a certificate and which names count was decided at
        the start, by everything that looks at certificates: such members of the new configuration do not count.
        """
        old = self._now
        kept = {name: getattr(old.tls, name) for name in DECIDED_AT_START}
        if changed := [name for name in DECIDED_AT_START if getattr(tls, name) != kept[name]]:
            log.warning("these take effect at the next start only", extra={"tls": ", ".join(changed)})
        self._now = Material(msgspec.structs.replace(tls, **kept))
        return self._now.authority != old.authority


def _switching(context: ssl.SSLContext | None, newest: Callable[[], ssl.SSLContext | None]) -> ssl.SSLContext | None:
    """A context that hands every handshake on to the newest one, before any certificate is shown."""

    def switch(handshake: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        if (now := newest()) is not None:
            handshake.context = now

    if context is not None:
        context.sni_callback = switch
    return context


def _digest(file: str) -> bytes:
    try:
        return hashlib.sha256(Path(file).read_bytes()).digest() if file else b""
    except OSError as error:
        raise BadTls(f"tls.ca_file {file} cannot be read: {error.strerror}") from error


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def server_roles(config: AgentConfig) -> tuple[str, ...]:
    """The name that a server's certificate must have; none if nobody looks for it."""
    return (f"server.{config.region}.nomad",) if config.tls.verify_server_hostname else ()


def node_roles(config: AgentConfig) -> tuple[str, ...]:
    """Return the names accepted in a node's certificate (a server may be a node too); none without verification."""
    roles = server_roles(config)
    return (f"client.{config.region}.nomad", *roles) if roles else ()
