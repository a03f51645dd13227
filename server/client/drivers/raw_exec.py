"""`raw_exec`: a command of this machine as a process of its own, without isolation (spec node-agent §11).

A supervisor stands beside each task (`client/supervisor.py`), so tasks live on when the agent ends; they are found
again by PID and the moment they began.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import grp
import json
import os
import pwd
import shutil
import signal
import stat
import sys
import time
from pathlib import Path
from typing import Any

from yurt.fsm.structs.node import Driver as DriverInfo
from yurt.fsm.structs.times import to_rfc3339
from yurt.server.client import supervisor
from yurt.server.client.cgroups import Cgroups
from yurt.server.client.drivers.base import DriverError, ExitResult, TaskStart, Usage
from yurt.server.client.drivers.config import decode_config

KEYS = {
    "command": "text", "args": "list", "work_dir": "text", "oom_score_adj": "int", "denied_envvars": "list",
    "cgroup_v2_override": "text", "cgroup_v1_override": "map",
}  # fmt: skip
START_SECONDS, EXIT_SECONDS = 20.0, 15.0
FAILED = "failed to launch command with executor: rpc error: code = Unknown desc = "


def signal_number(name: str) -> int:
    """The number of a signal's name; unknown ones are an interrupt."""
    try:
        return signal.Signals[name if name.startswith("SIG") else f"SIG{name}"].value
    except KeyError:
        return signal.SIGINT


def identity_of(user: str) -> dict[str, Any] | None:
    """uid, gid and groups of a user; None for the agent's own. Raises DriverError."""
    if not user:
        return None
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        text = f'failed driver config validation: failed to identify user "{user}": user: unknown user {user}'
        raise DriverError(text) from None
    if entry.pw_uid == os.geteuid():
        return None
    if os.geteuid() != 0:
        raise DriverError(f'cannot run as user "{user}": the agent does not run as root')
    groups = {entry.pw_gid, *(one.gr_gid for one in grp.getgrall() if user in one.gr_mem)}
    return {"uid": entry.pw_uid, "gid": entry.pw_gid, "groups": sorted(groups)}


def make_executable(path: Path) -> None:
    """Everybody may run it; a link is left as it is. Raises DriverError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        mode = os.fstat(fd).st_mode
        if stat.S_ISREG(mode):
            os.fchmod(fd, mode & 0o777 | 0o111)
    finally:
        os.close(fd)


def find_command(name: str, directory: Path, path: str) -> str:
    """The file to run: in the task's `local/`, in its directory, an absolute path, or on the agent's PATH."""
    for candidate in (directory / "local" / name, directory / name):
        if candidate.is_file() and not name.startswith("/"):
            make_executable(candidate)
            return str(candidate)
    if name.startswith("/"):
        if os.path.isfile(name):
            return name
    elif found := shutil.which(name, path=path):
        return found
    raise DriverError(f'{FAILED}binary "{name}" could not be found')


class RawHandle:
    """A process with its supervisor, started by this agent or an earlier one."""

    def __init__(self, saved: dict[str, Any], supervisor_fd: int) -> None:
        self._saved, self._supervisor = saved, supervisor_fd
        self._result: asyncio.Future[ExitResult] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(supervisor_fd, self._ended)

    def _ended(self) -> None:
        asyncio.get_running_loop().remove_reader(self._supervisor)
        os.close(self._supervisor)
        with contextlib.suppress(ChildProcessError):  # ours only if we are the first process of a container
            os.waitpid(self._saved["supervisor"], os.WNOHANG)
        if not self._result.done():
            self._result.set_result(_exit_result(Path(self._saved["exit_file"])))

    async def wait(self) -> ExitResult:
        """Until it ends."""
        return await asyncio.shield(self._result)

    async def stop(self, seconds: float, signal: str) -> None:
        """Signal, patience, force; the whole tree goes."""
        self._send(signal_number(signal))
        await asyncio.wait([self._result], timeout=seconds)
        if self._result.done():
            return
        self._send_supervisor(15)
        await asyncio.wait([self._result], timeout=EXIT_SECONDS)
        if not self._result.done():
            raise DriverError("the task did not end after it was killed")

    def signal(self, name: str) -> None:
        """To the task's first process."""
        if self._result.done():
            raise DriverError("Task not running")
        self._send(signal_number(name))

    def _send(self, number: int) -> None:
        _signal(self._saved["pid"], self._saved["start"], number)

    def _send_supervisor(self, number: int) -> None:
        _signal(self._saved["supervisor"], self._saved["supervisor_start"], number)

    def usage(self) -> Usage | None:
        """Return the usage of the task and all its descendants."""
        if self._result.done():
            return None
        return usage_of(supervisor.descendants(self._saved["supervisor"]))

    def saved(self) -> dict[str, Any]:
        """PIDs, when they began, and where the exit code will be."""
        return self._saved


def _signal(pid: int, start: int, number: int) -> None:
    """Send to that process, never to another one that got its number."""
    with contextlib.suppress(OSError):
        fd = os.pidfd_open(pid)
        try:
            if supervisor.started_at(pid) == start:
                signal.pidfd_send_signal(fd, number)
        finally:
            os.close(fd)


