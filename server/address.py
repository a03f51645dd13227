"""HOST:PORT texts, with IPv6 hosts in brackets: `10.0.0.1:4647`, `[::1]:4647`, `server-1:4647`."""

from __future__ import annotations


def join_address(host: str, port: int) -> str:
    """The text of a host and a port."""
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


def split_address(address: str) -> tuple[str, int]:
    """Host (without brackets) and port; raises ValueError."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal():
        raise ValueError(f'"{address}" is not HOST:PORT')
    return host.removeprefix("[").removesuffix("]"), int(port)


def with_port(given: str, port: int) -> str:
    """`given` as HOST:PORT; a port that is not in it is `port`."""
    if given.startswith("["):
        return given if "]:" in given else f"{given}:{port}"
    return given if given.count(":") == 1 else join_address(given, port)
