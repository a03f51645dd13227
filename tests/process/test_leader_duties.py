"""The leader at work in a real process: it pauses and goes on, collects by its clock, begins with a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.process.servers import ServerProcess, single, small_job, wait_for

CONFIGURATION = "/v1/operator/scheduler/configuration"


def server_block(**keys: Any) -> dict[str, Any]:
    return {"enabled": True, "bootstrap_expect": 1, **keys}


def evaluations(server: ServerProcess, job_id: str) -> list[tuple[str, str]]:
    """Status and description of the job's evaluations, the oldest first."""
    found = sorted(server.request("GET", f"/v1/job/{job_id}/evaluations")[1], key=lambda one: one["CreateIndex"])
    return [(one["Status"], one.get("StatusDescription", "")) for one in found]


def test_a_cluster_begins_with_the_configured_scheduler_and_keeps_what_is_set_later(tmp_path: Path) -> None:
    wanted = {"scheduler_algorithm": "spread", "preemption_config": {"batch_scheduler_enabled": True}}
    with single(tmp_path, server=server_block(default_scheduler_config=wanted)) as server:

        def shown() -> tuple[str, bool, bool]:
            one = server.request("GET", CONFIGURATION)[1]["SchedulerConfig"]
            preemption = one["PreemptionConfig"]
            return (
                one["SchedulerAlgorithm"],
                preemption["BatchSchedulerEnabled"],
                preemption["SystemSchedulerEnabled"],
            )

        wait_for(lambda: shown() == ("spread", True, True), 5, "the configured one")
        assert server.request("PUT", CONFIGURATION, {"SchedulerAlgorithm": "binpack"})[0] == 200
        assert server.stop() == 0
        server.start().wait_ready()
        assert shown()[0] == "binpack", "the file is for the beginning only"


def test_a_paused_broker_keeps_evaluations_and_only_the_newest_of_a_job_is_worked_then(tmp_path: Path) -> None:
    with single(tmp_path) as server:
        wait_for(lambda: server.request("GET", CONFIGURATION)[1]["Index"] > 0, 5, "a configuration")
        assert server.request("PUT", CONFIGURATION, {"PauseEvalBroker": True})[0] == 200
        for priority in (50, 60, 70, 80):
            assert server.request("PUT", "/v1/jobs", small_job("web", Priority=priority))[0] == 200
        assert evaluations(server, "web") == [("pending", "")] * 4
        assert server.stop() == 0
        server.start().wait_ready()
        assert evaluations(server, "web") == [("pending", "")] * 4, "the next leader knows that it is paused"
        assert server.request("PUT", CONFIGURATION, {"PauseEvalBroker": False})[0] == 200

        def ended() -> bool:
            return all(status != "pending" for status, _ in evaluations(server, "web"))

        wait_for(ended, 10, "all evaluations ended")
        states = evaluations(server, "web")
        canceled = ("canceled", "canceled after more recent eval was processed")
        assert states.count(("complete", "")) == 2 and states.count(canceled) == 2, states
        assert states[-1] == ("complete", ""), "the newest is worked"


def test_the_leader_collects_by_its_clock(tmp_path: Path) -> None:
    ages = {"job_gc_threshold": "1ms", "eval_gc_threshold": "1ms", "batch_eval_gc_threshold": "1ms"}
    with single(tmp_path, server=server_block(job_gc_interval="300ms", **ages)) as server:
        assert server.request("PUT", "/v1/jobs", small_job("done", Type="batch"))[0] == 200
        assert server.request("PUT", "/v1/jobs", small_job("service", Type="service"))[0] == 200
        wait_for(lambda: server.request("GET", "/v1/job/done")[0] == 404, 10, "the dead batch job is collected")
        wait_for(lambda: server.request("GET", "/v1/evaluations")[1] == [], 10, "the evaluations are collected")
        assert server.request("GET", "/v1/job/service")[0] == 200, "a service that was not stopped stays"
