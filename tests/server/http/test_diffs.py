"""Plans and lists of versions with diffs: what they answer, and that a plan changes nothing."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.process.servers import ServerProcess, small_job
from yurt.fsm import commands
from yurt.fsm.commands import RegisterJob
from yurt.fsm.errors import Refusal
from yurt.fsm.job.admit import Limits, admit
from yurt.fsm.job.decode import decode_body
from yurt.fsm.job.requests import RegisterRequest
from yurt.fsm.machine import Applied, Machine
from yurt.server.acl.authority import Authority
from yurt.server.config.agent import Acl
from yurt.server.http.asgi.context import Context
from yurt.server.http.query.found import Found
from yurt.server.http.query.reads import Reads
from yurt.server.http.routes.job_diffs import LARGE_BYTES
from yurt.server.http.routes.jobs_change import PLANNED_AT_ONCE, plan
from yurt.server.http.routes.jobs_read import read_versions
from yurt.server.platform.tzdb import zone
from yurt.server.platform.worker_thread import Background

LARGE_ENV = {f"NAME_{number}": "x" * 40 for number in range(2000)}


def body_of(job_id: str, **fields: Any) -> dict[str, Any]:
    body = small_job(job_id, **{key: value for key, value in fields.items() if key != "Env"})
    body["Job"]["TaskGroups"][0]["Tasks"][0]["Env"] = fields.get("Env")
    return body


class InProcess:
    """As much of a server as plans and reads use, on a machine of its own."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.background = Background()
        self.authority = Authority(Acl())
        self.limits, self.region = Limits(zones=zone), "global"
        self.is_ready, self.leader_address = True, "x"
        self.ids = iter(range(10**6))

    def view(self) -> Any:
        return self.machine.view()

    def now_ns(self) -> int:
        return 5

    def new_id(self) -> str:
        return f"id-{next(self.ids)}"

    def register(self, body: dict[str, Any]) -> None:
        decoded = decode_body(json.dumps(body).encode(), RegisterRequest)["Job"]
        job = admit(decoded, reader=self.view(), namespace="default", region="global", limits=self.limits).job
        outcome = self.machine.apply(commands.encode(RegisterJob(now_ns=5, job=job, eval_id=self.new_id())))
        assert isinstance(outcome, Applied)

    def context(self, job_id: str, body: Any = None, query: bytes = b"") -> Context:
        data = b"" if body is None else json.dumps(body).encode()
        one = Context(self, "POST", f"/v1/job/{job_id}", query, {}, data)  # type: ignore[arg-type]
        one.arguments = (job_id,)
        return one

    def snapshot(self) -> bytes:
        return b"".join(self.machine.write(self.machine.capture()))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"Priority": 60, "Meta": {"a": "b"}},
        {"Type": "batch"},
        {"Stop": True},
        {"TaskGroups": [{"Name": "new", "Count": 5, "Scaling": {"Max": 9}, "Tasks": [{"Name": "t", "Driver": "d"}]}]},
        {"Env": LARGE_ENV},
    ],
    ids=lambda changes: "+".join(changes) or "nothing",
)
@pytest.mark.parametrize("stored", [True, False], ids=["stored", "new"])
def test_a_plan_changes_nothing(changes: dict[str, Any], stored: bool) -> None:
    server = InProcess()
    if stored:
        server.register(body_of("web"))
    before, index = server.snapshot(), server.machine.index
    answer = asyncio.run(plan(server.context("web", {**body_of("web", **changes), "Diff": True})))
    assert answer.status == 200
    diff = json.loads(answer.body)["Diff"]
    assert diff["Type"] == ("Added" if not stored else "Edited" if changes else "None")
    assert (server.snapshot(), server.machine.index) == (before, index)
    server.background.close()


def test_a_refused_plan_changes_nothing() -> None:
    server = InProcess()
    before, index = server.snapshot(), server.machine.index
    with pytest.raises(Refusal):
        asyncio.run(plan(server.context("web", {"Job": {"ID": "web"}, "Diff": True})))
    assert (server.snapshot(), server.machine.index) == (before, index)


def test_diffs_of_large_versions_are_made_beside_the_loop_and_once() -> None:
    server, threads = InProcess(), []
    for number in range(3):
        server.register(body_of("web", Priority=50 + number, Env=LARGE_ENV))
    run = server.background.run

    async def noted(work: Callable[[], Any], client: str = "") -> Any:
        return await run(lambda: (threads.append(threading.current_thread().name), work())[1], client)

    server.background.run = noted  # type: ignore[method-assign, assignment]
    reads = Reads(waiters_max=9, jitter=lambda: 0.0)

    async def ask() -> list[Any]:
        questions = [reads.answer(server.context("web", query=b"diffs=true"), read_versions) for _ in range(5)]
        return [
            *await asyncio.gather(*questions),
            await reads.answer(server.context("web", query=b"diffs=true"), read_versions),
        ]

    answers = asyncio.run(ask())
    assert len({answer.body for answer in answers}) == 1 and len(threads) == 1 and threads[0].startswith("background")
    found = json.loads(answers[0].body)
    assert [[one["New"] for one in diff["Fields"]] for diff in found["Diffs"]] == [["52"], ["51"]]
    assert len(found["Versions"]) == 3 and len(answers[0].body) > LARGE_BYTES
    server.background.close()


