"""Allocations that run pretended tasks: what happens to them, in the words that users read (spec node-agent §5–§8, §14)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.server.client.around import surroundings
from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.policies import MigrateStrategy, RestartPolicy, UpdateStrategy
from yurt.fsm.structs.task import Lifecycle, Task
from yurt.server.client.alloc_runner import AllocRunner

MS = 1_000_000
NEVER = RestartPolicy(attempts=0, interval=1000 * MS, mode="fail")


def task(name: str = "t", *, hook: str = "", sidecar: bool = False, driver: str = "mock_driver", **fields: Any) -> Task:
    config = fields.pop("config", {"run_for": "10s"})
    cycle = Lifecycle(hook=hook, sidecar=sidecar) if hook else None
    return Task(name=name, driver=driver, config=config, lifecycle=cycle, kill_timeout=200 * MS, **fields)


def allocation(*tasks: Task, kind: str = "batch", alloc_id: str = "a", **group: Any) -> Allocation:
    deployment = group.pop("deployment_id", "")
    rules = {"restart_policy": NEVER, **group}
    job = Job(id="j", type=kind, task_groups=(TaskGroup(name="g", tasks=tasks, **rules),))
    return Allocation(
        id=alloc_id, node_id="n", job_id="j", job=job, task_group="g", desired_status="run", client_status="pending",
        deployment_id=deployment,
    )  # fmt: skip


class Run:
    """A runner, and waiting for what it does."""

    def __init__(self, row: Allocation, previous: tuple[AllocRunner, ...] = ()) -> None:
        self._changed = asyncio.Event()
        self.runner = AllocRunner(row, surroundings(), lambda _runner: self._changed.set())
        self.runner.start(list(previous))

    async def until(self, wanted: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not wanted():
                self._changed.clear()
                if not wanted():
                    await self._changed.wait()

    async def status(self, wanted: str) -> None:
        await self.until(lambda: self.runner.current().client_status == wanted)

    async def ended(self) -> None:
        await self.until(self.runner.ended.is_set)

    def events(self, name: str = "t") -> list[str]:
        return [event.type for event in self.runner.runners[name].state.events or ()]

    def texts(self, name: str = "t") -> list[str]:
        return [event.display_message for event in self.runner.runners[name].state.events or ()]

    def health(self) -> bool | None:
        status = self.runner.current().deployment_status
        return status.healthy if status is not None else None

    def stop(self) -> None:
        row = self.runner.allocation
        self.runner.update(replace(row, desired_status="stop"))


def asynchronous(test: Any) -> Any:
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    run.__name__ = test.__name__
    run.__signature__ = __import__("inspect").signature(test)  # type: ignore[attr-defined]
    return run


@asynchronous
async def test_a_batch_task_that_ends_well() -> None:
    run = Run(allocation(task(config={"run_for": "10ms", "stdout_string": "hello"})))
    await run.ended()
    said = run.runner.current()
    assert (said.client_status, said.client_description) == ("complete", "All tasks have completed")
    assert run.events() == ["Received", "Task Setup", "Started", "Terminated"]
    assert run.texts() == [
        "Task received by client",
        "Building Task Directory",
        "Task started by client",
        "Exit Code: 0",
    ]
    state = (said.task_states or {})["t"]
    assert state.state == "dead" and state.started_at and state.finished_at and not state.failed


@pytest.mark.parametrize(
    ("config", "events", "last"),
    [
        ({"exit_code": 7, "exit_err_msg": "boom"}, ["Started", "Terminated", "Not Restarting"], 'Exit Code: 7, Exit Message: "boom"'),
        ({"exit_code": 137, "exit_signal": 9}, ["Started", "Terminated", "Not Restarting"], "Exit Code: 137, Signal: 9"),
        ({"start_error": "no way"}, ["Driver Failure", "Not Restarting"], "no way"),
        ({"zz": 1}, ["Failed Validation", "Not Restarting"], 'Invalid label: No argument or block type is named "zz".'),
    ],
)  # fmt: skip
@asynchronous
async def test_a_task_that_fails(config: dict[str, Any], events: list[str], last: str) -> None:
    run = Run(allocation(task(config=config)))
    await run.ended()
    assert run.events() == ["Received", "Task Setup", *events]
    assert last in run.texts()[-2] and run.texts()[-1] == "Policy allows no restarts"
    assert run.runner.current().client_status == "failed"


@asynchronous
async def test_an_unknown_driver_fails_the_task() -> None:
    run = Run(allocation(task(driver="docker")))
    await run.ended()
    assert run.runner.current().client_status == "failed" and "docker" in run.texts()[2]


@asynchronous
async def test_restarts_within_the_policy() -> None:
    policy = RestartPolicy(attempts=1, interval=60_000 * MS, delay=10 * MS, mode="fail")
    run = Run(allocation(task(config={"run_for": "5ms", "exit_code": 1}), restart_policy=policy))
    await run.ended()
    restarted = ["Started", "Terminated", "Restarting", "Started", "Terminated", "Not Restarting"]
    assert run.events() == ["Received", "Task Setup", *restarted]
    state = run.runner.runners["t"].state
    assert (state.restarts, state.failed) == (1, True) and state.last_restart
    assert run.texts()[4].startswith("Task restarting in 1") and run.texts()[-1].startswith(
        "Exceeded allowed attempts 1"
    )


@asynchronous
async def test_a_stop_ends_a_running_task() -> None:
    run = Run(allocation(task(shutdown_delay=20 * MS), kind="service"))
    await run.status("running")
    run.stop()
    await run.ended()
    assert run.events()[3:] == ["Killing", "Waiting for shutdown delay", "Terminated", "Killed"]
    assert run.texts()[3] == "Sent interrupt. Waiting 200ms before force killing"
    assert run.runner.current().client_status == "complete"


@asynchronous
async def test_a_task_that_will_not_end_is_made_to() -> None:
    run = Run(allocation(task(config={"run_for": "10s", "kill_after": "10s"})))
    await run.status("running")
    run.stop()
    await run.ended()
    assert "Exit Code: 137, Signal: 9" in run.texts()


@asynchronous
async def test_a_stop_while_it_starts_or_waits_to_start_again() -> None:
    starting = Run(allocation(task(config={"start_block_for": "10s"})))
    await starting.until(lambda: "Task Setup" in starting.events())
    starting.stop()
    await starting.ended()
    assert starting.events() == ["Received", "Task Setup", "Killing"]
    policy = RestartPolicy(attempts=1, interval=60_000 * MS, delay=60_000 * MS, mode="fail")
    waiting = Run(allocation(task(config={"exit_code": 1}), restart_policy=policy))
    await waiting.until(lambda: "Restarting" in waiting.events())
    waiting.stop()
    await waiting.ended()
    assert waiting.runner.current().client_status == "complete"


@asynchronous
async def test_hooks_run_in_their_order() -> None:
    short = {"run_for": "10ms"}
    run = Run(
        allocation(
            task("init", hook="prestart", config=short), task("side", hook="prestart", sidecar=True), task("t", config={"run_for": "60ms"}),
            task("after", hook="poststart", config=short), task("clean", hook="poststop", config=short),
        )
    )  # fmt: skip
    await run.ended()
    begun = {name: one.state.started_at or "" for name, one in run.runner.runners.items()}
    assert begun["init"] < begun["t"] < begun["after"] < begun["clean"] and begun["side"] < begun["t"]
    assert "Main Tasks Dead" in run.events("side") and run.runner.current().client_status == "complete"


@asynchronous
async def test_a_failed_prestart_task_fails_everything_before_it_began() -> None:
    run = Run(allocation(task("init", hook="prestart", config={"exit_code": 1}), task("t")))
    await run.ended()
    assert run.events("t") == ["Received", "Sibling Task Failed", "Killing"]
    assert 'Task\'s sibling "init" failed' in run.texts("t")


@asynchronous
async def test_the_leader_takes_the_others_with_it() -> None:
    run = Run(allocation(task("t", config={"run_for": "20ms"}, leader=True), task("other")))
    await run.ended()
    assert run.events("other")[3:] == ["Leader Task Dead", "Killing", "Terminated", "Killed"]
    assert run.runner.current().client_status == "complete"


@asynchronous
async def test_an_allocation_waits_for_the_one_before_it() -> None:
    first = Run(allocation(task(config={"run_for": "10s", "kill_after": "50ms"})))
    await first.status("running")
    second = Run(allocation(task(), alloc_id="b"), (first.runner,))
    first.stop()
    await asyncio.sleep(0.02)
    assert second.runner.current().client_status == "pending" and second.events() == ["Received"]
    await second.status("running")
    assert first.runner.ended.is_set()
    second.runner.stop()


@asynchronous
async def test_one_that_still_waits_can_be_stopped() -> None:
    first = Run(allocation(task()))
    second = Run(allocation(task(), alloc_id="b"), (first.runner,))
    await second.until(lambda: bool(second.events()))
    second.stop()
    await second.ended()
    assert second.events() == ["Received", "Killing"]
    first.runner.stop()


@asynchronous
async def test_a_run_that_takes_too_long_is_complete() -> None:
    run = Run(allocation(task(), max_run_duration=30 * MS))
    await run.ended()
    said = run.runner.current()
    assert (said.client_status, said.client_description) == ("complete", "allocation exceeded max_run_duration")


# --- health

UPDATE = UpdateStrategy(health_check="task_states", min_healthy_time=30 * MS, healthy_deadline=5000 * MS)


@asynchronous
async def test_healthy_after_the_least_time() -> None:
    run = Run(allocation(task(), kind="service", update=UPDATE, deployment_id="d"))
    await run.status("running")
    assert run.health() is None
    await run.until(lambda: run.health() is not None)
    assert run.health() is True
    run.runner.stop()


@pytest.mark.parametrize(
    ("config", "update", "reason"),
    [
        ({"exit_code": 1}, UPDATE, "Unhealthy because of failed task"),
        (
            {"start_block_for": "10s"}, replace(UPDATE, healthy_deadline=30 * MS),
            "Task not running by healthy_deadline of 30ms",
        ),
        (
            {"run_for": "10s"}, replace(UPDATE, healthy_deadline=30 * MS, min_healthy_time=1000 * MS),
            "Task not running for min_healthy_time of 1s by healthy_deadline of 30ms",
        ),
    ],
)  # fmt: skip
@asynchronous
async def test_unhealthy_and_why(config: dict[str, Any], update: UpdateStrategy, reason: str) -> None:
    run = Run(allocation(task(config=config), kind="service", update=update, deployment_id="d"))
    await run.until(lambda: "Alloc Unhealthy" in run.events())
    assert run.health() is False and reason in run.texts()
    run.runner.stop()


@pytest.mark.parametrize(
    ("kind", "deployment", "group", "watched"),
    [
        ("service", "d", {"update": replace(UPDATE, health_check="manual")}, False),
        ("service", "", {"migrate": MigrateStrategy(min_healthy_time=10 * MS, healthy_deadline=1000 * MS)}, True),
        ("batch", "", {}, False),
    ],
)
@asynchronous
async def test_who_is_watched(kind: str, deployment: str, group: dict[str, Any], watched: bool) -> None:
    run = Run(allocation(task(), kind=kind, deployment_id=deployment, **group))
    await run.status("running")
    await asyncio.sleep(0.05)
    assert run.health() is (True if watched else None)
    run.runner.stop()


@asynchronous
async def test_a_new_deployment_begins_again() -> None:
    run = Run(allocation(task(), kind="service", update=UPDATE, deployment_id="d"))
    await run.until(lambda: run.health() is True)
    run.runner.update(replace(run.runner.allocation, deployment_id="d2"))
    assert run.health() is None
    await run.until(lambda: run.health() is True)
    run.runner.stop()


@pytest.mark.parametrize("name", ["..", ".", "a/b", "../x", "", "alloc"])
@asynchronous
async def test_s18_a_task_whose_name_leads_elsewhere_fails_with_an_event(name: str) -> None:
    run = Run(allocation(task("good"), task(name)))
    await run.ended()
    assert run.runner.current().client_status == "failed"
    assert run.texts(name)[-1] == "failed to setup alloc: Path escapes the alloc directory"
