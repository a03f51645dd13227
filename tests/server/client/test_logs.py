"""Log files: written in turns, read as one (spec node-agent §15)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.server.client.test_runners import asynchronous
from yurt.server.client.allocdir import AllocDir
from yurt.server.client.log_reader import LogReader
from yurt.server.client.rotating_log import RotatingLog


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_files_in_turn_and_the_oldest_goes(tmp_path: Path) -> None:
    log = RotatingLog(str(tmp_path), "t.stdout", 2, 10)
    for number in range(5):
        log.write(b"%d line 89\n" % number)
    log.close()
    assert names(tmp_path) == ["t.stdout.3", "t.stdout.4"]
    assert (tmp_path / "t.stdout.4").read_bytes() == b"4 line 89\n"


def test_lines_are_kept_whole(tmp_path: Path) -> None:
    log = RotatingLog(str(tmp_path), "t.stdout", 10, 16)
    log.write(b"aaaa\nbbbb\ncccc\ndddd\n")
    log.close()
    assert [(tmp_path / name).read_bytes() for name in names(tmp_path)] == [b"aaaa\nbbbb\ncccc\n", b"dddd\n"]


def test_writing_goes_on_in_the_newest_file(tmp_path: Path) -> None:
    for text in (b"one\n", b"two\n"):
        log = RotatingLog(str(tmp_path), "t.stdout", 3, 100)
        log.write(text)
        log.close()
    assert (tmp_path / "t.stdout.0").read_bytes() == b"one\ntwo\n"


def _put(directory: Path, kind: str, name: str) -> None:
    """What a task may put in the place of a log."""
    path, victim = directory / name, directory / "victim"
    victim.write_text("kept")
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(victim)
    elif kind == "hard link":
        path.hardlink_to(victim)
    else:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(path))


@pytest.mark.parametrize("kind", ["fifo", "directory", "link", "hard link", "socket"])
def test_s15_what_is_no_regular_file_is_passed_over_and_nothing_waits_for_it(tmp_path: Path, kind: str) -> None:
    _put(tmp_path, kind, "t.stdout.0")
    log = RotatingLog(str(tmp_path), "t.stdout", 3, 4)
    log.write(b"one\n")
    _put(tmp_path, kind, "t.stdout.2")
    log.write(b"two\n")
    log.close()
    assert (tmp_path / "t.stdout.1").read_bytes() == b"one\n" and (tmp_path / "t.stdout.3").read_bytes() == b"two\n"
    assert (tmp_path / "victim").read_text() == "kept"


def test_s15_output_is_lost_where_no_log_can_be_opened_and_comes_back(tmp_path: Path) -> None:
    log = RotatingLog(str(tmp_path), "t.stdout", 3, 4)
    log.write(b"one\n")
    for number in range(1, 40):
        os.mkfifo(tmp_path / f"t.stdout.{number}")
    log.write(b"two\n")
    (tmp_path / "t.stdout.1").unlink()
    log.write(b"six\n")
    log.close()
    assert (tmp_path / "t.stdout.1").read_bytes() == b"six\n"
    for number in range(200):
        with contextlib.suppress(FileExistsError):
            os.mkfifo(tmp_path / f"t.stdout.{number}")
    again = RotatingLog(str(tmp_path), "t.stdout", 3, 4)
    again.write(b"ten\n")
    again.close()
    assert (tmp_path / "t.stdout.200").read_bytes() == b"ten\n"


@pytest.mark.parametrize("number", ["²", "9" * 200, "-1"])
def test_s15_names_that_are_no_numbers_are_no_logs(tmp_path: Path, number: str) -> None:
    (tmp_path / f"t.stdout.{number}").write_text("x")
    log = RotatingLog(str(tmp_path), "t.stdout", 3, 100)
    log.write(b"one\n")
    log.close()
    assert (tmp_path / "t.stdout.0").read_bytes() == b"one\n"


@given(st.lists(st.binary(max_size=60), max_size=20), st.integers(1, 50))
def test_nothing_is_lost_while_there_is_room(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], size: int
) -> None:
    directory = tmp_path_factory.mktemp("logs")
    log = RotatingLog(str(directory), "x", 10_000, size)
    for piece in pieces:
        log.write(piece)
    log.close()
    ordered = sorted(directory.iterdir(), key=lambda path: int(path.name.rpartition(".")[2]))
    assert b"".join(path.read_bytes() for path in ordered) == b"".join(pieces)
    assert all(path.stat().st_size <= size for path in ordered)


class Read:
    """A directory with three log files of a task, and what is read of them."""

    def __init__(self, tmp_path: Path) -> None:
        self.directory = AllocDir(tmp_path, "id")
        self.directory.build()
        self.ended = True
        for number, text in ((3, b"aaa\n"), (4, b"bbb\n"), (5, b"ccc\n")):
            (self.directory.logs / f"t.stdout.{number}").write_bytes(text)
        (self.directory.logs / "t.stdout.x").write_bytes(b"not a log")

    async def all(self, offset: int = 0, *, from_end: bool = False, on: bool = False) -> bytes:
        reader = LogReader(self.directory, "t", "stdout", lambda: self.ended)
        return b"".join([one.data async for one in reader.frames(offset, from_end=from_end, on=on) if one is not None])


@pytest.mark.parametrize(
    ("offset", "from_end", "wanted"),
    [
        (0, False, b"aaa\nbbb\nccc\n"), (5, False, b"bb\nccc\n"), (8, False, b"ccc\n"), (99, False, b""),
        (0, True, b"ccc\n"), (2, True, b"c\n"), (6, True, b"b\nccc\n"), (99, True, b"aaa\nbbb\nccc\n"),
    ],
)  # fmt: skip
@asynchronous
async def test_where_reading_begins(tmp_path: Path, offset: int, from_end: bool, wanted: bytes) -> None:
    assert await Read(tmp_path).all(offset, from_end=from_end) == wanted


@asynchronous
async def test_following_over_new_files_until_the_end(tmp_path: Path) -> None:
    read = Read(tmp_path)
    read.ended = False
    following = asyncio.ensure_future(read.all(8, on=True))
    await asyncio.sleep(0.05)
    with (read.directory.logs / "t.stdout.5").open("ab") as file:
        file.write(b"more\n")
    (read.directory.logs / "t.stdout.6").write_bytes(b"ddd\n")
    await asyncio.sleep(0.05)
    read.ended = True
    async with asyncio.timeout(5):
        assert await following == b"ccc\nmore\nddd\n"


@asynchronous
async def test_a_frame_says_where_it_ends(tmp_path: Path) -> None:
    reader = LogReader(Read(tmp_path).directory, "t", "stdout", lambda: True)
    frames = [one async for one in reader.frames(0, from_end=False, on=False) if one is not None]
    assert [(one.file, one.offset) for one in frames] == [(f"alloc/logs/t.stdout.{n}", 4) for n in (3, 4, 5)]
    assert frames[0].json() == b'{"Data":"YWFhCg==","File":"alloc/logs/t.stdout.3","Offset":4}'


@asynchronous
async def test_a_task_without_logs(tmp_path: Path) -> None:
    directory = AllocDir(tmp_path, "none")
    reader = LogReader(directory, "t", "stdout", lambda: True)
    assert [one async for one in reader.frames(0, from_end=False, on=True)] == []


@asynchronous
async def test_s15_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    read = Read(tmp_path)
    os.mkfifo(read.directory.logs / "t.stdout.6")
    (read.directory.logs / "t.stdout.²").write_bytes(b"x")
    (read.directory.logs / "t.stdout.7").symlink_to("/etc/passwd")
    async with asyncio.timeout(5):
        assert await read.all() == b"aaa\nbbb\nccc\n"
