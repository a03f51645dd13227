"""`exec`: a command in namespaces and a root of its own, as a user without rights (spec node-agent §11).

The root is the task's directory, with the machine's programs bound into it to be read only; other processes, mounts and
shared memory of the machine are out of sight. The network and, where there is no cgroup, resources are the machine's.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from yurt.fsm.structs.node import Driver as DriverInfo
from yurt.fsm.structs.times import to_rfc3339
from yurt.server.client import namespaces, seccomp
from yurt.server.client.cgroups import Cgroups
from yurt.server.client.drivers.base import ConfigError, DriverError, TaskStart
from yurt.server.client.drivers.config import decode_config
from yurt.server.client.drivers.raw_exec import FAILED, RawHandle, identity_of, launch, make_executable, recovered

log = logging.getLogger("client")

KEYS = {
    "command": "text", "args": "list", "work_dir": "text", "pid_mode": "text", "ipc_mode": "text", "cap_add": "list",
    "cap_drop": "list", "oom_score_adj": "int",
}  # fmt: skip
SHOWN = ("/bin", "/etc", "/lib", "/lib32", "/lib64", "/run/resolvconf", "/sbin", "/usr")
ELF_32 = b"\x7fELF\x01"
USER, PATH = "nobody", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PROBE_SECONDS = 10


def refusal() -> str:
    """Why tasks cannot be isolated here; empty if they can."""
    if os.geteuid() != 0:
        return "Driver must run as root"
    command = [sys.executable, "-I", "-S", namespaces.__file__, "probe"]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"isolation cannot be tried: {error}"
    return "" if ended.returncode == 0 else f"isolation is not permitted here: {ended.stderr.strip()}"


def why_unfiltered() -> str:
    """Why the system calls of tasks cannot be filtered here; empty if they can."""
    try:
        ended = subprocess.run(
            [sys.executable, "-I", "-S", seccomp.__file__], capture_output=True, text=True, timeout=PROBE_SECONDS,
            check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"the filter cannot be tried: {error}"
    return "" if ended.returncode == 0 else ended.stderr.strip() or "the filter was not taken"


class ExecDriver:
    """The driver. `shown` (machine → inside) are the files that tasks may read; with `tracing` they may trace."""

    name = "exec"
    default_user, makes_root = USER, True

    def __init__(
        self, *, shown: dict[str, str] | None = None, cgroups: Cgroups | None = None, tracing: bool = False
    ) -> None:
        self._cgroups = cgroups
        self._shown = shown or {path: path for path in SHOWN}
        self._refusal = refusal()
        unfiltered = "" if self._refusal else why_unfiltered()
        if unfiltered:
            log.warning("system calls of exec tasks are not filtered", extra={"reason": unfiltered})
        self._limits = {"filter": not unfiltered, "tracing": tracing}

    def fingerprint(self) -> DriverInfo:
        """There if the machine lets tasks be isolated."""
        there = not self._refusal
        return DriverInfo(
            attributes={"driver.exec": "true", "driver.exec.seccomp": "true" if self._limits["filter"] else "false"}
            if there
            else {},
            detected=there,
            healthy=there,
            health_description=self._refusal or "Healthy (own mount, PID and IPC namespaces; the machine's network)",
            update_time=to_rfc3339(time.time_ns()),
        )

    async def start(self, task: TaskStart) -> RawHandle:
        """Start the command in its root; raises `DriverError`."""
        config = decode_config(task.config, KEYS, ("command",))
        if self._refusal:
            raise DriverError(self._refusal)
        for name in ("pid_mode", "ipc_mode"):
            if config[name] not in ("", "private"):
                raise ConfigError(f'{name} must be "private", got "{config[name]}"')
        if config["cap_add"]:
            raise ConfigError("cap_add is not allowed: tasks of this driver have no capabilities")
        name = task.user or USER
        user = identity_of(name)
        if user is None or user["uid"] == 0:
            raise DriverError(f"running as {name} is disallowed: it has all rights")
        try:
            _own(task.directory, user)
        except OSError as error:
            raise DriverError(f"the task's directories are not what they were: {error}") from error
        shared = task.directory.parent / "alloc"
        return await launch(
            task,
            {
                "command": self._found(config["command"], task.directory),
                "args": config["args"],
                "env": self._environment(task, shared),
                "directory": config["work_dir"] or "/",
                "user": {**user, **self._limits},
                "oom_score_adj": config["oom_score_adj"],
                "isolation": {"root": str(task.directory), "shown": self._shown, "shared": str(shared), **self._limits},
            },
            self._cgroups,
        )

    def _environment(self, task: TaskStart, shared: Path) -> dict[str, str]:
        """Paths as they are inside; nothing of the agent's own variables."""
        inside = {str(shared): "/alloc", str(task.directory): ""}
        found = {}
        for name, value in task.env.items():
            if name in task.inherited:
                continue
            for outside, short in inside.items():
                value = value.replace(outside, short)
            found[name] = value
        return {"PATH": PATH, "HOME": "/local", **found}

    def _found(self, name: str, directory: Path) -> str:
        """The command's path inside."""
        for own in (f"local/{name}", name):
            path = directory / own
            if not name.startswith("/") and path.is_file():
                make_executable(path)
                self._check_program(name, path)
                return f"/{own}"
        candidates = [name] if name.startswith("/") else [f"{one}/{name}" for one in PATH.split(":")]
        for candidate in candidates:
            for file in (directory / candidate.lstrip("/"), self._shown_at(candidate)):
                if file is not None and file.is_file():
                    self._check_program(name, file)
                    return candidate
        raise DriverError(f'{FAILED}binary "{name}" could not be found')

    def _shown_at(self, path: str) -> Path | None:
        """Where a file that tasks see lies on the machine."""
        for outside, inside in self._shown.items():
            if path.startswith(f"{inside.rstrip('/')}/"):
                return Path(outside.rstrip("/") + path[len(inside.rstrip("/")) :])
        return None

    def _check_program(self, name: str, path: Path) -> None:
        """Refuse a program that the filter would end at its first system call; raises `DriverError`."""
        if self._limits["filter"] and _head(path) == ELF_32:
            raise DriverError(f"{FAILED}{name} is a 32-bit program, which the filter of system calls does not let run")

    def beside(self, task: TaskStart, saved: dict[str, Any]) -> TaskStart:
        """In the task's namespaces, as its user."""
        env = self._environment(task, task.directory.parent / "alloc")
        return replace(task, env=env, inside=(saved["pid"], saved["user"]))

    async def recover(self, saved: dict[str, Any]) -> RawHandle | None:
        """The task that an earlier agent started, if it can be found."""
        return await recovered(saved)


def _head(path: Path) -> bytes:
    """The first bytes of a file, as many as tell a 32-bit program; none of what cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, len(ELF_32))
    except OSError:  # a pipe
        return b""
    finally:
        os.close(fd)


def _own(directory: Path, user: dict[str, Any]) -> None:
    """The task's own directories belong to its user; the root, into which things are bound, does not."""
    for name, mode in (("", 0o750), ("local", 0o700), ("secrets", 0o700), ("private", 0o700), ("tmp", 0o1777)):
        fd = os.open(directory / name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fchown(fd, user["uid"] if name else os.geteuid(), user["gid"])
            os.fchmod(fd, mode)
        finally:
            os.close(fd)
