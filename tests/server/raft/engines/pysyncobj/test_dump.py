"""A dump of the library holds its own part, the members and the state."""

from __future__ import annotations

from pathlib import Path

import pytest
from pysyncobj.node import TCPNode

from yurt.fsm.commands import RegisterJob, encode
from yurt.fsm.machine import Machine
from yurt.fsm.structs.job import Job
from yurt.server.raft.engines.pysyncobj.dump import Internal, read_dump, write_dump
from yurt.server.raft.errors import Corrupt

INTERNAL: Internal = (b"\x00new", 9, 3), (b"\x00old", 8, 2), {TCPNode("127.0.0.1:1"), TCPNode("127.0.0.1:2")}
ROWS = [("a", "h:1", "one", "h:11")]


def written(file: Path) -> Machine:
    machine = Machine()
    machine.apply(encode(RegisterJob(now_ns=5, job=Job(id="web", name="web"), eval_id="e1")))
    write_dump(file, INTERNAL, ROWS, machine)
    return machine


def test_a_dump_gives_back_what_was_written(tmp_path: Path) -> None:
    machine, other = written(tmp_path / "dump"), Machine()
    assert read_dump(tmp_path / "dump", other) == (INTERNAL, ROWS)
    assert other.index == machine.index and other.digest(b"") == machine.digest(b"")


@pytest.mark.parametrize("length", [0, 1, 20, -1])
def test_a_dump_that_was_cut_off_is_damaged_and_changes_nothing(tmp_path: Path, length: int) -> None:
    written(tmp_path / "dump")
    (tmp_path / "dump").write_bytes((tmp_path / "dump").read_bytes()[:length])
    other = Machine()
    before = other.digest(b"")
    with pytest.raises(Corrupt, match=r"dump is damaged.*Nothing was changed"):
        read_dump(tmp_path / "dump", other)
    assert other.digest(b"") == before
