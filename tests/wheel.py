"""The built wheel, and a virtual environment that holds nothing but it and what it needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
NOT_SOURCES = (".git", ".venv*", "__pycache__", "*.egg-info", "build", "dist", ".*_cache", "yurt-data")
INSTALL_SECONDS_MAX = 300.0
BUILD = """
import sys, tomllib
from importlib import import_module
from pathlib import Path

kind, target = sys.argv[1:]
system = tomllib.loads(Path("pyproject.toml").read_text())["build-system"]
sys.path[:0] = [str(Path(path).resolve()) for path in system.get("backend-path", ())]
sys.argv[1:] = []  # setuptools would read them
print(getattr(import_module(system["build-backend"]), f"build_{kind}")(target))
"""


def clean_environment() -> dict[str, str]:
    """Return the environment of a reader's shell: without this test run's own Python settings."""
    foreign = ("PYTHON", "PYTEST", "VIRTUAL_", "YURT_", "NOMAD_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


def run(*command: str | Path, cwd: Path, seconds: float = INSTALL_SECONDS_MAX) -> str:
    """Run a command to its end and return its output; fail the test with all it wrote if its exit code is not 0."""
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=clean_environment(), capture_output=True, text=True,
        timeout=seconds,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def copy_of_the_sources(target: Path) -> Path:
    """Copy what a checkout holds, links included."""
    shutil.copytree(ROOT, target, symlinks=True, ignore=shutil.ignore_patterns(*NOT_SOURCES))
    return target


def build(kind: str, source: Path, target: Path) -> Path:
    """Build the `wheel` or `sdist` of `source` into `target` with the build backend it names."""
    target.mkdir(parents=True, exist_ok=True)
    return target / run(sys.executable, "-c", BUILD, kind, target, cwd=source).splitlines()[-1]


def wheel_environment(directory: Path, *packages: str, extras: str = "") -> Path:
    """Build the wheel, install it with `extras` and further `packages`, and return the environment's directory."""
    wheel = build("wheel", copy_of_the_sources(directory / "source"), directory / "dist")
    environment = directory / "venv"
    run(sys.executable, "-m", "venv", environment, cwd=directory)
    run(environment / "bin/python", "-m", "pip", "install", "-q", f"{wheel}{extras}", *packages, cwd=directory)
    return environment
