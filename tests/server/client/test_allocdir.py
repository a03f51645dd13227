"""Directories of allocations: nothing outside of them can be reached (spec node-agent §9, §16)."""

from __future__ import annotations

import errno
import os
import resource
import stat
import threading
from pathlib import Path

import pytest

from yurt.fsm.errors import Refusal
from yurt.server.client import files
from yurt.server.client.allocdir import AllocDir, Escapes, Inside
from yurt.server.client.unpack import PARTS_MAX

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives directories away")


@pytest.fixture
def made(tmp_path: Path) -> AllocDir:
    directory = AllocDir(tmp_path.resolve() / "allocs", "id")
    directory.build()
    task = directory.build_task("t", None)
    (task.local / "file").write_text("inside")
    (task.secrets / "key").write_text("secret")
    (tmp_path / "outside").write_text("outside")
    return directory


def modes_and_owners(made: AllocDir) -> dict[str, tuple[str, int, int]]:
    names = ("", "alloc", "alloc/data", "alloc/logs", "alloc/tmp", "t", "t/local", "t/secrets", "t/private", "t/tmp")
    found = {name: (made.path / name).stat() for name in names}
    return {name: (files.mode_text(one.st_mode), one.st_uid, one.st_gid) for name, one in found.items()}


def test_s11_strangers_pass_through_an_allocation_and_see_nothing_of_it(made: AllocDir) -> None:
    own = (os.geteuid(), os.getegid())
    shown = {name: (mode, (uid, gid)) for name, (mode, uid, gid) in modes_and_owners(made).items()}
    assert shown.pop("") == ("drwx--x--x", own) and shown.pop("t/tmp") == ("dtrwxrwxrwx", own)
    assert set(shown.values()) == {("drwx------", own)}


@needs_root
def test_s11_directories_belong_to_the_tasks_user(made: AllocDir) -> None:
    made.build([(1234, 5678), None])
    made.build_task("t", (1234, 5678))
    shown = modes_and_owners(made)
    assert shown.pop("") == ("drwx--x--x", 0, 0) and shown.pop("t/tmp") == ("dtrwxrwxrwx", 1234, 5678)
    assert set(shown.values()) == {("drwx------", 1234, 5678)}
    made.build_task("t", (1234, 5678), is_root=True)
    assert modes_and_owners(made)["t"] == ("drwxr-x---", 0, 5678), "a root that the task can read, not change"


def may(uid: int, path: Path, right: int) -> bool:
    """Whether a user may do something."""
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
        os._exit(0 if os.access(path, right) else 1)
    return os.waitpid(child, 0)[1] == 0


@needs_root
def test_s11_tasks_of_several_users_share_and_strangers_do_not(made: AllocDir) -> None:
    for parent in (made.path.parent, *made.path.parents):
        if parent.stat().st_mode & 0o001 == 0:
            parent.chmod(0o711)
        if parent.name.startswith("pytest-of"):
            break
    made.build([(1234, 1234), (1235, 1235)])
    for name in ("alloc", "alloc/data", "alloc/tmp", "alloc/logs"):
        rights = [may(uid, made.path / name, os.R_OK | os.W_OK | os.X_OK) for uid in (1234, 1235, 1236)]
        assert rights == [True, True, False], name
    made.build([(1234, 1234)])
    assert [may(uid, made.path / "alloc/data", os.W_OK) for uid in (1234, 1235, 1236)] == [True, False, False]


@pytest.mark.parametrize("name", ["", ".", "..", "alloc", "a/b", "../x", "a\0b"])
def test_a_task_s_name_leads_nowhere_else(made: AllocDir, name: str) -> None:
    with pytest.raises(Escapes):
        made.task(name)


@pytest.mark.parametrize("path", ["t/local/file", "/t/local/file", "t/../t/./local//file", "t/local/../local/file"])
def test_paths_inside(made: AllocDir, path: str) -> None:
    with Inside(made.path, path) as found:
        assert found.parts == ["t", "local", "file"] and found.status.st_size == 6


@pytest.mark.parametrize("path", ["..", "../outside", "t/../../outside", "/../..", "t/local/../../../../etc/passwd"])
def test_paths_that_lead_out(made: AllocDir, path: str) -> None:
    with pytest.raises(Escapes):
        Inside(made.path, path)


@pytest.mark.parametrize(
    ("target", "is_inside"),
    [
        ("file", True), ("../local/file", True), ("{root}/t/local/file", True), ("link2", True),
        ("/etc/passwd", False), ("../../../outside", False), ("../../../../outside", False), ("{root}x/file", False),
        ("{root}/../../outside", False), ("self", False),
    ],
)  # fmt: skip
def test_links_are_followed_inside_only(made: AllocDir, target: str, is_inside: bool) -> None:
    local = made.path / "t/local"
    (local / "link2").symlink_to("file")
    (local / "self").symlink_to("self")
    (local / "link").symlink_to(target.format(root=made.path))
    if is_inside:
        with Inside(made.path, "t/local/link") as found:
            assert found.parts == ["t", "local", "file"]
    else:
        with pytest.raises((Escapes, OSError)):
            Inside(made.path, "t/local/link")


def test_a_link_to_a_secret_is_a_secret(made: AllocDir) -> None:
    (made.path / "t/local/link").symlink_to("../secrets/key")
    for path in ("t/secrets/key", "t/local/link", "/t/local/../secrets/key"):
        with pytest.raises(Refusal, match="Reading secret file prohibited: t/secrets/key"):
            files.open_file(made, path)


