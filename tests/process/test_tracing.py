"""Traces, sent to a collector on loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.process.servers import ServerProcess, free_ports, single, small_job, wait_for

pytest.importorskip("opentelemetry.exporter.otlp.proto.http")  # of the extra `otel`
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

TRACE = "0af7651916cd43dd8448eb211c80319c"


class Collector:
    """Keeps the spans that are sent to it."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sent = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
                for resource in sent.resource_spans:
                    for scope in resource.scope_spans:
                        collector.spans += scope.spans
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def named(self, name: str) -> list[Any]:
        return [one for one in self.spans if one.name == name]


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_request_its_command_and_the_evaluation(tmp_path: Path, collector: Collector) -> None:
    telemetry = {"otel": True, "otel_endpoint": f"http://127.0.0.1:{collector.server.server_port}"}
    with single(tmp_path, telemetry=telemetry) as server:
        headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
        assert server.request("PUT", "/v1/jobs", small_job("a"), headers=headers)[0] == 200
        assert server.request("GET", "/v1/job/nobody")[0] == 404
        wait_for(lambda: collector.named("evaluate service") and collector.named("GET /v1/job/:id"), 20, "the spans")
        (request,) = collector.named("PUT /v1/jobs")
        assert request.trace_id.hex() == TRACE and request.parent_span_id.hex() == "b7ad6b7169203331"
        assert {one.key: one.value for one in request.attributes}["http.response.status_code"].int_value == 200
        (command,) = collector.named("propose RegisterJob")
        assert command.trace_id == request.trace_id and command.parent_span_id == request.span_id
        assert collector.named("GET /v1/job/:id")[0].trace_id != request.trace_id


def test_without_the_packages_it_says_what_to_do(tmp_path: Path) -> None:
    blocked = tmp_path / "blocked" / "opentelemetry"
    blocked.mkdir(parents=True)
    (blocked / "__init__.py").write_text("raise ImportError('not here')")
    server = ServerProcess(
        tmp_path, "one", *free_ports(2), server={"enabled": True, "bootstrap_expect": 1}, telemetry={"otel": True}
    )
    try:
        server.start(PYTHONPATH=str(tmp_path / "blocked"))
        assert server.process is not None
        assert server.process.wait(20) == 1
        assert "pip install 'yurt[otel]'" in server.log() and "Traceback" not in server.log()
    finally:
        server.end()