def test_a_body_that_fails_is_made_again() -> None:
    server, reads, tries = InProcess(), Reads(waiters_max=9, jitter=lambda: 0.0), []

    def work() -> bytes:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("once")
        return b"{}"

    def query(*_args: Any) -> Found:
        return Found(b"", 7, (), later=work)

    async def ask() -> Any:
        return await reads.answer(server.context("web"), query)

    with pytest.raises(ValueError, match="once"):
        asyncio.run(ask())
    assert asyncio.run(ask()).body == b"{}"
    assert asyncio.run(ask()).body == b"{}" and len(tries) == 2
    server.background.close()


def test_who_shares_a_body_is_not_refused_for_the_work_of_another() -> None:
    server, reads, asked = InProcess(), Reads(waiters_max=9, jitter=lambda: 0.0), []
    run = server.background.run

    async def busy(work: Callable[[], Any], client: str = "") -> Any:
        asked.append(client)
        await asyncio.sleep(0)
        if client == "10.0.0.1":
            raise Refusal(429, "too much long work of your address is waiting; retry later")
        return await run(work, client)

    server.background.run = busy  # type: ignore[method-assign, assignment]
    found = Found(b"", 7, (), later=lambda: b"{}")

    def query(*_args: Any) -> Found:
        return found

    def asking(address: str) -> Any:
        context = server.context("web")
        context.address = address
        return reads.answer(context, query)

    async def main() -> list[Any]:
        addresses = ("10.0.0.1", "10.0.0.2", "10.0.0.1", "10.0.0.3")
        return await asyncio.gather(*map(asking, addresses), return_exceptions=True)

    first, second, third, fourth = asyncio.run(main())
    assert isinstance(first, Refusal) and first.status == 429
    assert second.body == third.body == fourth.body == b"{}"
    assert asked == ["10.0.0.1", "10.0.0.2"], "and all share what one of them begins"
    server.background.close()


def test_too_much_long_work_is_refused() -> None:
    async def crowd() -> list[Any]:
        background, gate = Background(pieces_max=2), threading.Event()
        pieces = [asyncio.ensure_future(background.run(gate.wait, client)) for client in "ab"]
        await asyncio.sleep(0)
        with pytest.raises(Refusal) as refused:
            await background.run(gate.wait, "a")
        gate.set()
        done: list[Any] = [refused.value.status, *await asyncio.gather(*pieces), await background.run(lambda: "again")]
        background.close()
        return done

    assert asyncio.run(crowd()) == [429, True, True, "again"]


def test_the_loop_goes_on_while_a_large_diff_is_made() -> None:
    """A piece of work in Python holds the loop up for a few switch intervals, not for its whole time."""

    async def longest_pause() -> tuple[float, float]:
        background, paused = Background(), 0.0
        started = time.perf_counter()
        piece = asyncio.ensure_future(background.run(lambda: sum(number % 7 for number in range(3_000_000))))
        while not piece.done():
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            paused = max(paused, time.perf_counter() - before)
        background.close()
        return paused, time.perf_counter() - started

    paused, whole = asyncio.run(longest_pause())
    assert paused < max(0.05, whole / 2)


@pytest.fixture
def versions(server: ServerProcess, fresh_id: Callable[[], str]) -> str:
    """A job of three versions, the second tagged."""
    job_id = fresh_id()
    for number in range(3):
        assert server.request("POST", "/v1/jobs", small_job(job_id, Priority=50 + number))[0] == 200
    assert server.request("POST", f"/v1/job/{job_id}/versions/gold/tag", {"Version": 1})[0] == 200
    return job_id


