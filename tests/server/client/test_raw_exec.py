"""Commands as processes: real ones, with a supervisor beside each (spec node-agent §11, §12)."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.server.client.around import surroundings
from tests.server.client.test_runners import allocation, asynchronous, task
from yurt.fsm.structs.allocation import Allocation, TaskState
from yurt.fsm.structs.resources import LogConfig
from yurt.fsm.structs.task import Task, Template
from yurt.server.client.alloc_runner import AllocRunner
from yurt.server.client.drivers.base import ConfigError, DriverError, ExitResult, Logs, TaskStart
from yurt.server.client.drivers.raw_exec import RawExecDriver, RawHandle
from yurt.server.client.saved import SavedAlloc, SavedTask
from yurt.server.client.supervisor import descendants

MS = 1_000_000


def start_of(tmp_path: Path, command: str, *args: str, **fields: Any) -> TaskStart:
    directory = tmp_path / "t"
    for one in (directory / "local", tmp_path / "logs"):
        one.mkdir(parents=True, exist_ok=True)
    config = {"command": command, "args": list(args), **fields.pop("config", {})}
    values: dict[str, Any] = {
        "id": "a/t", "config": config, "env": {"PATH": os.environ["PATH"], "GREETING": "hello"}, "user": "",
        "directory": directory, "state": tmp_path / "state", "logs": Logs(tmp_path / "logs", "t", 3, 1 << 20), **fields,
    }  # fmt: skip
    return TaskStart(**values)


async def run(start: TaskStart) -> ExitResult:
    handle = await RawExecDriver(enabled=True).start(start)
    async with asyncio.timeout(20):
        return await handle.wait()


def written(tmp_path: Path, stream: str = "stdout") -> str:
    return (tmp_path / f"logs/t.{stream}.0").read_text()


@pytest.mark.parametrize(
    ("script", "wanted"),
    [
        ("exit 0", ExitResult()), ("exit 7", ExitResult(7)), ("kill -9 $$", ExitResult(137, 9)),
        ("kill -15 $$", ExitResult(143, 15)),
    ],
)  # fmt: skip
@asynchronous
async def test_how_a_command_ends(tmp_path: Path, script: str, wanted: ExitResult) -> None:
    assert await run(start_of(tmp_path, "/bin/sh", "-c", script)) == wanted


@asynchronous
async def test_output_environment_and_directory(tmp_path: Path) -> None:
    await run(start_of(tmp_path, "sh", "-c", "echo $GREETING; pwd; echo oops >&2; ls /proc/self/fd | wc -l; id -u"))
    lines = written(tmp_path).split("\n")
    assert lines[:2] == ["hello", str(tmp_path / "t")] and written(tmp_path, "stderr") == "oops\n"
    assert int(lines[2]) <= 4  # nothing of the agent is open in the task


@asynchronous
async def test_a_command_of_the_task_s_own_directory_is_made_executable(tmp_path: Path) -> None:
    start = start_of(tmp_path, "mine")
    script = start.directory / "local/mine"
    script.write_text("#!/bin/sh\necho mine $0\n")
    assert await run(start) == ExitResult()
    assert written(tmp_path) == f"mine {script}\n"


@pytest.mark.parametrize(
    ("command", "config", "error", "text"),
    [
        ("/no/such/bin", {}, DriverError, 'binary "/no/such/bin" could not be found'),
        ("no-such-bin", {}, DriverError, 'binary "no-such-bin" could not be found'),
        ("/bin/sh", {"cmd": "x"}, ConfigError, 'No argument or block type is named "cmd"'),
        ("/bin/sh", {"args": "x"}, ConfigError, 'Inappropriate value for attribute "args"'),
        ("/bin/sh", {"work_dir": "/no/such"}, DriverError, "no such file or directory"),
        ("/etc/passwd", {}, DriverError, "permission denied"),
    ],
)  # fmt: skip
@asynchronous
async def test_what_cannot_be_started(
    tmp_path: Path, command: str, config: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error) as caught:
        await run(start_of(tmp_path, command, config=config))
    assert text in str(caught.value)


@asynchronous
async def test_a_missing_command_and_an_unknown_user(tmp_path: Path) -> None:
    start = start_of(tmp_path, "x")
    start.config.pop("command")
    with pytest.raises(ConfigError, match='The argument "command" is required'):
        await run(start)
    with pytest.raises(DriverError, match="unknown user nobody-here"):
        await run(start_of(tmp_path, "/bin/true", user="nobody-here"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
@asynchronous
async def test_another_user(tmp_path: Path) -> None:
    start = start_of(tmp_path, "/bin/sh", "-c", "id -un; cat /proc/self/status | grep Groups", user="nobody")
    for path in (tmp_path, *tmp_path.parents):
        if path.owner() == "root" and str(path).startswith("/tmp/"):
            path.chmod(0o755)
    assert await run(start) == ExitResult()
    assert written(tmp_path).startswith("nobody\n") and " 0" not in written(tmp_path)


@asynchronous
async def test_a_disabled_driver_starts_nothing(tmp_path: Path) -> None:
    driver = RawExecDriver(enabled=False)
    assert driver.fingerprint().health_description == "disabled"
    with pytest.raises(DriverError, match="disabled"):
        await driver.start(start_of(tmp_path, "/bin/true"))


async def children_of(handle: RawHandle, number: int) -> list[int]:
    """The task's processes, once there are so many."""
    async with asyncio.timeout(10):
        while len(found := descendants(handle.saved()["supervisor"])) < number:
            await asyncio.sleep(0.01)
    return found


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if os.path.exists(f"/proc/{pid}")]


