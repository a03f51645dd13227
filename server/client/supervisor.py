"""The process beside each task: owns its pipes, logs and exit code, and outlives the agent (spec node-agent §12).

It is started as a script of its own (`python -I -S supervisor.py`) and needs nothing but the standard library, so that
it is light: what to run comes as JSON on stdin, and a line of JSON on stdout says what was started, or why nothing was.
From then on it stands alone: in a session of its own, adopted by init. When the task's process has ended it kills what
that one left behind, writes the exit file and ends. SIGTERM makes it kill all of the task at once.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import importlib.util
import json
import os
import selectors
import signal
import sys
import time
from typing import Any, NoReturn

READ_BYTES = 64 << 10
DRAIN_SECONDS = 1.0  # for output of processes that hold the pipe when the task has ended
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


# --- the process


def started_at(pid: int) -> int:
    """When a process began, in clock ticks since the machine did: with the PID it names a process for good.

    Raises OSError if there is none, or only what is left of it until its parent looks.
    """
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    if fields[0] in (b"Z", b"X"):
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
    return int(fields[19])


def write_whole(path: str, body: bytes) -> None:
    """Put a file in place in one step."""
    new = f"{path}.new"
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, body)
        os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(new, path)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _prepare(spec: dict[str, Any], streams: tuple[int, int]) -> None:
    """In the child: a session, streams and signals of its own."""
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(streams[0], 1)
    os.dup2(streams[1], 2)
    for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if spec.get("oom_score_adj"):
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(str(spec["oom_score_adj"]))
    for group in spec.get("cgroups") or ():
        with open(f"{group}/cgroup.procs", "w") as file:
            file.write("0")


def _execute(spec: dict[str, Any], report: int) -> NoReturn:
    """Become the task's command, or say why not."""
    try:
        if spec.get("user"):
            user = spec["user"]
            os.setgroups(user["groups"])
            os.setgid(user["gid"])
            os.setuid(user["uid"])
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # after the change of user, which clears it
        os.umask(0o022)
        os.chdir(spec["directory"])
        os.execve(spec["command"], [spec["command"], *spec["args"]], spec["env"])  # noqa: S606 (this is what it is for)
    except OSError as error:
        os.write(report, f"{error.errno} {error.strerror}".encode())
    os._exit(127)


def _become(spec: dict[str, Any], streams: tuple[int, int], report: int, parent: int) -> NoReturn:
    """In the child: become the task, or with isolation the first process of its namespaces."""
    try:
        _prepare(spec, streams)
        if not spec.get("isolation"):
            _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(137)
            _execute(spec, report)
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # the kernel then ends all of the namespace

        def release() -> None:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, 1)
            os.dup2(null, 2)
            for fd in (*streams, report):
                os.close(fd)

        _beside("namespaces").confine(spec["isolation"], lambda: _execute(spec, report), release)
    except OSError as error:
        os.write(report, f"{error.errno or 0} {error.strerror or error}".encode())
    except Exception as error:  # noqa: BLE001 (the border of a process: nothing may come back from here)
        os.write(report, f"0 {error}".encode())
    os._exit(127)


