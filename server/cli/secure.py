"""How the command line is told of servers, and how it speaks TLS to them: flags, else the environment."""

from __future__ import annotations

import os
import socket
import ssl
from typing import Any, NamedTuple


class ApiError(Exception):
    """The server refused, or could not be reached; the text is what a user reads.

    `status` is the HTTP status, or 0 if there was no answer; `body` is the decoded body, if it is JSON.
    """

    def __init__(self, status: int, text: str, body: Any = None) -> None:
        super().__init__(text)
        self.status, self.body = status, body


def environment(name: str, default: str = "") -> str:
    """The value of YURT_<name>, else of NOMAD_<name>, else `default`."""
    return os.environ.get(f"YURT_{name}") or os.environ.get(f"NOMAD_{name}") or default


class TlsChoice(NamedTuple):
    """How a server is spoken to with TLS: files, the name to ask for, whether its certificate is looked at at all."""

    ca_cert: str = ""
    ca_path: str = ""
    client_cert: str = ""
    client_key: str = ""
    server_name: str = ""
    skip_verify: bool = False

    def filled(self) -> TlsChoice:
        """With CACERT, CAPATH, CLIENT_CERT, CLIENT_KEY, TLS_SERVER_NAME and SKIP_VERIFY for what was not given."""
        return TlsChoice(
            self.ca_cert or environment("CACERT"),
            self.ca_path or environment("CAPATH"),
            self.client_cert or environment("CLIENT_CERT"),
            self.client_key or environment("CLIENT_KEY"),
            self.server_name or environment("TLS_SERVER_NAME"),
            self.skip_verify or environment("SKIP_VERIFY").lower() in ("1", "true", "t"),
        )

    def context(self) -> ssl.SSLContext:
        """The context; raises `ApiError` for files that cannot be used."""
        try:
            context = _Named.create(self.ca_cert, self.ca_path, self.server_name)
            if self.client_cert:
                context.load_cert_chain(self.client_cert, self.client_key or None)
        except OSError as error:
            raise ApiError(0, f"TLS: {error.filename or self.ca_cert or self.client_cert}: {error.strerror}") from error
        if self.skip_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


class _Named(ssl.SSLContext):
    """Asks for a name of our own instead of the address's."""

    server_name = ""

    @classmethod
    def create(cls, ca_cert: str, ca_path: str, server_name: str) -> _Named:
        """One that trusts an authority, else those of the system."""
        context = cls(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.server_name = server_name
        if ca_cert or ca_path:
            context.load_verify_locations(ca_cert or None, ca_path or None)
        else:
            context.load_default_certs()
        return context

    def wrap_socket(self, sock: socket.socket, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        """As the context's own, with our name."""
        kwargs["server_hostname"] = self.server_name or kwargs.get("server_hostname")
        return super().wrap_socket(sock, *args, **kwargs)
