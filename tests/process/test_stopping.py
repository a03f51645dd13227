"""A stop: who waits is answered at once, and the process is gone soon after."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from tests.process.servers import ServerProcess, single, small_job, wait_for


class Query(threading.Thread):
    """A blocking query in the background."""

    def __init__(self, server: ServerProcess, path: str) -> None:
        super().__init__(daemon=True)
        self.server, self.path = server, path
        self.answer: Any = None
        self.start()

    def run(self) -> None:
        self.answer = self.server.request("GET", self.path, timeout=90)


def test_a_stop_answers_blocking_queries_at_once(tmp_path: Path) -> None:
    with single(tmp_path) as server:
        assert server.request("PUT", "/v1/jobs", small_job("web"))[0] == 200
        paths = [f"/v1/job/web?index=100000&wait=60s&n={number}" for number in range(20)]
        paths += ["/v1/jobs?index=100000&wait=60s", "/v1/job/web/versions?index=100000&wait=60s"]
        queries = [Query(server, path) for path in paths]
        gauge = "yurt.http.blocking_queries"

        def waiting() -> bool:
            gauges = server.request("GET", "/v1/metrics")[1]["Gauges"]
            return next(one["Value"] for one in gauges if one["Name"] == gauge) == len(paths)

        wait_for(waiting, 10, "all wait")
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 3.0, "nobody waits for the end of a wait"
        for query in queries:
            query.join(5)
            assert query.answer is not None and query.answer[0] == 200, query.path
        assert queries[0].answer[1]["ID"] == "web"
        assert "stopped" in server.log()
