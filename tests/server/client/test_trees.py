"""Trees are removed whole: however deep, whatever their rights, and nothing that a link leads to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from yurt.server.client import trees
from yurt.server.client.allocdir import AllocDir

DEPTH, NAME = 3000, "d" * 60  # a path of 180 kB, which no system call takes


def deepen(top: Path, depth: int = DEPTH) -> None:
    """Make a chain of directories as a task does, one in the other, with a file at its end."""
    fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(depth):
        os.mkdir(NAME, dir_fd=fd)
        below = os.open(NAME, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)


def test_a_chain_of_thousands_of_directories_is_removed(tmp_path: Path) -> None:
    directory = AllocDir(tmp_path, "a")
    directory.build()
    deepen(directory.build_task("t", None).local)
    directory.destroy()
    assert os.listdir(tmp_path) == []


def test_a_removal_holds_a_handful_of_descriptors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = tmp_path / "top"
    top.mkdir()
    deepen(top, 100)
    held, real = [], os.rmdir

    def rmdir(name: str, *, dir_fd: int | None = None) -> None:
        held.append(len(os.listdir("/proc/self/fd")))
        real(name, dir_fd=dir_fd)

    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(os, "rmdir", rmdir)
    assert trees.remove(top)
    assert max(held) - before <= 6 and len(os.listdir("/proc/self/fd")) == before


def test_a_wide_directory_is_removed(tmp_path: Path) -> None:
    (tmp_path / "top").mkdir()
    for number in range(2 * trees.LISTED_MAX + 1):
        (tmp_path / f"top/{number}").touch()
        if number % 100 == 0:
            (tmp_path / f"top/d{number}/below").mkdir(parents=True)
    assert trees.remove(tmp_path / "top") and os.listdir(tmp_path) == []


def test_what_links_lead_to_stays(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").write_text("kept")
    (tmp_path / "top/a/b").mkdir(parents=True)
    for link in ("top/link", "top/a/link", "top/a/b/link"):
        (tmp_path / link).symlink_to(tmp_path / "outside")
    assert trees.remove(tmp_path / "top")
    assert not (tmp_path / "top").exists() and (tmp_path / "outside/file").read_text() == "kept"
    (tmp_path / "top").symlink_to(tmp_path / "outside")
    assert not trees.remove(tmp_path / "top")
    assert (tmp_path / "outside/file").read_text() == "kept"


def test_directories_without_rights_are_removed_by_their_owner(tmp_path: Path) -> None:
    for name in ("a/b/c", "d"):
        (tmp_path / "top" / name).mkdir(parents=True)
        (tmp_path / "top" / name / "file").write_text("")
    as_root = os.geteuid() == 0
    if as_root:
        for parent in tmp_path.parents:
            if parent.stat().st_mode & 0o001 == 0:
                parent.chmod(0o711)
        for found in (tmp_path, *tmp_path.rglob("*")):
            os.chown(found, 65534, 65534)
    for name in ("top/a/b/c", "top/a/b", "top/a", "top/d", "top"):
        (tmp_path / name).chmod(0)
    child = os.fork()
    if child == 0:
        if as_root:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        os._exit(0 if trees.remove(tmp_path / "top") else 1)
    assert os.waitpid(child, 0)[1] == 0 and os.listdir(tmp_path) == []


def test_what_cannot_be_removed_stays_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b/c", "d"):
        (tmp_path / "top" / name).mkdir(parents=True)
        for file in ("1", "2"):
            (tmp_path / "top" / name / file).write_text("")
    real = os.unlink

    def unlink(name: str, *, dir_fd: int | None = None) -> None:
        if (os.fstat(dir_fd).st_ino, name) == (held, "1"):
            raise PermissionError(1, "Operation not permitted")
        real(name, dir_fd=dir_fd)

    held = (tmp_path / "top/b/c").stat().st_ino
    monkeypatch.setattr(os, "unlink", unlink)
    assert not trees.remove(tmp_path / "top")
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        "top", "top/b", "top/b/c", "top/b/c/1",
    ]  # fmt: skip
    monkeypatch.undo()
    assert trees.remove(tmp_path / "top") and trees.remove(tmp_path / "top"), "nothing is there"


def test_a_directory_that_is_moved_away_leads_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever moves a directory out while it is emptied gets nothing removed beside it."""
    (tmp_path / "top/a/b").mkdir(parents=True)
    (tmp_path / "top/a/b/file").write_text("")
    (tmp_path / "outside/b").mkdir(parents=True)
    (tmp_path / "outside/kept").write_text("kept")
    real = os.unlink

    def unlink(name: str, *, dir_fd: int | None = None) -> None:
        (tmp_path / "top/a/b").rename(tmp_path / "outside/moved")
        real(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", unlink)
    trees.remove(tmp_path / "top")
    assert sorted(os.listdir(tmp_path / "outside")) == ["b", "kept", "moved"]
