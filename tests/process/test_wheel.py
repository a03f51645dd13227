"""The built distributions hold the tree, and a build that would leave a room out fails."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.wheel import BUILD, ROOT, build, clean_environment, copy_of_the_sources, run, wheel_environment

ROOMS = ("fsm", "scheduler", "server", "deploy")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def tree() -> set[str]:
    """The modules and pages of the rooms, as paths below the package."""
    ui = ROOT / "server/http/ui"
    return {
        path.relative_to(ROOT).as_posix()
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.is_file() and (path.suffix == ".py" or ui in path.parents) and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_each_file_of_the_rooms_and_nothing_of_the_tests(tmp_path: Path) -> None:
    held = set(zipfile.ZipFile(build("wheel", copy_of_the_sources(tmp_path / "source"), tmp_path)).namelist())
    assert "yurt/py.typed" in held
    assert {f"yurt/{name}" for name in tree()} <= held
    assert not [name for name in held if "tests" in name.split("/")]


def test_a_wheel_can_be_built_from_the_sdist(tmp_path: Path) -> None:
    sdist = build("sdist", copy_of_the_sources(tmp_path / "source"), tmp_path)
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    held = set(zipfile.ZipFile(build("wheel", unpacked, tmp_path / "again")).namelist())
    assert {f"yurt/{name}" for name in tree()} <= held


@pytest.mark.parametrize("kind", ["wheel", "sdist", "editable"])
@pytest.mark.parametrize("lost", ["no link", "a file in place of the link", "no room"])
def test_a_build_without_a_room_fails_with_a_sentence(tmp_path: Path, kind: str, lost: str) -> None:
    source = copy_of_the_sources(tmp_path / "source")
    link = source / "src/yurt/fsm"
    if lost == "no room":
        shutil.rmtree(source / "fsm")
    else:
        link.unlink()
    if lost == "a file in place of the link":
        link.write_text("../../fsm")  # how git writes a link with core.symlinks=false
    done = subprocess.run(
        [sys.executable, "-c", BUILD, kind, str(tmp_path)], cwd=source, env=clean_environment(), capture_output=True,
        text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode != 0
    assert "src/yurt/fsm" in done.stderr.splitlines()[-1]
    assert "core.symlinks" in done.stderr.splitlines()[-1]


def test_the_wheel_alone_tells_its_version_and_how_to_get_plots(tmp_path: Path) -> None:
    program = wheel_environment(tmp_path) / "bin/yurt"
    assert "Yurt v" in run(program, "version", cwd=tmp_path)
    run(program, "experiment", "run", "leader-kill", "-simulated", "-out", "results", cwd=tmp_path)
    report = (tmp_path / "results/report.html").read_text()
    assert "pip install" in report
    assert "yurt[experiments]" in report, "without matplotlib the report says how to get plots"
