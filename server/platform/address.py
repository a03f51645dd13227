"""HOST:PORT texts, with IPv6 hosts in brackets: `10.0.0.1:4647`, `[::1]:4647`, `server-1:4647`."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

PORT_MAX = 65535


def join_address(host: str, port: int) -> str:
    """The text of a host and a port."""
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


def split_address(address: str) -> tuple[str, int]:
    """Host (without brackets) and port; raises ValueError."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or len(port) > len(str(PORT_MAX)) or int(port) > PORT_MAX:
        raise ValueError(f'"{address}" is not HOST:PORT')
    return host.removeprefix("[").removesuffix("]"), int(port)


def with_port(given: str, port: int) -> str:
    """`given` as HOST:PORT; a port that is not in it is `port`."""
    if given.startswith("["):
        return given if "]:" in given else f"{given}:{port}"
    return given if given.count(":") == 1 else join_address(given, port)


@lru_cache(1024)
def client_of(address: str) -> str:
    """Return the client that an address stands for: itself, but for IPv6 the /64 network that one client has."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return address
    if found.ipv4_mapped is not None:  # of a listener for both
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on `host`."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"
