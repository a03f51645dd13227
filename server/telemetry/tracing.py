"""OpenTelemetry traces: requests, the commands they propose, evaluations; only with the extra `otel`, and switched on.

Nothing of it is imported or called otherwise. The exporter is told by the configuration and by OTEL_* variables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from yurt import __version__
from yurt.fsm.errors import YurtError

if TYPE_CHECKING:
    from yurt.fsm.commands import Command
    from yurt.fsm.structs.evaluation import Evaluation
    from yurt.server.config.agent import AgentConfig

CARRIED = (b"traceparent", b"tracestate")


class NoTracing(YurtError):
    """Traces are asked for, but the packages for them are not installed."""


class Tracing:
    """Spans of one server. Those of a request belong to the trace that its `traceparent` names."""

    def __init__(self, provider: Any, propagator: Any) -> None:
        self._provider, self._propagator = provider, propagator
        self._tracer = provider.get_tracer("yurt", __version__)

    @contextmanager
    def request(self, method: str, headers: Mapping[bytes, bytes]) -> Iterator[Any]:
        """A request; give the span to `answered`."""
        carrier = {name.decode(): headers[name].decode("latin-1") for name in CARRIED if name in headers}
        parent = self._propagator.extract(carrier)
        kind = _kinds().SERVER
        with self._tracer.start_as_current_span(method, context=parent, kind=kind) as span:
            span.set_attribute("http.request.method", method)
            yield span

    @staticmethod
    def answered(span: Any, method: str, route: str, status: int) -> None:
        """The endpoint and the status are known."""
        span.update_name(f"{method} {route or 'unknown'}")
        span.set_attribute("http.route", route)
        span.set_attribute("http.response.status_code", status)

    @contextmanager
    def proposal(self, command: Command) -> Iterator[None]:
        """A command from its proposal until it is applied."""
        with self._tracer.start_as_current_span(f"propose {type(command).__name__}"):
            yield

    @contextmanager
    def evaluation(self, evaluation: Evaluation) -> Iterator[None]:
        """A decision of the scheduler."""
        with self._tracer.start_as_current_span(f"evaluate {evaluation.type}") as span:
            for name in ("id", "namespace", "job_id", "triggered_by"):
                span.set_attribute(f"yurt.evaluation.{name}", getattr(evaluation, name))
            yield

    def stop(self) -> None:
        """Send what waits."""
        self._provider.shutdown()


def tracing(config: AgentConfig) -> Tracing | None:
    """The tracing that the configuration asks for; raises `NoTracing` if it cannot be."""
    if not config.telemetry.otel:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
    except ImportError as error:
        raise NoTracing(f"telemetry.otel needs the extra `otel`: pip install 'yurt[otel]' ({error})") from error
    resource = Resource.create(
        {"service.name": "yurt", "service.version": __version__, "service.instance.id": config.node_name}
    )
    provider = TracerProvider(resource=resource)
    endpoint = config.telemetry.otel_endpoint
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces") if endpoint else OTLPSpanExporter()
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Tracing(provider, TraceContextTextMapPropagator())


def _kinds() -> Any:
    from opentelemetry.trace import SpanKind

    return SpanKind