@pytest.mark.parametrize(
    ("query", "changes"),
    [
        ("", None),
        ("?diffs=false&diff_version=9", None),
        ("?diffs=true", ["51>52", "50>51"]),
        ("?diffs=true&diff_version=0", ["50>52", "50>51", ""]),
        ("?diffs=1&diff_version=2", ["", "52>51", "52>50"]),
        ("?diffs=true&diff_tag=gold", ["51>52", "", "51>50"]),
        ("?diffs=true&diff_tag=gold&diff_version=0", ["51>52", "", "51>50"]),
        ("?diffs=true&diff_tag=&diff_version=", ["51>52", "50>51"]),
    ],
)
def test_versions(server: ServerProcess, versions: str, query: str, changes: list[str] | None) -> None:
    status, found = server.request("GET", f"/v1/job/{versions}/versions{query}")
    assert status == 200 and len(found["Versions"]) == 3
    told = found["Diffs"] and [
        "".join(f"{one['Old']}>{one['New']}" for one in diff["Fields"] or ()) for diff in found["Diffs"]
    ]
    assert told == changes
    for diff in found["Diffs"] or ():
        assert diff["Type"] == ("Edited" if diff["Fields"] else "None")
        assert [group["Updates"] for group in diff["TaskGroups"]] == [None]


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        ("diffs=true&diff_version=7", 500, "version 7 not found"),
        ("diffs=true&diff_tag=zz", 500, 'tag "zz" not found'),
        ("diffs=maybe&diff_version=x", 500, 'Failed to parse value of "diffs" (maybe) as a bool: strconv.ParseBool: parsing "maybe": invalid syntax'),
        ("diffs=true&diff_version=-1", 500, 'Failed to parse value of "diff_version" (-1) as a uint64: strconv.ParseUint: parsing "-1": invalid syntax'),
        ("diff_version=18446744073709551616", 500, 'Failed to parse value of "diff_version" (18446744073709551616) as a uint64: strconv.ParseUint: parsing "18446744073709551616": value out of range'),
    ],
)  # fmt: skip
def test_bad_values(server: ServerProcess, versions: str, query: str, status: int, text: str) -> None:
    assert server.request("GET", f"/v1/job/{versions}/versions?{query}") == (status, text)


def test_diffs_of_one_version(server: ServerProcess, fresh_id: Callable[[], str]) -> None:
    job_id = fresh_id()
    server.request("POST", "/v1/jobs", small_job(job_id))
    assert server.request("GET", f"/v1/job/{job_id}/versions?diffs=true")[1]["Diffs"] is None
    (diff,) = server.request("GET", f"/v1/job/{job_id}/versions?diffs=true&diff_version=0")[1]["Diffs"]
    assert diff["Type"] == "None"
    assert server.request("GET", f"/v1/job/{job_id}-not/versions?diffs=true&diff_version=0") == (
        404,
        "job versions not found",
    )


def test_a_plan_of_many_allocations_on_a_real_server(server: ServerProcess, fresh_id: Callable[[], str]) -> None:
    job_id = fresh_id()
    body = body_of(job_id)
    for count in (2, PLANNED_AT_ONCE + 2):  # in the loop, and beside it
        body["Job"]["TaskGroups"][0]["Count"] = count
        status, found = server.request("POST", f"/v1/job/{job_id}/plan", body)
        assert status == 200
        wanted = found["Annotations"]["DesiredTGUpdates"][body["Job"]["TaskGroups"][0]["Name"]]
        assert wanted["Place"] == count
    assert server.request("GET", f"/v1/job/{job_id}")[0] == 404, "a plan changes nothing"


def test_a_large_plan_on_a_real_server(server: ServerProcess, fresh_id: Callable[[], str]) -> None:
    job_id = fresh_id()
    server.request("POST", "/v1/jobs", body_of(job_id))
    status, found = server.request("POST", f"/v1/job/{job_id}/plan", {**body_of(job_id, Env=LARGE_ENV), "Diff": True})
    (task,) = found["Diff"]["TaskGroups"][0]["Tasks"]
    assert status == 200 and len(task["Fields"]) == len(LARGE_ENV)
    assert task["Annotations"] == ["forces create/destroy update"]
    index = server.request("GET", f"/v1/job/{job_id}")[1]["JobModifyIndex"]
    assert found["Index"] == found["JobModifyIndex"] == index


@pytest.mark.parametrize(
    ("periodic", "launch"),
    [
        (None, None),
        ({"Specs": ["0 12 2 1 *"]}, "1970-01-02T12:00:00Z"),
        ({"Specs": ["0 12 2 1 *"], "TimeZone": "America/New_York"}, "1970-01-02T17:00:00Z"),
        ({"Specs": ["0 12 2 1 *", "0 0 2 1 *"]}, "1970-01-02T00:00:00Z"),
        ({"Spec": "@hourly"}, "1970-01-01T01:00:00Z"),
        ({"Specs": ["0 12 2 1 *"], "Enabled": False}, None),
        ({"Specs": ["0 0 30 2 *"]}, None),
    ],
)
def test_a_plan_says_when_a_periodic_job_is_launched(periodic: Any, launch: str | None) -> None:
    server = InProcess()
    body = small_job("web", Type="batch", **({} if periodic is None else {"Periodic": periodic}))
    assert json.loads(asyncio.run(plan(server.context("web", body))).body)["NextPeriodicLaunch"] == launch


def test_a_plan_of_a_parameterized_periodic_job_says_it_too() -> None:
    body = small_job("web", Type="batch", Periodic={"Specs": ["0 12 2 1 *"]}, ParameterizedJob={})
    found = json.loads(asyncio.run(plan(InProcess().context("web", body))).body)
    assert found["NextPeriodicLaunch"] == "1970-01-02T12:00:00Z"
