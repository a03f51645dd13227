"""The inside of an isolated task: namespaces, a root of its own, a first process that watches (spec node-agent §11).

Used by the supervisor and to join a running task (`python -I -S namespaces.py enter PID COMMAND…`); like the supervisor
it needs nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import importlib.util
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWPID = 0x20000, 0x8000000, 0x20000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = (
    1,
    2,
    4,
    8,
    32,
    4096,
    16384,
    1 << 18,
)
PR_SET_NO_NEW_PRIVS = 38
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
FORWARDED = (
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH,
    signal.SIGCONT, signal.SIGALRM,
)  # fmt: skip
_libc = ctypes.CDLL(None, use_errno=True)


def _beside(name: str) -> Any:
    """Load the module beside this one, found by its path: nothing is on the module path here."""
    where = os.path.join(os.path.dirname(os.path.abspath(__file__)), f"{name}.py")
    spec = importlib.util.spec_from_file_location(name, where)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_seccomp = _beside("seccomp")  # before anything is out of sight


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Leave namespaces; raises OSError where that is not permitted."""
    _check(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """mount(2); raises OSError."""
    texts = [one.encode() if one else None for one in (source, target, kind)]
    _check(_libc.mount(*texts, ctypes.c_ulong(flags), data.encode() or None), f"mount {target}")


def _bind(root: str, source: str, name: str, *, writable: bool) -> None:
    """Show a file or directory of the machine inside; nothing on the way may be a link. Raises OSError."""
    target = root
    for part in name.strip("/").split("/"):
        target = f"{target}/{part}"
        if os.path.islink(target):
            raise OSError(errno.ELOOP, f"{target} is a link")
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644))
    mount(source, target, "", MS_BIND | MS_REC)
    if not writable:
        mount("", target, "", MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_REC)


def build_root(root: str, shown: dict[str, str], shared: str) -> None:
    """Make the task's directory a root: the machine's files to read, the allocation's and its own to write."""
    mount("", "/", "", MS_REC | MS_PRIVATE)
    for source, target in shown.items():
        inside = f"{root}/{target.lstrip('/')}"
        if os.path.islink(source):
            if not os.path.lexists(inside):
                os.symlink(os.readlink(source), inside)
        elif os.path.exists(source):
            _bind(root, source, target, writable=False)
    _bind(root, shared, "alloc", writable=True)
    for name in DEVICES:
        _bind(root, f"/dev/{name}", f"dev/{name}", writable=True)
    if os.path.islink(f"{root}/proc"):
        raise OSError(errno.ELOOP, f"{root}/proc is a link")
    os.makedirs(f"{root}/proc", exist_ok=True)
    mount("proc", f"{root}/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    os.chroot(root)
    os.chdir("/")


def confine(isolation: dict[str, Any], become: Callable[[], NoReturn], release: Callable[[], None]) -> NoReturn:
    """In the first process of a new PID namespace: build the root, start the task, watch it, end as it ends.

    `become` turns the second process into the task; `release` closes what only that one needs. `isolation["filter"]`
    says whether system calls are filtered, `isolation["tracing"]` whether the task may trace. Raises OSError.
    """
    unshare(CLONE_NEWNS | CLONE_NEWIPC)
    build_root(isolation["root"], isolation["shown"], isolation["shared"])
    task = os.fork()
    if task == 0:
        try:
            _give_up(isolation)
        except OSError:
            os._exit(126)  # nothing runs that could gain rights
        become()
    release()
    for number in FORWARDED:
        signal.signal(number, lambda given, _frame: _send(task, given))
    while True:
        pid, status = os.wait()
        if pid == task:
            code = 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            os._exit(code)


def _give_up(what: dict[str, Any]) -> None:
    """Leave no way to more rights: no new privileges, an empty bounding set, a filter. Raises OSError."""
    _check(_libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl no_new_privs")
    _seccomp.empty_bounding_set()
    if what.get("filter"):
        _seccomp.install(tracing=bool(what.get("tracing")))


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def enter(pid: int, user: dict[str, Any], command: list[str]) -> NoReturn:
    """Run a command where a task runs: in its namespaces and its root, as its user. Raises OSError."""
    root = os.open(f"/proc/{pid}/root", os.O_RDONLY | os.O_DIRECTORY)
    for name, flag in (("ipc", CLONE_NEWIPC), ("pid", CLONE_NEWPID), ("mnt", CLONE_NEWNS)):
        fd = os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY)
        _check(_libc.setns(fd, flag), f"setns {name}")
        os.close(fd)
    os.fchdir(root)
    os.chroot(".")
    os.close(root)
    child = os.fork()
    if child == 0:
        try:
            _give_up(user)
            os.setgroups(user["groups"])
            os.setgid(user["gid"])
            os.setuid(user["uid"])
            os.execvp(command[0], command)  # noqa: S606 (this is what it is for)
        except OSError as error:
            os.write(2, f"{command[0]}: {error.strerror}\n".encode())
            os._exit(127)
    for number in FORWARDED:
        signal.signal(number, lambda given, _frame: _send(child, given))
    _, status = os.waitpid(child, 0)
    os._exit(128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))


def probe() -> None:
    """Do what the start of a task does, as far as a machine may forbid it; raises OSError."""
    unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWPID)
    mount("", "/", "", MS_REC | MS_PRIVATE)
    _give_up({})


if __name__ == "__main__":
    import json

    try:
        if sys.argv[1] == "probe":
            probe()
        else:
            enter(int(sys.argv[2]), json.loads(sys.argv[3]), sys.argv[4:])
    except OSError as error:
        sys.exit(str(error))
