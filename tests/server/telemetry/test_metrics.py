"""Metrics: both forms, and that what dashboards and alerts ask for is there."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from tests.process.servers import single, small_job
from yurt.server.telemetry.metrics import BOUNDS_SECONDS, Metrics

MONITORING = Path(__file__).parents[3] / "deploy" / "monitoring"
_SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-z_]+="(?:[^"\\]|\\.)*",?)*\})? (-?[0-9.e+-]+|[+-]?Inf|NaN)')
_TYPE = re.compile(r"# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|summary|histogram)")


def parsed(text: str) -> dict[str, dict[str, float]]:
    """Metric → labels → value of an exposition; every line must be one, and every metric typed once, before it."""
    types: dict[str, str] = {}
    found: dict[str, dict[str, float]] = {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("#"):
            match = _TYPE.fullmatch(line)
            assert match and match[1] not in types, line
            types[match[1]] = match[2]
            continue
        match = _SAMPLE.fullmatch(line)
        assert match, line
        base = re.sub("_(sum|count|bucket)$", "", match[1])
        assert match[1] in types or types.get(base) in ("summary", "histogram"), line
        labels = match[2] or ""
        assert labels not in found.setdefault(match[1], {}), line
        found[match[1]][labels] = float(match[3])
    return found


def test_counters_and_labels() -> None:
    metrics = Metrics()
    metrics.count("a.b", labels=(("route", 'x"y\\z\n'),))
    metrics.count("a.b", 2, labels=(("route", "other"),))
    metrics.count("a.b", 3, labels=(("route", "other"),))
    found = parsed(metrics.prometheus())
    assert found["a_b"] == {'{route="x\\"y\\\\z\\n"}': 1.0, '{route="other"}': 5.0}
    (one, _) = metrics.shown()["Counters"]
    assert one["Name"] == "a.b" and one["Labels"] == {"route": "other"} and one["Count"] == 2 and one["Sum"] == 5.0


def test_a_histogram_counts_up() -> None:
    metrics = Metrics()
    for value in (0.0005, 0.001, 0.02, 0.3, 99.0):
        metrics.observe("t.seconds", value)
    found = parsed(metrics.prometheus())
    counts = list(found["t_seconds_bucket"].values())
    assert len(counts) == len(BOUNDS_SECONDS) + 1 and counts == sorted(counts)
    assert found["t_seconds_bucket"]['{le="0.001"}'] == 2 and found["t_seconds_bucket"]['{le="+Inf"}'] == 5
    assert found["t_seconds_count"][""] == 5 and found["t_seconds_sum"][""] == pytest.approx(99.3215)
    assert metrics.shown()["Samples"][0]["Max"] == 99.0


def test_the_json_form_is_of_an_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics()
    metrics.sample("a", 5.0)
    assert metrics.shown()["Samples"][0]["Mean"] == 5.0
    assert metrics.shown()["Samples"][0]["Count"] == 0, "it was told, and a new interval has begun"
    metrics.gauge("g", lambda: 7.0)
    metrics.group("p", lambda: {"s1": {"sent": 3.0}})
    gauges = metrics.shown()["Gauges"]
    assert {"Name": "g", "Labels": {}, "Value": 7.0} in gauges
    assert {"Name": "p.sent", "Labels": {"peer": "s1"}, "Value": 3.0} in gauges


def names_in(expression: str) -> set[str]:
    plain = re.sub(r'\{[^}]*\}|\[[^]]*\]|"[^"]*"|by \([^)]*\)', "", expression)
    return {
        one
        for one in re.findall(r"[a-zA-Z_][a-zA-Z0-9_]*(?!\w*\()", plain)
        if one.startswith(("yurt_", "nomad_", "process_"))
    }


def wanted() -> dict[str, set[str]]:
    """Every metric that the dashboard and the alert rules ask for."""
    dashboard: dict[str, Any] = json.loads((MONITORING / "grafana-dashboard.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked += re.findall(r"^ +expr: (.*)$", (MONITORING / "alerts.yml").read_text(), re.MULTILINE)
    return {expression: names_in(expression) for expression in asked}


def test_what_dashboard_and_alerts_ask_for_is_served(tmp_path: Path) -> None:
    audit = {"enabled": True, "sink": {"file": {"path": "/dev/full"}}}
    with single(tmp_path, telemetry={"prometheus_metrics": True}, audit=audit) as server:
        assert (
            server.request(
                "PUT",
                "/v1/jobs",
                {
                    "Job": {
                        **small_job("a")["Job"],
                        "TaskGroups": [{"Name": "g", "Count": 1, "Tasks": [{"Name": "t", "Driver": "mock_driver"}]}],
                    }
                },
            )[0]
            == 200
        )
        time.sleep(0.5)
        served = parsed(server.request("GET", "/v1/metrics?format=prometheus")[1])
        assert served["nomad_nomad_job_status_running"][""] == 1
        asked = wanted()
        assert len(asked) > 25
        missing = {expression: names - set(served) for expression, names in asked.items() if names - set(served)}
        assert {name for names in missing.values() for name in names} <= {"nomad_nomad_plan_node_rejected"}, missing
