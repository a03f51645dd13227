"""Isolated commands, where the machine permits them (spec node-agent §11)."""

from __future__ import annotations

import asyncio
import base64
import ctypes
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.server.client.around import surroundings
from tests.server.client.test_raw_exec import descendants
from tests.server.client.test_runners import allocation, asynchronous, task
from yurt.server.client.alloc_runner import AllocRunner
from yurt.server.client.drivers.exec import ExecDriver, refusal, why_unfiltered
from yurt.server.client.execute import Session
from yurt.server.client.seccomp import PR_CAPBSET_DROP

WHY_NOT = refusal()
CAP_SETPCAP = 8
needs_rights = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "isolation is permitted")


@pytest.fixture(autouse=True)
def _reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    os.umask(0o022)


def runner_of(script: str, **fields: Any) -> AllocRunner:
    driver = ExecDriver()
    one = task(
        driver="exec", config={"command": "/bin/sh", "args": ["-c", script], **fields.pop("config", {})}, **fields
    )
    around = surroundings(drivers={"exec": driver}, host={"PATH": "/host", "SECRET_OF_THE_AGENT": "x"})
    runner = AllocRunner(allocation(one), around, lambda _runner: None)
    runner.start([])
    return runner


async def ended(runner: AllocRunner) -> list[str]:
    async with asyncio.timeout(20):
        await runner.ended.wait()
    log = runner.directory.logs / "t.stdout.0"
    return log.read_text().split("\n")[:-1] if log.exists() else []


def events(runner: AllocRunner) -> str:
    return " | ".join(one.display_message for one in runner.runners["t"].state.events or ())


@needs_rights
@asynchronous
async def test_what_is_seen_inside() -> None:
    script = (
        "id -un; pwd; echo $NOMAD_ALLOC_DIR $NOMAD_TASK_DIR $NOMAD_SECRETS_DIR; ls /proc | grep -c '^[0-9]'; "
        "touch /usr/x 2>/dev/null || echo read-only; touch /x 2>/dev/null || echo root-is-closed; "
        "echo a > /local/a; echo b > /alloc/data/b; echo c > /tmp/c; ls /root /home /work 2>/dev/null | wc -l; "
        "grep -E 'CapEff|NoNewPrivs' /proc/self/status; echo z > /dev/null; echo done; exit 6"
    )
    runner = runner_of(script)
    lines = await ended(runner)
    assert lines[:3] == ["nobody", "/", "/alloc /local /secrets"], events(runner)
    assert int(lines[3]) <= 5
    assert lines[4:7] == ["read-only", "root-is-closed", "0"]
    assert "CapEff:\t0000000000000000" in lines and "NoNewPrivs:\t1" in lines and lines[-1] == "done"
    assert "Exit Code: 6" in events(runner)
    assert (runner.directory.path / "t/local/a").read_text() == "a\n"
    assert (runner.directory.shared / "data/b").read_text() == "b\n"
    assert not list((runner.directory.path / "t/usr").iterdir())  # what was bound is out of sight here


UNFILTERED = WHY_NOT or why_unfiltered() or ("" if os.uname().machine == "x86_64" else "the numbers are of x86-64")
CALLS = {  # number and first arguments on x86-64
    "mount": (165,), "unshare": (272, 0x10000000), "keyctl": (250, 0, -3, 0), "ptrace": (101, 0, 0, 0, 0),
    "bpf": (321, 0, 0, 0), "userfaultfd": (323, 0), "perf_event_open": (298,), "open_by_handle_at": (304,),
    "setns": (308, 0, 0), "clone": (56, 0x10000011, 0, 0, 0, 0), "io_uring_setup": (425, 1, 0),
}  # fmt: skip
PERL = "for my $c (split / /, $ENV{CALLS}) { my ($n, @a) = map { $_ + 0 } split /,/, $c; $! = 0; syscall($n, @a); print $!+0, qq(\\n) }"


@pytest.mark.skipif(bool(UNFILTERED), reason=UNFILTERED or "system calls are filtered")
@pytest.mark.skipif(not os.path.exists("/usr/bin/perl"), reason="perl makes the calls")
@asynchronous
async def test_calls_that_lead_out_are_refused_and_programs_run() -> None:
    calls = " ".join(",".join(map(str, call)) for call in CALLS.values())
    script = (
        f"export CALLS='{calls}'; perl -e '{PERL}'; grep -E 'CapBnd|Seccomp:' /proc/self/status; "
        "perl -MSocket -e 'socket(my $s, PF_INET, SOCK_DGRAM, 0) and print qq(socket\\n)'; "
        "(echo a; echo b) | sort -r | head -1; perl -e 'my $p = fork; exit 3 unless $p; waitpid $p, 0; print $? >> 8, qq(\\n)'"
    )
    runner = runner_of(script)
    lines = await ended(runner)
    assert dict(zip(CALLS, lines, strict=False)) == dict.fromkeys(CALLS, "1"), events(runner)
    assert lines[len(CALLS) :] == ["CapBnd:\t0000000000000000", "Seccomp:\t2", "socket", "b", "3"]
    driver = runner.surroundings.drivers["exec"]
    assert (driver.fingerprint().attributes or {})["driver.exec.seccomp"] == "true"


