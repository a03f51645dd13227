"""The part of the route table that nodes answer: /v1/client/… (spec node-agent §15, §16)."""

from __future__ import annotations

from yurt.server.http.route import Route
from yurt.server.http.routes import client

FILES = {
    name: "read-logs|read-fs" if name == "logs" else "read-fs"
    for name in ("ls", "stat", "cat", "readat", "stream", "logs")
}
_F, _A = "/v1/client/fs", "/v1/client/allocation/:id"

CLIENT_FIXED: tuple[Route, ...] = (
    Route("/v1/client/stats", "node:read", getter=client.of_node("stats"), local=True),
    Route(
        "/v1/client/metadata",
        "node:read",
        put_capability="node:write",
        getter=client.of_node("metadata"),
        reads_by_post=True,
        local=True,
    ),
    Route("/v1/client/gc", "node:write", getter=client.of_node("gc"), put=client.of_node("gc"), local=True),
)
CLIENT_PREFIXES: tuple[tuple[str, Route], ...] = (
    *(
        (f"{_F}/{name}/", Route(f"{_F}/{name}/:id", f"its {right}", getter=client.of_allocation(name), local=True))
        for name, right in FILES.items()
    ),
    (f"{_F}/", Route(f"{_F}/:other", "", getter=client.no_such_method, local=True)),
    ("/v1/client/allocation/", Route(_A, "", getter=client.no_such_resource, any_method=True, local=True)),
)
CLIENT_ENDINGS: dict[str, tuple[tuple[str, Route], ...]] = {
    _A: (
        ("/exec", Route(f"{_A}/exec", "its alloc-exec", getter=client.no_websocket, any_method=True, local=True)),
        ("/checks", Route(f"{_A}/checks", "its read-job", getter=client.of_allocation("checks"), local=True)),
        ("/stats", Route(f"{_A}/stats", "its read-job", getter=client.of_allocation("stats"), local=True)),
        (
            "/pause",
            Route(
                f"{_A}/pause",
                "its submit-job|pause-allocation",
                getter=client.of_allocation("pause"),
                put=client.of_allocation("pause"),
                local=True,
            ),
        ),
        ("/restart", Route(f"{_A}/restart", "its alloc-lifecycle", put=client.of_allocation("restart"), local=True)),
        ("/signal", Route(f"{_A}/signal", "its alloc-lifecycle", put=client.of_allocation("signal"), local=True)),
        (
            "/gc",
            Route(
                f"{_A}/gc",
                "its submit-job|gc-allocation",
                getter=client.of_allocation("gc"),
                put=client.of_allocation("gc"),
                local=True,
            ),
        ),
    ),
}
