"""The built wheel in an environment without the checkout: the command, the page, and the example project's tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path) -> str:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "VIRTUAL_"))
    }
    done = subprocess.run(
        [str(one) for one in command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_wheel_alone_runs_the_example(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(
        ROOT,
        source,
        symlinks=True,
        ignore=shutil.ignore_patterns(".git", ".venv*", "__pycache__", "*.egg-info", "build"),
    )
    run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        ".",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        tmp_path / "dist",
        cwd=source,
    )
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    assert {"yurt/fsm/machine.py", "yurt/scheduler/place.py", "yurt/server/http/ui/index.html", "yurt/py.typed"} <= held
    assert not [name for name in held if name.startswith(("yurt/tests", "tests"))]
    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv/bin/python"
    run(python, "-m", "pip", "install", "-q", wheel, "pytest", cwd=tmp_path)
    assert "Yurt v" in run(tmp_path / "venv/bin/yurt", "version", cwd=tmp_path)
    shutil.copytree(ROOT / "docs/example", tmp_path / "example")
    assert str(tmp_path / "venv") in run(python, "-c", "import yurt; print(yurt.__file__)", cwd=tmp_path / "example")
    started = time.monotonic()
    told = run(python, "-m", "pytest", "-q", cwd=tmp_path / "example")
    assert "3 passed" in told
    print(f"the example took {time.monotonic() - started:.1f} s")
    experiment = (
        tmp_path / "venv/bin/yurt",
        "experiment",
        "run",
        "leader-kill",
        "-short",
        "-out",
        tmp_path / "experiment",
    )
    assert "clean" in run(*experiment, cwd=tmp_path)
    report = (tmp_path / "experiment/report.html").read_text()
    assert "pip install" in report and "yurt[experiments]" in report, "without matplotlib it says how to get plots"
