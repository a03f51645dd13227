"""Apply histories read from standard input and answer with what came of them: `python -m tests.property.replay`.

Tests run it in other processes, with other hash seeds. A history and an answer are msgpack lists of byte strings.
"""

from __future__ import annotations

import os
import sys

import msgpack

from yurt.fsm.machine import Machine, Outcome


def snapshot_of(machine: Machine) -> bytes:
    """The whole state."""
    return b"".join(machine.write(machine.capture()))


def run(machine: Machine, payloads: list[bytes]) -> list[Outcome]:
    """What each command answers."""
    return [machine.apply(payload) for payload in payloads]


def main() -> None:
    """Answer until the input ends: the outcomes as texts, then the snapshot."""
    unpacker = msgpack.Unpacker()
    while received := os.read(sys.stdin.fileno(), 1 << 16):
        unpacker.feed(received)
        for payloads in unpacker:
            machine = Machine()
            outcomes = [str(outcome).encode() for outcome in run(machine, payloads)]
            sys.stdout.buffer.write(msgpack.packb([*outcomes, snapshot_of(machine)]))
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