async def gone(pids: list[int]) -> None:
    async with asyncio.timeout(10):
        while alive(pids):
            await asyncio.sleep(0.01)


@asynchronous
async def test_what_a_task_leaves_behind_is_killed(tmp_path: Path) -> None:
    """Also what has left its session and hides behind a parent that has ended."""
    script = "(setsid sleep 300 &); (sleep 300 &); sleep 0.3; exit 3"
    handle = await RawExecDriver(enabled=True).start(start_of(tmp_path, "/bin/sh", "-c", script))
    pids = await children_of(handle, 3)
    assert await handle.wait() == ExitResult(3)
    await gone(pids)


@asynchronous
async def test_a_task_that_ignores_signals_is_killed_with_its_tree(tmp_path: Path) -> None:
    script = "trap '' INT TERM HUP; sleep 300 & while true; do sleep 1; done"
    handle = await RawExecDriver(enabled=True).start(start_of(tmp_path, "/bin/sh", "-c", script))
    pids = await children_of(handle, 2)
    await handle.stop(0.2, "SIGINT")
    assert await handle.wait() == ExitResult(137, 9)
    await gone(pids)


@asynchronous
async def test_stopping_kindly(tmp_path: Path) -> None:
    script = "trap 'echo bye; exit 4' TERM; while true; do sleep 0.05; done"
    handle = await RawExecDriver(enabled=True).start(start_of(tmp_path, "/bin/sh", "-c", script))
    await asyncio.sleep(0.2)
    await handle.stop(10, "SIGTERM")
    assert await handle.wait() == ExitResult(4) and written(tmp_path) == "bye\n"


@asynchronous
async def test_signals(tmp_path: Path) -> None:
    script = "trap 'echo got it' USR1; while true; do sleep 0.05; done"
    handle = await RawExecDriver(enabled=True).start(start_of(tmp_path, "/bin/sh", "-c", script))
    await asyncio.sleep(0.2)
    handle.signal("SIGUSR1")
    async with asyncio.timeout(5):
        while written(tmp_path) != "got it\n":
            await asyncio.sleep(0.02)
    usage = handle.usage()
    assert usage is not None and usage.resident_bytes > 0 and usage.pids
    handle.signal("SIGKILL")
    assert await handle.wait() == ExitResult(137, 9) and handle.usage() is None
    with pytest.raises(DriverError, match="Task not running"):
        handle.signal("SIGUSR1")


