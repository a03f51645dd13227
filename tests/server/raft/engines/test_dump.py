"""A dump of the library holds its own part, the members and the state."""

from __future__ import annotations

from pathlib import Path

from pysyncobj.node import TCPNode

from yurt.fsm.commands import RegisterJob, encode
from yurt.fsm.machine import Machine
from yurt.fsm.structs.job import Job
from yurt.server.raft.engines.pysyncobj.dump import read_dump, write_dump


def test_a_dump_gives_back_what_was_written(tmp_path: Path) -> None:
    machine, other = Machine(), Machine()
    machine.apply(encode(RegisterJob(now_ns=5, job=Job(id="web", name="web"), eval_id="e1")))
    nodes = {TCPNode("127.0.0.1:1"), TCPNode("127.0.0.1:2")}
    internal = ((b"\x00new", 9, 3), (b"\x00old", 8, 2), nodes)
    rows = [["a", "h:1", "one", "h:11"]]
    write_dump(tmp_path / "dump", internal, rows, machine)
    assert read_dump(tmp_path / "dump", other) == (internal, rows)
    assert other.index == machine.index and other.digest(b"") == machine.digest(b"")
