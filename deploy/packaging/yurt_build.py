"""The build backend: setuptools, which refuses to build a distribution that lacks a room of the package.

`src/yurt/` holds links to the rooms at the top of the tree. A checkout or an archive without links gives setuptools a
package of nine files, and it would build that without a word.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from setuptools import build_meta

ROOMS = ("fsm", "scheduler", "server", "deploy")

get_requires_for_build_wheel = build_meta.get_requires_for_build_wheel
get_requires_for_build_sdist = build_meta.get_requires_for_build_sdist
get_requires_for_build_editable = build_meta.get_requires_for_build_editable
prepare_metadata_for_build_wheel = build_meta.prepare_metadata_for_build_wheel
prepare_metadata_for_build_editable = build_meta.prepare_metadata_for_build_editable


def require_rooms(package: Path) -> None:
    """Raise SystemExit, with what to do, if `package` lacks one of the rooms."""
    for room in ROOMS:
        if not (package / room / "__init__.py").is_file():
            raise SystemExit(
                f"src/yurt/{room} does not lead to the folder {room}/, so the package would lack it: check the sources "
                "out with links (git config core.symlinks true, then git checkout -- src), or unpack them with a tool "
                "that keeps links"
            )


def build_wheel(directory: str, settings: Any = None, metadata: str | None = None) -> str:
    """Build the wheel into `directory`; return its file name."""
    require_rooms(Path("src/yurt"))
    return str(build_meta.build_wheel(directory, settings, metadata))


def build_sdist(directory: str, settings: Any = None) -> str:
    """Build the source distribution into `directory`; return its file name."""
    require_rooms(Path("src/yurt"))
    return str(build_meta.build_sdist(directory, settings))


def build_editable(directory: str, settings: Any = None, metadata: str | None = None) -> str:
    """Build the wheel of an editable installation into `directory`; return its file name."""
    require_rooms(Path("src/yurt"))
    return str(build_meta.build_editable(directory, settings, metadata))
