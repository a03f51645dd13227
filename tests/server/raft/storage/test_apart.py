"""Work in a forked child: its results and failures come back, and it holds nothing of the parent's."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from yurt.server.raft.errors import StorageFull
from yurt.server.raft.storage.apart import Abandoned, Failed, Forked, write_file, written
from yurt.server.raft.storage.disk import RealDisk
from yurt.server.raft.storage.snapshots import Snapshot, SnapshotStore


def refuse() -> bytes:
    raise Failed("no such thing")


def break_down() -> bytes:
    raise ZeroDivisionError("a bug")


def fill_up() -> bytes:
    raise OSError(errno.ENOSPC, "full")


def test_a_result_comes_back() -> None:
    kept = b"x" * 100_000
    assert Forked().run(lambda: kept + str(os.getpid()).encode()) != kept + str(os.getpid()).encode()


def test_failures_come_back_as_what_they_are() -> None:
    with pytest.raises(Failed, match="no such thing"):
        Forked().run(refuse)
    with pytest.raises(Failed, match="ZeroDivisionError: a bug"):
        Forked().run(break_down)
    with pytest.raises(OSError, match="No space") as caught:
        Forked().run(fill_up)
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(Failed, match="status -9"):
        Forked().run(lambda: os.kill(os.getpid(), signal.SIGKILL) or b"")  # type: ignore[func-returns-value]


def test_a_child_holds_no_descriptor_of_the_parents(tmp_path: Path) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    lock = os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR)

    def look() -> bytes:
        links = {name: os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if _open(name)}
        return repr(links).encode()

    def _open(name: str) -> bool:
        return os.path.lexists(f"/proc/self/fd/{name}")

    try:
        found = eval(Forked().run(look))
        kinds = sorted(one.split(":")[0] for one in found.values() if not one.startswith("/proc"))
        assert kinds == ["/dev/null", "/dev/null", "/dev/null", "pipe"], found
    finally:
        listening.close()
        os.close(lock)


def test_an_abandoned_child_is_gone_at_once() -> None:
    apart = Forked()
    started = time.monotonic()
    threading.Timer(0.1, apart.abandon).start()
    with pytest.raises(Abandoned):
        apart.run(lambda: time.sleep(30) or b"")  # type: ignore[func-returns-value]
    assert time.monotonic() - started < 5
    apart.abandon()  # nobody is there: nothing happens
    assert apart.run(lambda: b"again") == b"again"


PARENT = """
import os, sys, threading, time
from yurt.server.raft.storage.apart import Forked
def work():
    open(sys.argv[1], "w").write(str(os.getpid()))
    time.sleep(60)
    return b""
threading.Thread(target=lambda: Forked().run(work)).start()
time.sleep(60)
"""


def test_a_child_dies_with_its_parent(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(note)])
    try:
        deadline = time.monotonic() + 20
        while not note.exists() or not note.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        child = int(note.read_text())
    finally:
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 5
    while _runs(child):
        assert time.monotonic() < deadline, "the child outlives its parent"
        time.sleep(0.02)


def _runs(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().split(") ")[1][:1]
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_snapshot_is_written_apart(tmp_path: Path) -> None:
    store = SnapshotStore(RealDisk(), str(tmp_path / "snapshots"), b"c", apart=Forked())
    store.open()
    writer = store.begin(Snapshot(7, 1, [["a", "b", "c"]]))
    parent = os.getpid()
    writer.fill(lambda: iter([b"by another " if os.getpid() != parent else b"by the same ", b"process"]))
    assert writer.finish().index == 7
    newest = store.newest()
    assert newest is not None and b"".join(store.body(newest)) == b"by another process"


def test_a_full_disk_is_told_as_such(tmp_path: Path) -> None:
    store = SnapshotStore(RealDisk(), str(tmp_path), b"c", apart=Forked())
    store.open()
    writer = store.begin(Snapshot(7, 1, []))
    with pytest.raises(StorageFull):
        writer.fill(lambda: iter([fill_up()]))
    assert os.listdir(tmp_path) == []


def test_what_was_written_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    assert written(write_file(str(path), [b"123456789"])) == (9, 0xCBF43926)
