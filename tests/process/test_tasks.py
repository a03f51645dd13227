"""Real tasks of real agents: their bad days, and what users read and run (spec node-agent §12, §15–§17)."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import nomad
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.process.servers import ServerProcess, free_ports, single, wait_for

pytestmark = pytest.mark.slow
RAW = {"raw_exec": {"config": {"enabled": True}}}


def job(job_id: str, script: str, *, kind: str = "service", **task: Any) -> dict[str, Any]:
    one = {
        "Name": "t", "Driver": "raw_exec", "Config": {"command": "/bin/sh", "args": ["-c", script]},
        "Resources": {"CPU": 10, "MemoryMB": 10}, "KillTimeout": 1_000_000_000, **task,
    }  # fmt: skip
    restart = {"Attempts": 0, "Mode": "fail", "Interval": 60 * 10**9, "Delay": 10**9}
    group = {"Name": "g", "Count": 1, "Tasks": [one], "RestartPolicy": restart}
    update = {"Update": {"MaxParallel": 0}} if kind == "service" else {}
    return {"Job": {"ID": job_id, "Type": kind, "TaskGroups": [group], **update}}


class Pair:
    """A server, and a node agent of its own process."""

    def __init__(self, directory: Path, server: ServerProcess) -> None:
        http_port, rpc_port = free_ports(2)
        block = {"enabled": True, "servers": [f"127.0.0.1:{server.http_port}"]}
        self.server = server
        self.node = ServerProcess(directory / "node", "node", http_port, rpc_port, client=block, plugin=RAW)
        self.state = directory / "node"

    def ask(self, path: str, method: str = "GET", body: Any = None) -> tuple[int, Any]:
        return self.server.request(method, path, body, timeout=20)

    def run(self, spec: dict[str, Any], status: str = "running") -> str:
        """Register; the ID of its allocation once it has that status."""
        self.ask("/v1/jobs", "PUT", spec)
        return self.until(spec["Job"]["ID"], status)

    def until(self, job_id: str, status: str) -> str:
        def there() -> Any:
            found = [one for one in self.ask(f"/v1/job/{job_id}/allocations")[1] if one["ClientStatus"] == status]
            return found and found[0]["ID"]

        found: str = wait_for(there, 30, f"{job_id} to be {status}")
        return found

    def events(self, alloc_id: str) -> list[str]:
        states = self.ask(f"/v1/allocation/{alloc_id}")[1]["TaskStates"]
        return [event["DisplayMessage"] for event in states["t"]["Events"]]

    def log(self, alloc_id: str, query: str = "") -> str:
        return self.raw(f"/v1/client/fs/logs/{alloc_id}?task=t&type=stdout&plain=true{query}").decode()

    def raw(self, path: str) -> bytes:
        """The body as it is."""
        command = ["curl", "-sN", "--max-time", "20", f"http://127.0.0.1:{self.server.http_port}{path}"]
        return subprocess.run(command, capture_output=True, check=False).stdout

    def handle(self, alloc_id: str) -> dict[str, Any]:
        """The PIDs of a task."""
        (path,) = self.state.rglob(f"allocs/{alloc_id}.json")
        found: dict[str, Any] = json.loads(path.read_text())["tasks"]["t"]["handle"]
        return found

    def end_tasks(self) -> None:
        """Nothing that a test started outlives it."""
        for path in self.state.rglob("allocs/*.json"):
            for one in json.loads(path.read_text())["tasks"].values():
                with suppress(OSError, TypeError, KeyError):
                    os.kill(one["handle"]["supervisor"], signal.SIGTERM)


@contextmanager
def pair(directory: Path) -> Iterator[Pair]:
    with single(directory / "server") as server:
        made = Pair(directory, server)
        try:
            made.node.start()
            wait_for(lambda: [one for one in made.ask("/v1/nodes")[1] if one["Status"] == "ready"], 20, "a ready node")
            yield made
        finally:
            made.node.end()
            made.end_tasks()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with pair(tmp_path_factory.mktemp("tasks")) as made:
        yield made


def test_a_killed_agent_leaves_its_tasks_running_and_finds_them_again(tmp_path: Path) -> None:
    script = "i=0; while true; do i=$((i+1)); echo $i; sleep 0.02; done"
    with pair(tmp_path) as made:
        alloc = made.run(job("loop", script))
        ended = made.run(job("ends", "sleep 3; exit 7", kind="batch"))
        before, handle = made.events(alloc), made.handle(alloc)
        made.node.kill()
        time.sleep(3)
        assert Path(f"/proc/{handle['pid']}").exists()
        made.node.start()
        made.until("ends", "failed")
        assert "Exit Code: 7" in made.events(ended)
        wait_for(lambda: made.ask(f"/v1/client/allocation/{alloc}/stats")[0] == 200, 20, "the node to answer")
        assert made.events(alloc) == before and made.handle(alloc) == handle
        lines = [int(line) for line in made.log(alloc).split("\n") if line]
        assert lines == list(range(1, len(lines) + 1)) and len(lines) > 100
        made.ask("/v1/job/loop", "DELETE")
        made.until("loop", "complete")
        wait_for(lambda: not Path(f"/proc/{handle['pid']}").exists(), 10, "the task to end")


def test_a_task_that_is_gone_when_the_agent_comes_back_runs_again(tmp_path: Path) -> None:
    spec = job("again", "exec sleep 300")
    spec["Job"]["TaskGroups"][0]["RestartPolicy"] |= {"Attempts": 3, "Delay": 10**8}
    with pair(tmp_path) as made:
        alloc = made.run(spec)
        handle = made.handle(alloc)
        made.node.kill()
        os.kill(handle["supervisor"], signal.SIGKILL)
        Path(handle["exit_file"]).unlink(missing_ok=True)
        wait_for(lambda: not Path(f"/proc/{handle['pid']}").exists(), 10, "the task to end with its supervisor")
        made.node.start()
        text = "failed to restore task; will not run until server is contacted"
        wait_for(
            lambda: text in made.events(alloc) and made.events(alloc)[-1] == "Task started by client", 20, "a start"
        )


def test_servers_away_for_a_while(tmp_path: Path) -> None:
    with pair(tmp_path) as made:
        alloc = made.run(job("lonely", "exec sleep 300"))
        short = made.run(job("short", "sleep 1; exit 0", kind="batch"))
        handle = made.handle(alloc)
        made.server.kill()
        time.sleep(4)
        assert Path(f"/proc/{handle['pid']}").exists()
        made.server.start().wait_ready()
        made.until("short", "complete")
        assert made.events(short)[-1] == "Exit Code: 0"
        assert made.until("lonely", "running") == alloc


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"command": "/no/such/bin"}, 'binary "/no/such/bin" could not be found'),
        ({"cmd": "x"}, 'The argument "command" is required'),
        ({"command": "/bin/sh", "args": ["-c", "kill -9 $$"]}, "Exit Code: 137, Signal: 9"),
        ({"command": "/bin/sh", "args": ["-c", "exit 3"]}, "Exit Code: 3"),
    ],
)  # fmt: skip
def test_tasks_that_fail_say_why(shared: Pair, config: dict[str, Any], text: str) -> None:
    name = f"fails-{abs(hash(str(config))) % 10**8}"
    alloc = shared.run(job(name, "", kind="batch", Config=config), "failed")
    assert any(text in event for event in shared.events(alloc))


def test_a_flood_of_output_a_crowd_and_deaf_ears(shared: Pair) -> None:
    """What floods its log, forks and ignores signals ends all the same, and its log is bounded."""
    script = "trap '' INT TERM; (yes 0123456789 &); for i in 1 2 3 4 5 6 7 8; do (setsid sleep 300 &); done; sleep 300"
    alloc = shared.run(job("wild", script, LogConfig={"MaxFiles": 2, "MaxFileSizeMB": 1}))
    supervisor = shared.handle(alloc)["supervisor"]
    time.sleep(2)
    logs = shared.ask(f"/v1/client/fs/ls/{alloc}?path=alloc/logs")[1]
    assert sum(one["Size"] for one in logs) <= 2 << 20
    shared.ask("/v1/job/wild", "DELETE")
    shared.until("wild", "complete")
    wait_for(lambda: not _group(supervisor), 10, "everything of it to end")


def _group(supervisor: int) -> list[str]:
    """What still runs below a supervisor."""
    with suppress(OSError):
        return Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    return []


def test_files_outside_cannot_be_read(shared: Pair, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("not yours")
    script = f"ln -s {tmp_path}/outside local/link; ln -s / local/root; echo x > local/file; exec sleep 300"
    alloc = shared.run(job("curious", script))
    wait_for(lambda: b"x" in shared.raw(f"/v1/client/fs/cat/{alloc}?path=t/local/file"), 10, "the file")
    assert shared.raw(f"/v1/client/fs/cat/{alloc}?path=t/local/file") == b"x\n"
    for path in (
        "t/local/link",
        "t/local/root/etc/passwd",
        "../../../../etc/passwd",
        "t/../../../../etc/passwd",
        "/..",
    ):
        for route in ("cat", "readat", "stream", "stat", "ls"):
            body = shared.raw(f"/v1/client/fs/{route}/{alloc}?path={quote(path)}&offset=0&follow=false")
            assert b"Path escapes the alloc directory" in body and b"root:" not in body, (route, path, body)
    assert shared.raw(f"/v1/client/fs/readat/{alloc}?path=t/local/file&offset=1") == b"\n"
    assert shared.ask(f"/v1/client/fs/stat/{alloc}?path=t/local/none")[0] == 404


def test_restarts_signals_and_statistics(shared: Pair) -> None:
    alloc = shared.run(job("steady", "trap 'echo usr' USR1; while true; do sleep 0.05; done"))
    path = f"/v1/client/allocation/{alloc}"
    assert shared.ask(f"{path}/signal", "PUT", {"Task": "t", "Signal": "SIGUSR1"}) == (200, {"Index": 0})
    wait_for(lambda: shared.log(alloc) == "usr\n", 10, "the signal")
    assert shared.ask(f"{path}/stats")[1]["Tasks"]["t"]["ResourceUsage"]["MemoryStats"]["RSS"] > 0
    assert shared.ask(f"{path}/restart", "PUT", {"TaskName": "t"}) == (200, {"Index": 0})
    wait_for(lambda: "Task restarting in 0s" in shared.events(alloc), 10, "the restart")
    assert shared.ask(f"{path}/restart", "PUT", {"TaskName": "zz"})[0] == 500
    assert shared.ask(f"{path}/gc", "PUT")[0] == 200
    assert shared.ask(f"/v1/client/fs/ls/{alloc}")[0] == 200  # it still runs


# --- commands beside tasks


async def talk(url: str, *frames: str, **options: Any) -> tuple[list[dict[str, Any]], int | None, str]:
    """What a WebSocket says until it is closed."""
    said: list[dict[str, Any]] = []
    async with connect(url, **options) as socket:
        with suppress(ConnectionClosed):
            for frame in frames:
                await socket.send(frame)
            async for text in socket:
                said.append(json.loads(text))
    return said, socket.close_code, socket.close_reason or ""


def exec_url(shared: Pair, alloc: str, command: Any, *, task: str = "t", port: int = 0, more: str = "") -> str:
    text = quote(json.dumps(command) if not isinstance(command, str) else command)
    where = f"127.0.0.1:{port or shared.server.http_port}"
    return f"ws://{where}/v1/client/allocation/{alloc}/exec?task={task}&command={text}{more}"


def output(said: list[dict[str, Any]], stream: str = "stdout") -> str:
    return b"".join(base64.b64decode(one[stream].get("data", "")) for one in said if stream in one).decode()


STDIN = json.dumps({"stdin": {"data": base64.b64encode(b"from here\n").decode()}})
CLOSE = json.dumps({"stdin": {"close": True}})


@pytest.fixture(scope="module")
def sleeper(shared: Pair) -> str:
    action = {"Name": "greet", "Command": "/bin/sh", "Args": ["-c", "echo hi ${NOMAD_TASK_NAME}; exit 3"]}
    return shared.run(job("sleeper", "exec sleep 300", Actions=[action], Env={"X": "42"}))


@pytest.mark.parametrize("through_the_node", [False, True])
def test_a_command_from_any_agent(shared: Pair, sleeper: str, through_the_node: bool) -> None:
    port = shared.node.http_port if through_the_node else 0
    url = exec_url(shared, sleeper, ["sh", "-c", "echo $X; cat; echo oops >&2; exit 9"], port=port)
    said, code, _ = asyncio.run(talk(url, STDIN, CLOSE))
    assert output(said) == "42\nfrom here\n" and output(said, "stderr") == "oops\n"
    assert said[-1] == {"exited": True, "result": {"exit_code": 9}} and code == 1006  # no close frame: as recorded


def test_a_terminal(shared: Pair, sleeper: str) -> None:
    size = json.dumps({"tty_size": {"height": 33, "width": 77}})
    command = ["sh", "-c", "read line; stty size; tty; echo got $line; kill -9 $$"]
    said, _, _ = asyncio.run(talk(exec_url(shared, sleeper, command, more="&tty=true"), size, STDIN))
    assert "33 77" in output(said) and "/dev/pts/" in output(said) and "got from here" in output(said)
    assert said[-1] == {"exited": True, "result": {"exit_code": 137}}


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        ({"command": ["/no/such"]}, 1011, "no such file or directory"), ({"command": []}, 1008, "command is not present"),
        ({"command": "oops"}, 1011, "failed to marshal command into json"), ({"task": "zz"}, 1011, "task not found"),
        ({"task": ""}, 1008, "must provide task name"), ({"more": "&tty=bad"}, 1011, "tty value is not a boolean"),
        ({"alloc": "00000000-0000-4000-8000-000000000000"}, 1008, "Unknown allocation"),
        ({"more": "&ws_handshake=true"}, 1008, "unexpected handshake value"),
    ],
)  # fmt: skip
def test_commands_that_are_refused(shared: Pair, sleeper: str, change: dict[str, Any], code: int, text: str) -> None:
    values = {"alloc": sleeper, "command": ["true"], **change}
    said, closed, reason = asyncio.run(talk(exec_url(shared, **values), CLOSE))
    assert (said, closed) == ([], code) and text in reason


def test_actions(shared: Pair, sleeper: str) -> None:
    base = f"ws://127.0.0.1:{shared.server.http_port}/v1/job/sleeper/action?allocID={sleeper}&task=t&action="
    said, _, _ = asyncio.run(talk(base + "greet", CLOSE))
    assert output(said) == "hi t\n" and said[-1]["result"] == {"exit_code": 3}
    _, code, reason = asyncio.run(talk(base + "nope"))
    assert (code, reason) == (1008, "action nope not found in task t")


def test_a_page_from_elsewhere_and_a_broken_handshake(shared: Pair, sleeper: str) -> None:
    with pytest.raises(InvalidStatus):
        asyncio.run(talk(exec_url(shared, sleeper, ["true"]), additional_headers={"Origin": "http://evil.example"}))
    own = {"Origin": f"http://127.0.0.1:{shared.server.http_port}"}
    said, _, _ = asyncio.run(talk(exec_url(shared, sleeper, ["true"]), CLOSE, additional_headers=own))
    assert said[-1] == {"exited": True, "result": {}}


def test_a_client_that_goes_takes_its_command_along(shared: Pair, sleeper: str, tmp_path: Path) -> None:
    mark = tmp_path / "pid"

    async def leave() -> None:
        async with connect(exec_url(shared, sleeper, ["sh", "-c", f"echo $$ > {mark}; sleep 300"])):
            for _ in range(500):
                if mark.exists() and mark.read_text().strip():
                    return
                await asyncio.sleep(0.02)

    asyncio.run(leave())
    wait_for(lambda: not Path(f"/proc/{mark.read_text().strip()}").exists(), 10, "the command to end")


# --- those who use it


def test_the_command_line(shared: Pair, sleeper: str) -> None:
    def yurt(*words: str, code: int = 0) -> str:
        environment = {**os.environ, "NOMAD_ADDR": f"http://127.0.0.1:{shared.server.http_port}"}
        ended = subprocess.run(
            [sys.executable, "-m", "yurt.server.cli", *words], env=environment, capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=60, check=False,
        )  # fmt: skip
        assert ended.returncode == code, ended.stdout + ended.stderr
        return ended.stdout

    alloc = shared.run(job("wordy", "for i in 1 2 3 4 5; do echo line $i; done; exec sleep 300"))
    assert yurt("alloc", "logs", alloc[:8]) == "".join(f"line {i}\n" for i in range(1, 6))
    assert yurt("alloc", "logs", "-tail", "-n", "2", "-job", "wordy") == "line 4\nline 5\n"
    assert "local/" in yurt("alloc", "fs", alloc[:8], "t")
    assert yurt("alloc", "fs", alloc[:8], "alloc/logs/t.stdout.0").startswith("line 1\n")
    assert yurt("alloc", "exec", "-i=false", sleeper[:8], "sh", "-c", "echo $X; exit 6", code=6) == "42\n"
    assert yurt("job", "action", "-job", "sleeper", "-i=false", "greet", code=3) == "hi t\n"
    yurt("alloc", "exec", "-i=false", sleeper[:8], "/no/such", code=1)
    yurt("alloc", "restart", alloc[:8], "t")
    shared.until("wordy", "running")
    assert "wordy.g[0]  restarted" in yurt("job", "restart", "-batch-size", "50%", "wordy")
    yurt("job", "restart", "-reschedule", "-all-tasks", "wordy", code=1)
    shown = yurt("node", "status", "-stats", "-address", f"http://127.0.0.1:{shared.node.http_port}", "-self")
    assert "Host Resource Utilization" in shown and "of the allocations" in shown
    yurt("alloc", "signal", "-s", "SIGCONT", "-task", "t", sleeper[:8])
    followed = subprocess.Popen(
        [sys.executable, "-m", "yurt.server.cli", "alloc", "logs", "-f", "-job", "wordy"], stdout=subprocess.PIPE,
        env={**os.environ, "NOMAD_ADDR": f"http://127.0.0.1:{shared.server.http_port}"}, text=True,
    )  # fmt: skip
    yurt("job", "stop", "-detach", "wordy")
    assert "line 5" in followed.communicate(timeout=30)[0]  # it ends with the allocation


def test_python_nomad_deploys_reads_and_streams(shared: Pair) -> None:
    api = nomad.Nomad(host="127.0.0.1", port=shared.server.http_port)
    spec = job("sdk", "echo from the sdk; sleep 1; echo the end", kind="batch")
    api.job.register_job("sdk", spec)
    alloc = shared.until("sdk", "complete")
    (one,) = api.job.get_allocations("sdk")
    assert one["ID"] == alloc and api.allocation.get_allocation(alloc)["TaskStates"]["t"]["State"] == "dead"
    streamed = api.client.stream_logs.stream(alloc, "t", "stdout", plain=True)
    assert streamed == "from the sdk\nthe end\n"
    assert api.client.cat.read_file(alloc, "alloc/logs/t.stdout.0") == "from the sdk\nthe end\n"
    names = [entry["Name"] for entry in api.client.ls.list_files(alloc, "/t")]
    assert names == ["local", "private", "secrets", "tmp"]