@needs_rights
@asynchronous
async def test_where_the_kernel_takes_no_filter_tasks_run_and_the_node_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yurt.server.client.drivers.exec.why_unfiltered", lambda: "an old kernel")
    runner = runner_of("grep -E 'CapBnd|Seccomp:' /proc/self/status")
    assert await ended(runner) == ["CapBnd:\t0000000000000000", "Seccomp:\t0"]
    assert (runner.surroundings.drivers["exec"].fingerprint().attributes or {})["driver.exec.seccomp"] == "false"


@needs_rights
@asynchronous
async def test_signals_stops_and_what_is_left_behind() -> None:
    runner = runner_of("trap 'echo usr' USR1; (setsid sleep 300 &); while true; do sleep 0.05; done")
    one = runner.runners["t"]
    async with asyncio.timeout(20):
        while one.state.state != "running":
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.4)
        saved = one.saved()
        assert saved is not None
        pids = descendants(saved["supervisor"])
        assert len(pids) >= 3
        one.signal("SIGUSR1")
        while "usr" not in (runner.directory.logs / "t.stdout.0").read_text():
            await asyncio.sleep(0.02)
        runner.kill()
        await runner.ended.wait()
        while any(os.path.exists(f"/proc/{pid}") for pid in pids):
            await asyncio.sleep(0.02)
    assert not one.state.failed


@needs_rights
@pytest.mark.parametrize(("script", "text"), [("kill -9 $$", "Exit Code: 137, Signal: 9"), ("exit 3", "Exit Code: 3")])
@asynchronous
async def test_how_it_ends(script: str, text: str) -> None:
    runner = runner_of(script)
    await ended(runner)
    assert text in events(runner)


@needs_rights
@asynchronous
async def test_a_command_beside_it() -> None:
    runner = runner_of("exec sleep 300")
    one = runner.runners["t"]
    async with asyncio.timeout(20):
        while one.state.state != "running":
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        session = Session(
            one.description(),
            [
                "sh",
                "-c",
                "id -un; pwd; ls /proc | grep -c '^[0-9]'; grep -E 'CapBnd|Seccomp:' /proc/self/status; exit 4",
            ],
            tty=False,
        )
        await session.start()
        frames: list[dict[str, Any]] = []
        gone = asyncio.Event()

        async def receive() -> None:
            await gone.wait()

        async def send(frame: bytes) -> None:
            frames.append(json.loads(frame))

        await session.run(receive, send)
        runner.kill()
        await runner.ended.wait()
    text = b"".join(base64.b64decode(one["stdout"].get("data", "")) for one in frames if "stdout" in one).decode()
    assert text.split("\n")[:2] == ["nobody", "/"] and int(text.split("\n")[2]) <= 8
    assert text.split("\n")[3:5] == ["CapBnd:\t0000000000000000", f"Seccomp:\t{0 if why_unfiltered() else 2}"]
    assert frames[-1] == {"exited": True, "result": {"exit_code": 4}}


@needs_rights
@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"user": "root"}, "running as root is disallowed"), ({"config": {"cap_add": ["sys_admin"]}}, "cap_add is not"),
        ({"config": {"pid_mode": "host"}}, "pid_mode must be"), ({"user": "who"}, "unknown user who"),
        ({"config": {"command": "/work/none"}}, "could not be found"),
    ],
)  # fmt: skip
@asynchronous
async def test_what_is_refused(fields: dict[str, Any], text: str) -> None:
    runner = runner_of("true", **fields)
    await ended(runner)
    assert text in events(runner)


@pytest.mark.skipif(bool(WHY_NOT or why_unfiltered()), reason="system calls are filtered")
@asynchronous
async def test_a_32_bit_command_is_refused_with_its_reason() -> None:
    runner = runner_of("true", config={"command": "tool"})
    runner.directory.build()
    tool = runner.directory.build_task("t", None).local / "tool"
    tool.write_bytes(b"\x7fELF\x01" + bytes(47))
    assert await ended(runner) == []
    assert "tool is a 32-bit program, which the filter of system calls does not let run" in events(runner)


@needs_rights
@asynchronous
async def test_a_task_cannot_lead_the_next_start_astray(tmp_path: Path) -> None:
    """What is bound is bound below the root, which the task cannot change."""
    victim = tmp_path / "victim"
    victim.mkdir()
    runner = runner_of(f"mv /dev /dev2; ln -s {victim} /dev; mv /usr /usr2; echo tried")
    assert await ended(runner) == ["tried"]
    assert not (runner.directory.path / "t/dev").is_symlink() and not list(victim.iterdir())


@needs_rights
@asynchronous
async def test_a_link_in_the_place_of_what_is_bound_stops_the_start(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    runner = runner_of("echo started")
    runner.directory.build()
    runner.directory.build_task("t", None)
    (runner.directory.path / "t/dev").symlink_to(victim)
    assert await ended(runner) == [] and "symbolic link" in events(runner)
    assert not list(victim.iterdir())


def test_where_it_is_not_permitted_it_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    told = ExecDriver().fingerprint()
    assert (told.detected, told.healthy, told.health_description) == (False, False, "Driver must run as root")


@needs_rights
def test_a_machine_that_lets_nobody_empty_the_bounding_set_offers_no_exec() -> None:
    """The agent of a container without CAP_SETPCAP."""
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_SETPCAP, 0, 0, 0)
        os.write(sender, refusal().encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(sender)
    with os.fdopen(receiver) as said:
        assert said.read().endswith("the bounding set was not emptied: Operation not permitted")
