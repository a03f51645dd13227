"""Limits of a request as pure functions of its head: a protocol class asks them, whatever parser it is built on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from yurt.fsm.errors import Refusal
from yurt.fsm.lang.strconv import parse_position

VERSIONS = ("1.0", "1.1")
ONCE = (b"host", b"x-nomad-token", b"authorization")  # of two, nobody could say which one counts
ANY = "*"
LOCAL_NAME = "localhost"
SAME_ORIGIN, USER = "same-origin", "none"  # of Sec-Fetch-Site: a page of this agent, or no page at all
PLAIN_METHODS = ("GET", "HEAD", "OPTIONS")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_HOST = re.compile(rb"[A-Za-z0-9._~%!$&'()*+,;=:\[\]-]*\Z")
Headers = Sequence[tuple[bytes, bytes]]


def head_refusal(version: str, target: bytes, headers: Headers) -> Refusal | None:
    """Return what is wrong with a head as such; None if nothing is. Header names are in small letters."""
    if version == "0.9":
        return Refusal(400, "HTTP/0.9 is not spoken here: send a version and headers")
    if version not in VERSIONS:
        return Refusal(505, f"HTTP/{version} is not spoken here: use HTTP/1.1")
    names = [name for name, _ in headers]
    for name in ONCE:
        if names.count(name) > 1:
            return Refusal(400, f"the header {name.decode()} is there more than once: send it once")
    host = next((value for name, value in headers if name == b"host"), None)
    if host is None:
        return Refusal(400, "the header host is missing: HTTP/1.1 requires it") if version == "1.1" else None
    if not _HOST.match(host):
        return Refusal(400, "the header host names no host")
    scheme, separator, rest = target.partition(b"://")
    if separator and scheme.isalpha() and rest.partition(b"/")[0].lower() != host.lower():
        return Refusal(400, "the target names another host than the header host")
    return None


def declared_length(headers: Mapping[bytes, bytes]) -> int:
    """Return the length that a request's head declares for its body; 0 for none, or for none that counts bytes."""
    return parse_position(headers.get(b"content-length", b"").decode("latin-1")) or 0


# --- pages of browsers


@dataclass(frozen=True, slots=True)
class Sites:
    """The names by which an agent may be called (None: any), and foreign origins whose pages it trusts.

    Pages of `origins` may change things and open WebSockets, pages of `answered_origins` (those that the configured
    CORS header lets read) may change things.
    """

    hosts: frozenset[str] | None = None
    origins: frozenset[str] = frozenset()
    answered_origins: frozenset[str] = frozenset()

    def host_refusal(self, headers: Mapping[bytes, bytes]) -> Refusal | None:
        """Return why the Host header names another site than this agent; None if it does not.

        A page whose own name was made to point at this machine (DNS rebinding) shows that name here. It cannot show
        an address.
        """
        host = headers.get(b"host", b"").decode("latin-1")
        name = host_name(host)
        if self.hosts is None or not name or name == LOCAL_NAME or name in self.hosts or _is_address(name):
            return None
        hint = 'add it to limits { http_allowed_hosts = ["…"] } if it is one'
        return Refusal(403, f"{host} is no name of this agent: {hint}")

    def page_refusal(self, headers: Mapping[bytes, bytes], *, opens_socket: bool = False) -> Refusal | None:
        """Return why a browser's page may not change things here; None for pages of this agent, and for no page.

        The browser's own word for where a page is from counts first: a proxy in between may change the Host.
        """
        trusted = self.origins if opens_socket else self.origins | self.answered_origins
        origin = headers.get(b"origin", b"").decode("latin-1")
        if ANY in trusted or origin in trusted:
            return None
        site = headers.get(b"sec-fetch-site", b"").decode("latin-1").lower()
        host = headers.get(b"host", b"").decode("latin-1")
        if site == SAME_ORIGIN or (_is_origin_of(origin, host) if origin else site in ("", USER)):
            return None
        page = f"a page of {origin}" if origin else "a page of another site"
        hint = "limits { http_allowed_origins } names the pages that may"
        return Refusal(403, f"{page} may change nothing here: {hint}")


def sites_of(
    binds: Sequence[str],
    own_names: Sequence[str],
    allowed_hosts: Sequence[str],
    allowed_origins: Sequence[str],
    answer_headers: Mapping[str, str],
) -> Sites:
    """Return the sites of a configuration. Any Host is answered beyond loopback, unless names are configured."""
    names = frozenset(host_name(one) for one in (*own_names, *allowed_hosts))
    checked = bool(allowed_hosts) or all(is_loopback(bind) for bind in binds)
    answered = [value for name, value in answer_headers.items() if name.lower() == "access-control-allow-origin"]
    return Sites(
        hosts=names if checked and ANY not in names else None,
        origins=frozenset(allowed_origins),
        answered_origins=frozenset(value.strip() for value in answered),
    )


def host_name(host: str) -> str:
    """Return the name of a Host header in small letters, without its port and the brackets of an IPv6 address."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    name, _, port = host.rpartition(":")
    return (name if name and ":" not in name and port.isdigit() else host).lower().rstrip(".")


def is_loopback(address: str) -> bool:
    """Return whether only this machine reaches what listens on an address."""
    name = host_name(address)
    return name == LOCAL_NAME or (_is_address(name) and ip_address(name).is_loopback)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_origin_of(origin: str, host: str) -> bool:
    """Return whether requests to an origin carry a Host, with or without the port that its scheme has anyway."""
    try:
        found = urlsplit(origin)
    except ValueError:
        return False
    port = _DEFAULT_PORTS.get(found.scheme, "\0")
    name = found.netloc.lower().removesuffix(port)
    return bool(name) and name == host.lower().removesuffix(port)
