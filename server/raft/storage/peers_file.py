"""peers.json: the configuration that an operator wants after the loss of a majority.

Whoever writes this file decides who holds the state, so it is read as an attacker's: it must belong to the user who
runs the agent and be writable by nobody else, it is small, and every member of it is checked. What is refused is said,
the server does not start, and nothing is changed.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec

from yurt.server.platform.address import split_address
from yurt.server.raft.core.configuration import LEARNER
from yurt.server.raft.errors import DirectoryRefused
from yurt.server.raft.peer import Servers
from yurt.server.raft.storage.hard_state import VOTE_BYTES_MAX

PEERS, NOTE = "peers.json", "peers.info"
NOTE_TEXT = """\
If more than half of the servers are lost for good, the others can go on without them:
1. stop all servers, and keep copies of their data directories;
2. on one survivor run `yurt operator raft recover DATA_DIR -server ID=ADDRESS ...` with a -server for each survivor:
   it shows what it would do; with -yes it does it. Do the same on every other survivor;
3. start them.
In place of 2 a file peers.json may be put here, [{"id": "ID", "address": "HOST:PORT", "non_voter": false}, ...],
the same on every survivor: the next start does it and removes the file. ID is in node-id, two directories up.
"""
BYTES_MAX = 64 << 10
SERVERS_MAX = 64
ADDRESS_BYTES_MAX = 262  # a host name of 253, a port, brackets


class _Listed(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    address: str
    non_voter: bool = False


_decoder = msgspec.json.Decoder(list[_Listed])


def load_peers(path: Path) -> bytes:
    """Return the bytes of the file; raises `DirectoryRefused` unless only this user (or root) could have written it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise DirectoryRefused(
            f"{path} cannot be read: {error.strerror}. It must be a regular file, no link"
        ) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise DirectoryRefused(f"{path} is no regular file; remove it")
        if status.st_uid not in (os.geteuid(), 0) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise DirectoryRefused(
                f"{path} may have been written by others: mode {stat.S_IMODE(status.st_mode):04o}, user "
                f"{status.st_uid}. It decides who is a member: check it, chown it to the agent's user, chmod 0600"
            )
        text = os.read(descriptor, BYTES_MAX + 1)
    finally:
        os.close(descriptor)
    if len(text) > BYTES_MAX:
        raise DirectoryRefused(f"{path} has more than {BYTES_MAX} bytes: it is no list of servers")
    return text


def read_peers(text: bytes, known: Servers) -> Servers:
    """The configuration in a peers.json; raises `DirectoryRefused`. Names are taken from what is known."""
    names = {server[0]: server[2] for server in known}
    try:
        listed = _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DirectoryRefused(
            f"{PEERS} is not a list of id, address and non_voter: {error}. Nothing was changed; mend or remove the file"
        ) from error
    servers = [
        [server.id, server.address, names.get(server.id, server.id), *([LEARNER] if server.non_voter else [])]
        for server in listed
    ]
    check_servers(servers)
    return sorted(servers)


def check_servers(servers: Servers) -> None:
    """Raises `DirectoryRefused` unless they can be a configuration."""
    if len(servers) > SERVERS_MAX:
        raise DirectoryRefused(f"the new configuration has {len(servers)} servers, more than {SERVERS_MAX}")
    for server_id, address, *_ in servers:
        if not server_id.isprintable() or not 0 < len(server_id.encode()) <= VOTE_BYTES_MAX or " " in server_id:
            raise DirectoryRefused(
                f"a server of the new configuration needs an ID as in its node-id: {server_id[:80]!r}"
            )
        if not _is_address(address):
            raise DirectoryRefused(
                f"server {server_id} of the new configuration needs an address HOST:PORT: {address[:80]!r}"
            )
    if len({server[0] for server in servers}) != len(servers) or len({server[1] for server in servers}) != len(servers):
        raise DirectoryRefused("a server of the new configuration is named twice, by its ID or its address")
    if not any(len(server) == 3 for server in servers):
        raise DirectoryRefused("the new configuration has no voter")


def _is_address(address: str) -> bool:
    if len(address) > ADDRESS_BYTES_MAX or not address.isascii() or not address.isprintable() or " " in address:
        return False
    host, colon, port = address.rpartition(":")
    return bool(host and colon and port.isdigit() and 0 < int(port) < 1 << 16 and split_address(address)[0])
