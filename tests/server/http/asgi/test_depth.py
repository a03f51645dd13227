"""How deep bodies may be nested: counted as a reader of JSON would, and refused by every endpoint that takes one."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.process.servers import cluster, leader_of, single, small_job
from yurt.server.http.asgi.depth import is_deeper

VALUES = st.recursive(
    st.none() | st.integers() | st.text('a{}[]"\\\u2028'),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('a{["\\'), inner, max_size=4),
    max_leaves=30,
)


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth > 1 else []


@given(VALUES, st.sampled_from([None, 2]))
def test_the_depth_is_that_of_the_values(value: Any, indent: int | None) -> None:
    depth, body = depth_of(value), json.dumps(value, indent=indent).encode()
    assert not is_deeper(body, max(depth, 1))
    assert depth < 2 or is_deeper(body, depth - 1)


@pytest.mark.parametrize(
    ("body", "deeper"),
    [
        (b"", False),
        (b'{"a": 1}', False),
        (b'{"a": [{}]}', True),
        (b"[[],[],[],[]]", False),
        (b'["[[[[", "\\"[[[[", "\\\\", []]', False),
        (b'["\\\\", [[]]]', True),
        (b'"[[[[', False),  # a string that does not end
        (b'"[[[[\\', False),
        (b"[[[[", True),
        (b"]]]]", False),
    ],
)
def test_what_is_deeper_than_two(body: bytes, deeper: bool) -> None:
    assert is_deeper(body, 2) == deeper


def test_a_deep_place_is_found_wherever_it_is() -> None:
    wide = b"[]," * 100_000
    for body in (wide + b"[" * 9, b"[" + wide + b"[" * 8, b"[" * 4 + wide * 2 + b"[" * 5):
        assert is_deeper(body, 8) and not is_deeper(body, 9)


@pytest.mark.parametrize("part", [b"[],", b'"[', b'\\"', b"[", b'{"'])
def test_no_body_takes_long(part: bytes) -> None:
    began = time.process_time()
    is_deeper(b'{"' + part * ((4 << 20) // len(part)), 128)
    assert time.process_time() - began < 4, "in proportion to the body"


WRITES = [
    ("/v1/jobs", small_job("deep")),
    ("/v1/jobs/parse", {"JobHCL": "", "Variables": ""}),
    ("/v1/validate/job", small_job("deep")),
    ("/v1/search", {"Prefix": "a"}),
    ("/v1/namespaces", {"Name": "deep"}),
    ("/v1/var/deep", {"Items": {"a": "b"}}),
    ("/v1/operator/scheduler/configuration", {"SchedulerAlgorithm": "spread"}),
    ("/v1/acl/policy/deep", {"Name": "deep", "Rules": ""}),
]


def test_every_body_has_the_configured_bound(tmp_path: Path) -> None:
    with single(tmp_path, limits={"http_json_depth_max": 12}) as server:
        assert server.request("GET", "/v1/agent/self")[1]["config"]["Limits"]["HTTPJSONDepthMax"] == 12
        for path, body in WRITES:
            deep = server.request("PUT", path, {**body, "Unknown": nested(12)})
            assert deep == (400, "json: exceeded max depth"), path
            answer = server.request("PUT", path, {**body, "Unknown": nested(11)})
            assert answer[1] != "json: exceeded max depth", path
        assert server.request("GET", "/v1/job/deep")[0] == 200
        job = small_job("config")
        task = job["Job"]["TaskGroups"][0]["Tasks"][0]  # six deep, in the body's {}
        task["Config"] = {"args": nested(12 - 7)}
        assert server.request("PUT", "/v1/jobs", job)[0] == 200
        task["Config"] = {"args": nested(12 - 6)}
        assert server.request("PUT", "/v1/jobs", job) == (400, "json: exceeded max depth")


@pytest.mark.slow
def test_without_configuration_it_is_128_and_a_follower_says_so_itself(tmp_path: Path) -> None:
    with cluster(tmp_path) as servers:
        leader = leader_of(servers)
        assert leader.request("GET", "/v1/agent/self")[1]["config"]["Limits"]["HTTPJSONDepthMax"] == 128
        for server in servers:
            fits, deep = ({**small_job("deep"), "Unknown": nested(depth)} for depth in (127, 128))
            assert server.request("PUT", "/v1/jobs", fits)[0] == 200
            assert server.request("PUT", "/v1/jobs", deep) == (400, "json: exceeded max depth")
