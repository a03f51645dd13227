"""Faults of disk and clock that an agent makes when YURT_FAULTS asks for them, and not otherwise."""

from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path

import pytest

from yurt.server.platform.faults import VARIABLE, FaultyDisk, disk_of, faults_asked_for
from yurt.server.raft.storage.disk import RealDisk


def test_without_the_variable_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert faults_asked_for() is None
    assert type(disk_of(None, sync=True, observe=lambda _: None)) is RealDisk


def test_what_the_file_says_happens_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "faults.json"
    monkeypatch.setenv(VARIABLE, str(file))
    faults = faults_asked_for()
    assert faults is not None
    disk = disk_of(faults, sync=True, observe=lambda _: None)
    assert isinstance(disk, FaultyDisk)

    def say(**told: object) -> None:
        partial = tmp_path / "part"
        partial.write_text(json.dumps(told))
        os.replace(partial, file)

    data = str(tmp_path / "data")
    kept = disk.create(data)  # no file of faults yet
    say(full=True, sync_seconds=0.05, clock_seconds=-3600)
    kept.write(0, b"what has room is written")
    started = time.monotonic()
    kept.sync()
    assert time.monotonic() - started >= 0.05
    with pytest.raises(OSError, match="No space") as refused:
        disk.create(str(tmp_path / "new"))
    assert refused.value.errno == errno.ENOSPC
    with pytest.raises(OSError, match="No space"):
        kept.preallocate(1 << 20)
    assert abs(faults.now_ns() - time.time_ns() + 3600 * 10**9) < 10**9
    say()
    disk.create(str(tmp_path / "new")).close()
    assert abs(faults.now_ns() - time.time_ns()) < 10**9
    kept.close()
    assert disk.read(data) == b"what has room is written"


@pytest.mark.parametrize("text", ["", "[]", '{"sync_seconds": "long"}'])
def test_a_file_that_makes_no_sense_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (tmp_path / "faults.json").write_text(text)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "faults.json"))
    faults = faults_asked_for()
    assert faults is not None and (faults.look().sync_seconds, faults.is_full, faults.clock_seconds) == (
        0.0,
        False,
        0.0,
    )