def usage_of(pids: list[int]) -> Usage | None:
    """Summed over processes; those that are gone count for nothing."""
    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    user = system = resident = 0
    seen = []
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue
        seen.append(pid)
        user, system, resident = user + int(fields[11]), system + int(fields[12]), resident + int(fields[21])
    return Usage(user / ticks, system / ticks, resident * page, tuple(seen)) if seen else None


def _exit_result(path: Path) -> ExitResult:
    try:
        told = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return ExitResult(exit_code=137, signal=9, error="the task's supervisor was killed, and the task with it")
    return ExitResult(told["exit_code"], told["signal"], oom_killed=bool(told.get("oom")))


async def launch(task: TaskStart, spec: dict[str, Any], cgroups: Cgroups | None) -> RawHandle:
    """Start what the spec says under a supervisor; raises `DriverError`."""
    name = task.id.replace("/", ".")
    memory, cpu = task.memory_bytes, task.cpu_shares
    groups = cgroups.make(name, memory_bytes=memory, cpu_shares=cpu) if cgroups is not None else []
    task.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    for old in task.state.glob("exit-*"):
        old.unlink(missing_ok=True)  # of earlier starts: they were told
    logs = task.logs
    whole = {
        **spec,
        "cgroups": groups,
        "exit_file": str(task.state / f"exit-{time.time_ns()}"),
        "logs": None
        if logs is None
        else {"directory": str(logs.directory), "task": logs.task, "files": logs.files, "bytes": logs.bytes},
    }
    told = await _supervise(whole)
    isolated = {"user": spec["user"]} if spec.get("isolation") else {}
    handle = await recovered({**told, **isolated, "exit_file": whole["exit_file"]})
    if handle is None:
        raise DriverError("the task's supervisor ended at once", recoverable=True)
    return handle


async def recovered(saved: dict[str, Any]) -> RawHandle | None:
    """The supervisor if it still runs, or what it left behind when it ended."""
    try:
        fd = os.pidfd_open(saved["supervisor"])
    except OSError:
        return _finished(saved)
    try:
        began = supervisor.started_at(saved["supervisor"])
    except OSError:
        began = -1
    if began != saved["supervisor_start"]:
        os.close(fd)
        return _finished(saved)
    return RawHandle(saved, fd)


class RawExecDriver:
    """The driver."""

    name = "raw_exec"

    def __init__(self, *, enabled: bool, denied: tuple[str, ...] = (), cgroups: Cgroups | None = None) -> None:
        self._enabled, self._denied, self._cgroups = enabled, denied, cgroups

    def fingerprint(self) -> DriverInfo:
        """There if it is enabled."""
        return DriverInfo(
            attributes={"driver.raw_exec": "true"} if self._enabled else {},
            detected=self._enabled,
            healthy=self._enabled,
            health_description="Healthy" if self._enabled else "disabled",
            update_time=to_rfc3339(time.time_ns()),
        )

    async def start(self, task: TaskStart) -> RawHandle:
        """Start the command under a supervisor; raises `DriverError`."""
        config = decode_config(task.config, KEYS, ("command",))
        if not self._enabled:
            raise DriverError("raw_exec is disabled on this node")
        denied = {*self._denied, *config["denied_envvars"]}
        return await launch(
            task,
            {
                "command": find_command(config["command"], task.directory, os.environ.get("PATH", os.defpath)),
                "args": config["args"],
                "env": {name: value for name, value in task.env.items() if name not in denied},
                "directory": config["work_dir"] or str(task.directory),
                "user": identity_of(task.user),
                "oom_score_adj": config["oom_score_adj"],
            },
            self._cgroups,
        )

    def beside(self, task: TaskStart, saved: dict[str, Any]) -> TaskStart:
        """As the task itself."""
        return task

    async def recover(self, saved: dict[str, Any]) -> RawHandle | None:
        """The task that an earlier agent started, if it can be found."""
        return await recovered(saved)


def _finished(saved: dict[str, Any]) -> RawHandle | None:
    """A handle on a task that ended while nobody watched; None if it did not say how."""
    if not Path(saved["exit_file"]).exists():
        return None
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    os.close(writing)  # readable at once, as the descriptor of a process that has ended
    return RawHandle(saved, reading)


async def _supervise(spec: dict[str, Any]) -> dict[str, Any]:
    """Start a supervisor; what it tells of the task. Raises DriverError."""
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", supervisor.__file__,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, env={},
        )  # fmt: skip
        async with asyncio.timeout(START_SECONDS):
            output, _ = await process.communicate(json.dumps(spec).encode())
    except (OSError, TimeoutError) as error:
        raise DriverError(f"the task's supervisor could not be started: {error}", recoverable=True) from error
    try:
        told: dict[str, Any] = json.loads(output)
    except ValueError:
        raise DriverError("the task's supervisor said nothing", recoverable=True) from None
    if "error" in told:
        what = "no such file or directory" if told.get("errno") == errno.ENOENT else str(told["error"]).lower()
        raise DriverError(f"{FAILED}fork/exec {spec['command']}: {what}")
    return told
