"""Requests made from the API's own description: whatever is sent, the server does not break and answers as described."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings

from tests.process.servers import ServerProcess, single

pytest.importorskip("schemathesis")  # of the extra `ci`
import requests
import schemathesis
from schemathesis.specs.openapi import checks

# What never ends by itself, and what would take the server out of its own cluster.
LEFT_OUT = r"stream|/logs|/exec|/action|/monitor|snapshot|raft|/agent/|keyring"
EXAMPLES = 6
SECONDS_MAX = 1.5
HELD = [checks.content_type_conformance, checks.response_headers_conformance, checks.response_schema_conformance]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with single(tmp_path_factory.mktemp("fuzzed"), limits={"http_max_conns_per_client": 0}) as made:
        yield made
        assert made.answers(), "the server is still there"
        assert "Traceback" not in made.log(10**7)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_request_breaks_the_server_or_its_description(server: ServerProcess) -> None:
    described = schemathesis.openapi.from_url(f"http://127.0.0.1:{server.http_port}/openapi.json")
    operations = [found.ok() for found in described.exclude(path_regex=LEFT_OUT).get_all_operations()]
    assert len(operations) > 80
    statuses: Counter[int] = Counter()
    for operation in operations:

        @given(case=operation.as_strategy())
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        def send(case: schemathesis.Case) -> None:
            try:
                answer = case.call(timeout=SECONDS_MAX)
            except requests.exceptions.ReadTimeout:
                return  # a blocking query
            statuses[answer.status_code] += 1
            assert answer.status_code != 500 or b"internal error" not in answer.content, answer.text
            case.validate_response(answer, checks=HELD)

        send()
    assert statuses[200] > 20 and statuses.total() > 3 * len(operations), statuses