def _beside(name: str) -> Any:
    """Load the module beside this one, found by its path: nothing is on the module path here."""
    where = os.path.join(os.path.dirname(os.path.abspath(__file__)), f"{name}.py")
    spec = importlib.util.spec_from_file_location(name, where)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Supervisor:
    """Watches one task."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._spec = spec
        self._selector = selectors.DefaultSelector()
        self._logs: dict[int, Any] = {}  # a rotating log, or None if output is not kept
        self._pid = 0
        self._status: int | None = None

    def start(self) -> dict[str, Any]:
        """Fork and exec the task; what there is to tell of it. Raises OSError with the reason of a failed exec."""
        wake, self._waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.signal(signal.SIGTERM, self._kill_all)
        self._selector.register(wake, selectors.EVENT_READ)
        self._wake = wake
        out, err = (self._pipe(stream) for stream in ("stdout", "stderr"))
        report, told = os.pipe2(os.O_CLOEXEC)
        own = os.getpid()
        if self._spec.get("isolation"):
            namespaces = _beside("namespaces")
            namespaces.unshare(namespaces.CLONE_NEWPID)  # for the children; the first is the namespace's first process
        self._pid = os.fork()
        if self._pid == 0:
            _become(self._spec, (out, err), told, own)
        for fd in (out, err, told):
            os.close(fd)
        failure = os.read(report, 4096)
        os.close(report)
        if failure:
            os.waitpid(self._pid, 0)
            number, _, text = failure.decode().partition(" ")
            raise OSError(int(number), text)
        return {"pid": self._pid, "start": _start_of(self._pid), "supervisor": own, "supervisor_start": _start_of(own)}

    def _pipe(self, stream: str) -> int:
        reading, writing = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(reading, False)
        logs = self._spec.get("logs")
        self._logs[reading] = (
            _beside("rotating_log").RotatingLog(
                logs["directory"], f"{logs['task']}.{stream}", logs["files"], logs["bytes"]
            )
            if logs
            else None
        )
        self._selector.register(reading, selectors.EVENT_READ)
        return writing

    def run(self) -> None:
        """Until the task has ended and all that it left behind is gone."""
        deadline: float | None = None
        while self._status is None or (self._logs and time.monotonic() < (deadline or 0.0)):
            wait = None if deadline is None else max(0.0, deadline - time.monotonic())
            for key, _ in self._selector.select(wait):
                if key.fd == self._wake:
                    self._drain_wake()
                else:
                    self._pump(key.fd)
            self._reap()
            if self._status is not None and deadline is None:
                self._kill_left()
                deadline = time.monotonic() + DRAIN_SECONDS
        self._kill_left()
        code, number = _decoded(self._status)
        if self._spec.get("isolation") and 128 < code < 128 + signal.NSIG and not number:
            number = code - 128  # told so by the first process, which a signal cannot end
        write_whole(
            self._spec["exit_file"], json.dumps({"exit_code": code, "signal": number, "oom": self._oom()}).encode()
        )
        for group in self._groups:
            with contextlib.suppress(OSError):
                os.rmdir(group)

    def _drain_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake, 512):
                pass

    def _pump(self, fd: int) -> None:
        try:
            data = os.read(fd, READ_BYTES)
        except BlockingIOError:
            return
        log = self._logs[fd]
        if not data:
            self._selector.unregister(fd)
            os.close(fd)
            del self._logs[fd]
            if log is not None:
                log.close()
        elif log is not None:
            log.write(data)

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0] != 0:
                if ended[0] == self._pid:
                    self._status = ended[1]

    def _kill_all(self, _number: int, _frame: object) -> None:
        if self._status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)

    def _kill_left(self) -> None:
        """Kill all descendants: orphans come to us, so they show up sooner or later."""
        for group in self._groups:
            with contextlib.suppress(OSError), open(f"{group}/cgroup.kill", "r+") as file:
                file.write("1")
        for _ in range(100):
            children = descendants(os.getpid())
            if not children:
                return
            for pid in children:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)  # what was killed ends on its own; there is no one signal for the end of them all
            self._reap()

    def _oom(self) -> bool:
        """Whether the kernel ended it for its memory."""
        for group in self._groups:
            for name in ("memory.events", "memory.oom_control"):  # of the second and the first version
                try:
                    with open(f"{group}/{name}") as file:
                        counts = dict(line.split() for line in file)
                except (OSError, ValueError):
                    continue
                if int(counts.get("oom_kill", "0")) > 0:
                    return True
        return False

    @property
    def _groups(self) -> list[str]:
        """The cgroups of the task."""
        found: list[str] = self._spec.get("cgroups") or []
        return found


def _start_of(pid: int) -> int:
    try:
        return started_at(pid)
    except OSError:
        return 0


def descendants(parent: int) -> list[int]:
    """All descendants of a process."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(name))
    found: list[int] = []
    waiting = [parent]
    while waiting:
        for child in parents.get(waiting.pop(), ()):
            found.append(child)
            waiting.append(child)
    return found


def _decoded(status: int) -> tuple[int, int]:
    code = os.waitstatus_to_exitcode(status)
    return (128 - code, -code) if code < 0 else (code, 0)


def main() -> None:
    """Read what to run, leave the agent's process tree, run it."""
    spec = json.loads(sys.stdin.buffer.read())
    for fd in [int(name) for name in os.listdir("/proc/self/fd")]:
        if fd > 2:
            with contextlib.suppress(OSError):
                os.close(fd)  # what the agent's libraries let through
    if os.fork():
        os._exit(0)
    os.setsid()
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_IGN)
    os.chdir("/")
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    supervisor = Supervisor(spec)
    try:
        answer: dict[str, Any] = supervisor.start()
    except OSError as error:
        code = error.errno or 0
        answer = {"errno": code, "error": os.strerror(code) if code in errno.errorcode else str(error)}
    os.write(1, json.dumps(answer).encode() + b"\n")
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    if "pid" in answer:
        supervisor.run()


if __name__ == "__main__":
    main()
