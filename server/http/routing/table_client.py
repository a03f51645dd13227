"""The part of the route table that nodes answer: /v1/client/… (spec node-agent §15, §16)."""

from __future__ import annotations

from typing import Any

from yurt.server.client.checks import CheckResult
from yurt.server.client.files import FileInfo
from yurt.server.client.metadata import MetadataShown
from yurt.server.client.usage import AllocationUsage, HostUsage
from yurt.server.http.asgi.answers import IndexAnswer
from yurt.server.http.routes import client
from yurt.server.http.routing.route import REFUSED, TEXT, Route

_FS = "its read-fs"
FILES: dict[str, tuple[str, Any]] = {
    "ls": (_FS, list[FileInfo]),
    "stat": (_FS, FileInfo),
    "cat": (_FS, TEXT),
    "readat": (_FS, TEXT),
    "stream": (_FS, TEXT),
    "logs": ("its read-logs|read-fs", (Any, TEXT)),
}
_F, _A = "/v1/client/fs", "/v1/client/allocation/:id"
_of = client.of_allocation

CLIENT_FIXED: tuple[Route, ...] = (
    Route("/v1/client/stats", "node:read", getter=client.of_node("stats"), local=True, answer=HostUsage),
    Route(
        "/v1/client/metadata", "node:read", put_capability="node:write", reads_by_post=True, local=True,
        getter=client.of_node("metadata"), answer=MetadataShown,
    ),
    Route(
        "/v1/client/gc", "node:write", local=True, get_has_effects=True,
        getter=client.of_node("gc"), answer=None, put=client.of_node("gc"), put_answer=None,
    ),
)  # fmt: skip
CLIENT_PREFIXES: tuple[tuple[str, Route], ...] = (
    *(
        (f"{_F}/{name}/", Route(f"{_F}/{name}/:id", right, getter=_of(name), local=True, answer=answer))
        for name, (right, answer) in FILES.items()
    ),
    (f"{_F}/", Route(f"{_F}/:other", "", getter=client.no_such_method, local=True, answer=REFUSED)),
    (
        "/v1/client/allocation/",
        Route(_A, "", getter=client.no_such_resource, any_method=True, local=True, answer=REFUSED),
    ),
)
_ENDINGS = (
    Route(f"{_A}/exec", "its alloc-exec", getter=client.no_websocket, any_method=True, local=True, answer=REFUSED),
    Route(f"{_A}/checks", "its read-job", getter=_of("checks"), local=True, answer=dict[str, CheckResult]),
    Route(f"{_A}/stats", "its read-job", getter=_of("stats"), local=True, answer=AllocationUsage),
    Route(
        f"{_A}/pause", "its submit-job|pause-allocation", local=True, get_has_effects=True,
        getter=_of("pause"), answer=REFUSED, put=_of("pause"), put_answer=REFUSED,
    ),
    Route(f"{_A}/restart", "its alloc-lifecycle", put=_of("restart"), local=True, put_answer=IndexAnswer),
    Route(f"{_A}/signal", "its alloc-lifecycle", put=_of("signal"), local=True, put_answer=IndexAnswer),
    Route(
        f"{_A}/gc", "its submit-job|gc-allocation", local=True, get_has_effects=True,
        getter=_of("gc"), answer=None, put=_of("gc"), put_answer=None,
    ),
)  # fmt: skip
CLIENT_ENDINGS: dict[str, tuple[tuple[str, Route], ...]] = {
    _A: tuple((route.path.removeprefix(_A), route) for route in _ENDINGS),
}