@asynchronous
async def test_a_task_is_found_again_running_or_ended(tmp_path: Path) -> None:
    driver = RawExecDriver(enabled=True)
    first = await driver.start(start_of(tmp_path, "/bin/sh", "-c", "sleep 0.6; exit 5"))
    saved = json.loads(json.dumps(first.saved()))
    second = await RawExecDriver(enabled=True).recover(saved)
    assert second is not None and await second.wait() == ExitResult(5)
    third = await driver.recover(saved)
    assert third is not None and await third.wait() == ExitResult(5)
    Path(saved["exit_file"]).unlink()
    assert await driver.recover(saved) is None
    assert await driver.recover({**saved, "supervisor": os.getpid()}) is None  # another process has its number


@asynchronous
async def test_a_supervisor_that_is_killed_takes_its_task_along(tmp_path: Path) -> None:
    handle = await RawExecDriver(enabled=True).start(start_of(tmp_path, "/bin/sleep", "300"))
    pids = await children_of(handle, 1)
    os.kill(handle.saved()["supervisor"], signal.SIGKILL)
    ended = await handle.wait()
    assert not ended.is_success and "supervisor was killed" in ended.error
    await gone(pids)


@asynchronous
async def test_a_flood_of_output_is_bounded(tmp_path: Path) -> None:
    start = start_of(
        tmp_path, "/bin/sh", "-c", "yes 123456789 | head -c 3000000", logs=Logs(tmp_path / "logs", "t", 2, 100_000)
    )
    assert await run(start) == ExitResult()
    sizes = [path.stat().st_size for path in (tmp_path / "logs").glob("t.stdout.*")]
    assert len(sizes) == 2 and sum(sizes) <= 200_000


@asynchronous
async def test_a_log_directory_that_is_gone_stops_nothing(tmp_path: Path) -> None:
    start = start_of(tmp_path, "/bin/sh", "-c", "rm -r ../logs; yes | head -c 3000000; echo end")
    assert await run(start) == ExitResult()


# --- through the allocation's runner


def raw(script: str, **fields: Any) -> Task:
    return task(driver="raw_exec", config={"command": "/bin/sh", "args": ["-c", script]}, **fields)


async def ended(row: Allocation) -> AllocRunner:
    runner = AllocRunner(row, surroundings(), lambda _runner: None)
    runner.start([])
    async with asyncio.timeout(20):
        await runner.ended.wait()
    return runner


@asynchronous
async def test_an_allocation_s_directories_templates_and_variables() -> None:
    template = Template(embedded_tmpl='A={{ env "NOMAD_TASK_NAME" }}\n', dest_path="local/x.env", envvars=True)
    script = "cat local/x.env; echo $A $B; echo kept > $NOMAD_ALLOC_DIR/data/file; ls -d $NOMAD_SECRETS_DIR"
    one = raw(script, templates=(template,), env={"B": "${attr.x}"}, log_config=LogConfig(max_files=1))
    runner = await ended(allocation(one))
    log = (runner.directory.logs / "t.stdout.0").read_text().split("\n")
    assert log[:2] == ["A=t", "t ${attr.x}"] and log[2] == str(runner.directory.path / "t/secrets")
    assert (runner.directory.shared / "data/file").read_text() == "kept\n"


@pytest.mark.parametrize(
    ("template", "event", "text"),
    [
        (Template(embedded_tmpl="{{ nope }}", dest_path="local/x"), "Killing", 'Template failed: (dynamic): parse'),
        (Template(embedded_tmpl="x", dest_path="../../../x"), "Task hook failed", "path escapes alloc directory"),
        (Template(source_path="/etc/passwd", dest_path="local/x"), "Task hook failed", "path escapes alloc directory"),
    ],
)  # fmt: skip
@asynchronous
async def test_templates_that_fail_the_task(template: Template, event: str, text: str) -> None:
    runner = await ended(allocation(raw("true", templates=(template,))))
    events = runner.runners["t"].state.events or ()
    assert any(one.type == event and text in one.display_message for one in events)
    assert runner.current().client_status == "failed"


@asynchronous
async def test_logs_can_be_left_out() -> None:
    runner = await ended(allocation(raw("echo nobody hears", log_config=LogConfig(disabled=True))))
    assert runner.current().client_status == "complete" and not list(runner.directory.logs.iterdir())


