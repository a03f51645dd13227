"""Long work in a forked child: it sees the state as of the fork, and the parent's loop goes on meanwhile.

A child inherits what could harm: sockets (a peer would see no end of a killed parent), the lock of the data directory,
signal handlers that write into the parent's wake-up pipe. So it first closes every descriptor but its own, takes the
default signal handlers, dies with its parent, and collects no garbage (that would copy pages). It logs nothing and
leaves by `_exit`. Names are given and files are published by the parent alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gc
import os
import signal
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Protocol

from yurt.fsm.errors import YurtError

RESULT_BYTES_MAX = 1 << 20
NICE = 10
_PART, _DONE, _OS_ERROR, _REFUSED = b"P", b"D", b"E", b"R"
_FRAME = struct.Struct("<cQ")
Say = Callable[[bytes], None]
_WRITTEN = struct.Struct("<QI")
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)

# A child that runs nothing but what is here needs no other thread.
warnings.filterwarnings("ignore", message=r".*multi-threaded, use of fork\(\)", category=DeprecationWarning)


class Abandoned(YurtError):
    """The work was given up on purpose."""


class Failed(YurtError):
    """The work could not be done; the text says why."""


class Apart(Protocol):
    """Where long work is done; one at a time."""

    def run(self, work: Callable[[], bytes]) -> bytes:
        """Do it and return its result; raises `Abandoned`, `Failed` (also for any `YurtError` of the work), OSError."""

    def abandon(self) -> None:
        """Give up what is being done, if anything is; callable from another thread."""


class Forked:
    """Work in a child process; `run` blocks its own thread only."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._pid = 0
        self._abandoned = False

    def run(self, work: Callable[[], bytes]) -> bytes:
        """Fork, wait, return what the child says."""
        *_, last = self.parts(self.begin(lambda _say: work()), bytes_max=RESULT_BYTES_MAX)
        return last

    def begin(self, work: Callable[[Say], bytes], *, nice: int = NICE) -> int:
        """Fork now, in the calling thread: the child sees what it sees. Give what is returned to `parts`.

        The work may say parts of its result before it returns the last one.
        """
        reading, writing = os.pipe()
        parent = os.getpid()
        try:
            with self._guard:
                self._abandoned = False
                mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
                try:
                    self._pid = os.fork()
                    if self._pid == 0:
                        _live_as_child(work, writing, parent, nice)
                finally:
                    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        except OSError:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        return reading

    def parts(self, reading: int, *, bytes_max: int) -> Iterator[bytes]:
        """Yield the parts that the child sends, then its return value; raise as `Apart.run` does."""
        kind, payload = b"", b""
        with open(reading, "rb") as stream:
            while len(head := stream.read(_FRAME.size)) == _FRAME.size:
                kind, size = _FRAME.unpack(head)
                payload = stream.read(min(size, bytes_max))
                if len(payload) < size:
                    kind = b""
                    break
                if kind == _PART:
                    yield payload
        with self._guard:
            pid, self._pid = self._pid, 0
        _, status = os.waitpid(pid, 0)
        yield self._understood(kind, payload, status)

    def _understood(self, kind: bytes, rest: bytes, status: int) -> bytes:
        if status == 0 and kind == _DONE:
            return rest
        if kind == _OS_ERROR:
            code = int(rest)
            raise OSError(code, os.strerror(code))
        if kind == _REFUSED:
            raise Failed(rest.decode(errors="replace"))
        if self._abandoned:
            raise Abandoned("the work was given up")
        raise Failed(f"the process that did the work ended with status {os.waitstatus_to_exitcode(status)}")

    def abandon(self) -> None:
        """Kill the child."""
        with self._guard:
            if self._pid:
                self._abandoned = True
                os.kill(self._pid, signal.SIGKILL)


def _live_as_child(work: Callable[[Say], bytes], writing: int, parent: int, nice: int) -> None:
    code = 1
    try:
        gc.disable()
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            return  # it died before: nobody waits
        _close_all_but(writing)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.nice(nice)
        _say(writing, _DONE, work(partial(_say, writing, _PART)))
        code = 0
    except YurtError as error:
        _say(writing, _REFUSED, str(error).encode()[:RESULT_BYTES_MAX])
    except OSError as error:
        _say(writing, _OS_ERROR, b"%d" % (error.errno or errno.EIO))
    except BaseException as error:  # noqa: BLE001 (nothing of the parent's may run here)
        _say(writing, _REFUSED, f"{type(error).__name__}: {error}".encode()[:RESULT_BYTES_MAX])
    finally:
        os._exit(code)


def _close_all_but(kept: int) -> None:
    """The standard streams lead nowhere, so that no file of the work gets their numbers."""
    highest = max((int(name) for name in os.listdir("/proc/self/fd")), default=kept)
    os.closerange(0, kept)
    os.closerange(kept + 1, highest + 1)
    while (nowhere := os.open(os.devnull, os.O_RDWR)) < 2:
        pass
    if nowhere > 2:
        os.close(nowhere)


def _say(writing: int, kind: bytes, payload: bytes) -> None:
    with contextlib.suppress(OSError), open(writing, "wb", closefd=False) as stream:
        stream.write(_FRAME.pack(kind, len(payload)))
        stream.write(payload)


def write_file(path: str, chunks: Iterable[bytes], *, sync: bool = True) -> bytes:
    """Work for `Apart.run`: fill an existing file; its result is for `written`."""
    size = crc = 0
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        for chunk in chunks:
            view = memoryview(chunk)
            while view:
                view = view[os.write(descriptor, view) :]
            size += len(chunk)
            crc = zlib.crc32(chunk, crc)
        if sync:
            os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
    return _WRITTEN.pack(size, crc)


def written(result: bytes) -> tuple[int, int]:
    """The size and the CRC of what `write_file` wrote."""
    size, crc = _WRITTEN.unpack(result)
    return size, crc
