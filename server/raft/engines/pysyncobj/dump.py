"""A dump: the library's own part, the members and the state, framed by msgpack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgpack
import msgspec
from pysyncobj.node import TCPNode

from yurt.server.raft.consensus import StateMachine
from yurt.server.raft.engines.pysyncobj.members import WAY_OUT, Row
from yurt.server.raft.errors import Corrupt

CHUNK_BYTES_MAX = 64 << 20
Internal = tuple[Any, Any, Any]  # the entry last applied but one, the one before it, the nodes of the cluster


def write_dump(file: Path, internal: Internal, rows: list[Row], machine: StateMachine) -> None:
    """Write a dump; raises OSError. `rows` are the members'."""
    newest, before, nodes = internal
    packer = msgpack.Packer()
    with file.open("wb") as target:
        target.write(packer.pack([newest, before, sorted(node.id for node in nodes), rows]))
        for chunk in machine.write(machine.capture()):
            target.write(packer.pack(chunk))


def read_dump(file: Path, machine: StateMachine) -> tuple[Internal, list[Row]]:
    """Replace the machine's state by a dump's; the library's own part and the members' rows. `Corrupt`, OSError."""
    try:
        with file.open("rb") as source:
            unpacker = msgpack.Unpacker(source, max_bin_len=CHUNK_BYTES_MAX, max_buffer_size=CHUNK_BYTES_MAX)
            newest, before, nodes, rows = next(unpacker)
            members = msgspec.convert(rows, list[Row])
            internal = (tuple(newest), tuple(before), {TCPNode(node) for node in nodes})
            machine.swap(machine.load(iter(unpacker)))
    except OSError:
        raise
    except Exception as error:
        raise Corrupt(f"{file} is damaged: {error!r}. {WAY_OUT}") from error
    return internal, members
