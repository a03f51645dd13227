"""Forming a cluster without gossip: everybody waits for everybody, then all begin with the same configuration."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import orjson

from yurt.server.platform.atomic_file import write_whole
from yurt.server.raft.errors import Corrupt
from yurt.server.raft.transport.handshake import Hello
from yurt.server.raft.transport.transport import PeerTransport

log = logging.getLogger("raft.forming")

FILE = "cluster.json"
REMIND_SECONDS = 10.0


def stored_configuration(directory: str) -> list[list[str]] | None:
    """The configuration that this server's cluster began with; None if it has no cluster yet."""
    file = Path(directory) / FILE
    if not file.exists():
        return None
    try:
        configuration: list[list[str]] = orjson.loads(file.read_bytes())["configuration"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise Corrupt(f"{file} is damaged: {error}") from error
    return configuration


def store_configuration(directory: str, configuration: list[list[str]]) -> None:
    """Remember it before the log begins."""
    write_whole(Path(directory) / FILE, orjson.dumps({"configuration": configuration}))


def decide(own: Hello, hellos: list[Hello]) -> list[list[str]] | None:
    """The first configuration, or None as long as somebody is missing.

    With `expect` servers that have no log and expect the same number, all begin with the same sorted list. If one of
    them has begun already it is that one's list: with this server in it, as all would have decided the same; without,
    to join that cluster.
    """
    begun = [hello.configuration for hello in hellos if hello.configuration is not None]
    for configuration in begun:
        if [own.server_id, own.address, own.name] in configuration:
            return configuration
    if begun:
        return begun[0]
    equal = [hello for hello in hellos if hello.expect == own.expect]
    members = {hello.server_id: [hello.server_id, hello.address, hello.name] for hello in (own, *equal)}
    if own.expect < 1 or len(members) < own.expect:
        return None
    return [members[server] for server in sorted(members)][: own.expect]


async def form(own: Hello, transport: PeerTransport) -> list[list[str]]:
    """Wait until the configuration is decided."""
    changed = asyncio.Event()
    transport.on_hello = lambda _hello: changed.set()
    while True:
        configuration = decide(own, list(transport.hellos.values()))
        if configuration is not None:
            return configuration
        changed.clear()
        try:
            async with asyncio.timeout(REMIND_SECONDS):
                await changed.wait()
        except TimeoutError:
            log.info("waiting for servers", extra={"expected": own.expect, "seen": len(transport.hellos) + 1})