@asynchronous
async def test_a_restart_by_a_user_counts_for_nothing() -> None:
    runner = AllocRunner(allocation(raw("exec sleep 300")), surroundings(), lambda _runner: None)
    runner.start([])
    one = runner.runners["t"]
    async with asyncio.timeout(20):
        while one.state.state != "running":
            await asyncio.sleep(0.01)
        await runner.restart("t")
        while one.state.restarts != 1 or one.state.state != "running":
            await asyncio.sleep(0.01)
        shown = [event.display_message for event in one.state.events or ()]
        assert shown[3:6] == ["User requested task to restart", "Exit Code: 130, Signal: 2", "Task restarting in 0s"]
        runner.kill()
        await runner.ended.wait()
    assert not one.state.failed
    with pytest.raises(DriverError, match="Task not running"):
        await runner.restart("t")
    with pytest.raises(DriverError, match="Task not found"):
        await runner.restart("other")


@asynchronous
async def test_all_tasks_restart_from_the_first_hook_on() -> None:
    hook = raw("echo hook >> $NOMAD_ALLOC_DIR/data/order", name="first", hook="prestart")
    main = raw("echo main >> $NOMAD_ALLOC_DIR/data/order; exec sleep 300", name="main")
    runner = AllocRunner(allocation(hook, main), surroundings(), lambda _runner: None)
    runner.start([])
    order = runner.directory.shared / "data/order"
    async with asyncio.timeout(20):
        while not order.exists() or order.read_text() != "hook\nmain\n":
            await asyncio.sleep(0.02)
        while runner.runners["main"].state.state != "running":  # the process may write before its start is known
            await asyncio.sleep(0.02)
        await runner.restart("", every=True)
        while order.read_text() != "hook\nmain\n" * 2:
            await asyncio.sleep(0.02)
        runner.kill()
        await runner.ended.wait()


@asynchronous
async def test_a_task_that_is_not_found_again_waits_for_a_server() -> None:
    around = surroundings()
    runner = AllocRunner(allocation(raw("exec sleep 300")), around, lambda _runner: None)
    runner.directory.build()
    states = {"t": SavedTask(TaskState(state="running", started_at="2026-01-02T03:04:05Z"), None)}
    await runner.restore(SavedAlloc(runner.allocation, states))
    await asyncio.sleep(0.2)
    one = runner.runners["t"]
    assert one.state.state == "pending" and [event.type for event in one.state.events or ()] == [
        "Failed Restoring Task"
    ]
    around.contact.set()
    async with asyncio.timeout(20):
        while one.state.state != "running":
            await asyncio.sleep(0.02)
        runner.kill()
        await runner.ended.wait()


@asynchronous
async def test_exit_files_do_not_pile_up(tmp_path: Path) -> None:
    for _ in range(3):
        await run(start_of(tmp_path, "/bin/true"))
    assert len(list((tmp_path / "state").glob("exit-*"))) == 1


@asynchronous
async def test_s10_the_rights_of_a_template_are_rights_alone() -> None:
    template = Template(embedded_tmpl="x", dest_path="local/tool", perms="4755")
    runner = await ended(allocation(raw("true", templates=(template,))))
    assert stat.S_IMODE((runner.directory.path / "t/local/tool").stat().st_mode) == 0o755


@asynchronous
async def test_s15_a_pipe_in_the_place_of_the_log_neither_stops_the_task_nor_its_end() -> None:
    script = (
        'cd "$NOMAD_ALLOC_DIR/logs"; for n in 1 2 3 4 5 6 7 8 9; do mkfifo t.stdout.$n; done; touch ready; '
        "while :; do echo 0123456789012345678901234567890123456789; done"
    )
    small = LogConfig(max_files=2, max_file_size_mb=1)
    around = surroundings()
    runner = AllocRunner(allocation(raw(script, log_config=small)), around, lambda _runner: None)
    runner.start([])
    async with asyncio.timeout(30):
        while not list(runner.directory.logs.glob("t.stdout.??*")):
            await asyncio.sleep(0.02)
        runner.kill()
        await runner.ended.wait()
    assert runner.runners["t"].state.state == "dead"
