"""Data directories of every format version keep opening, and are as they were."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.server.raft.data_directory import Opened, make, register
from yurt.server.raft.storage.disk import RealDisk
from yurt.server.raft.storage.inspect import Examination

FORMATS = Path(__file__).parent / "formats"


async def _lives(path: str) -> dict[str, Any]:
    server = Opened(path)
    await server.start()
    found = server.found()
    await server.answered(server.engine.propose, register(1000))
    server.engine.stop()
    await server.engine.runtime.close()
    return found


@pytest.mark.parametrize("version", sorted(path.name for path in FORMATS.iterdir()))
def test_an_old_directory_opens(version: str, tmp_path: Path) -> None:
    path = tmp_path / "data"
    shutil.copytree(FORMATS / version, path)
    expected = json.loads((path / "found.json").read_text())
    looked = Examination(RealDisk(), f"{path}/server/raft").run()
    assert looked.damage == []
    assert looked.configuration == expected["configuration"]
    found = asyncio.run(_lives(str(path)))
    assert found == expected
    again = asyncio.run(_lives(str(path)))
    assert again["index"] == expected["index"] + 1


def test_the_present_format_is_among_them(tmp_path: Path) -> None:
    asyncio.run(make(str(tmp_path)))
    made = json.loads((tmp_path / "found.json").read_text())
    assert asyncio.run(_lives(str(tmp_path))) == made
    assert (tmp_path / "server/version").read_text() == (FORMATS / max(_versions()) / "server/version").read_text()


def _versions() -> list[str]:
    return [path.name for path in FORMATS.iterdir()]