def test_pipes_and_directories_are_not_read(made: AllocDir) -> None:
    os.mkfifo(made.path / "t/local/pipe")
    for path, text in (("t/local/pipe", "no regular file"), ("t/local", "is a directory"), ("", "must provide")):
        with pytest.raises(Refusal, match=text):
            files.open_file(made, path)


def test_a_directory_that_is_swapped_for_a_link_gives_nothing_away(made: AllocDir) -> None:
    """Whoever moves names while they are looked up gets an error at most."""
    local = made.path / "t/local"
    (local / "a").mkdir()
    (local / "a/outside").write_text("inside")
    ended = threading.Event()

    def swap() -> None:
        while not ended.is_set():
            (local / "a").rename(local / "b")
            (local / "a").symlink_to(made.path.parent.parent)
            (local / "a").unlink()
            (local / "b").rename(local / "a")

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for _ in range(3000):
            try:
                with Inside(made.path, "t/local/a/outside") as found:
                    fd = found.open()
            except (Escapes, OSError):
                continue
            try:
                assert os.read(fd, 100) == b"inside"
            finally:
                os.close(fd)
    finally:
        ended.set()
        swapper.join()


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"", "text/plain; charset=utf-8"), (b"text \xc3\xa9\n", "text/plain; charset=utf-8"),
        (b"\x00\x01", "application/octet-stream"), (b"\x89PNG\r\n\x1a\n\x00", "image/png"),
        (b"\x1f\x8b\x08\x00", "application/x-gzip"),
    ],
)  # fmt: skip
def test_content_types(head: bytes, kind: str) -> None:
    assert files.content_type(head) == kind


def test_a_task_cannot_have_the_agent_change_what_is_not_its_own(made: AllocDir, tmp_path: Path) -> None:
    """Directories that a task has replaced by links are not followed when it is prepared again."""
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o755)
    for name in ("secrets", "local"):
        directory = made.path / "t" / name
        for one in directory.iterdir():
            one.unlink()
        directory.rmdir()
        directory.symlink_to(victim)
        with pytest.raises(OSError):
            made.build_task("t", (12345, 12345))
        directory.unlink()
        directory.mkdir()
    assert (victim.stat().st_uid, stat.S_IMODE(victim.stat().st_mode)) == (os.getuid(), 0o755)


def test_files_are_put_in_place_of_links(made: AllocDir, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("kept")
    (made.path / "t/local/x").symlink_to(tmp_path / "victim")
    with Inside(made.path, "t/local/deep/er", make=True) as directory:
        directory.write("y", b"new", 0o640)
    with Inside(made.path, "t/local") as directory:
        directory.write("x", b"new", 0o640)
    assert (tmp_path / "victim").read_text() == "kept"
    for path in ("x", "deep/er/y"):
        found = made.path / "t/local" / path
        assert found.read_text() == "new" and not found.is_symlink() and stat.S_IMODE(found.stat().st_mode) == 0o640
    (made.path / "t/local/out").symlink_to(tmp_path)
    with pytest.raises(Escapes):
        Inside(made.path, "t/local/out/deep", make=True)
    assert not (tmp_path / "deep").exists()


def test_directories_merge_when_they_are_moved_in(made: AllocDir, tmp_path: Path) -> None:
    ready = tmp_path / "allocs/ready"
    (ready / "dir").mkdir(parents=True)
    (ready / "dir/new").write_text("new")
    (ready / "dir/file").write_text("changed")
    (made.path / "t/local/dir").mkdir()
    (made.path / "t/local/dir/old").write_text("old")
    (made.path / "t/local/dir/file").write_text("file")
    with Inside(made.path, "t/local") as directory:
        directory.take(ready / "dir")
    found = {path.name: path.read_text() for path in (made.path / "t/local/dir").iterdir()}
    assert found == {"new": "new", "file": "changed", "old": "old"}


def test_a_deep_directory_is_moved_in_with_few_descriptors(made: AllocDir, tmp_path: Path) -> None:
    ready, path = tmp_path / "allocs/ready", "/".join(f"d{number}" for number in range(PARTS_MAX - 1))
    (ready / path).mkdir(parents=True)
    (ready / path / "new").write_text("new")
    (made.path / "t/local/other").mkdir()
    (made.path / "t/local/d0").symlink_to("other")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_now = os.listdir("/proc/self/fd")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, open_now)) + 4 * PARTS_MAX, hard))
    try:
        with Inside(made.path, "t/local") as directory:
            directory.take(ready / "d0")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (made.path / "t/local/other" / path.removeprefix("d0/") / "new").read_text() == "new", "links lead on inside"
    assert len(os.listdir("/proc/self/fd")) == len(open_now)


def test_no_path_of_a_request_costs_more_than_a_bounded_number_of_descriptors(made: AllocDir) -> None:
    local = made.path / "t/local"
    (local / "/".join("a" * 300)).mkdir(parents=True)
    (local / "round").symlink_to("../local")
    with Inside(made.path, "t/local/" + "a/" * 200) as found:
        assert len(found.parts) == 202
    with Inside(made.path, "t/local/" + "a/../" * 300 + "round") as found:
        assert found.parts == ["t", "local"]
    open_now = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError) as caught:
        Inside(made.path, "t/local/" + "a/" * 300)
    assert caught.value.errno == errno.ENAMETOOLONG and len(os.listdir("/proc/self/fd")) == open_now
