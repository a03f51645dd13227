"""Small files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from yurt.server.platform.atomic_file import write_whole


def test_a_file_is_its_owners_alone_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "node-id"
    for body in (b"first", b"second"):
        write_whole(path, body)
        assert path.read_bytes() == body and path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["node-id"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_what_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    path = tmp_path / "node-id"
    write_whole(path, b"old")

    def full(*_given: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os if step == "fsync" else Path, step, full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
