"""Absurd numbers and nesting in every place where a request has any: never an error of the server's own (S17)."""

from __future__ import annotations

import http.client
import inspect
import json
import re
import sys
from collections.abc import Iterator
from urllib.parse import quote

import msgspec
import pytest

from tests.process.servers import ServerProcess
from yurt.server.http.asgi import context as shared
from yurt.server.http.routing.route import Route
from yurt.server.http.routing.table import ROUTES

NINES = "9" * 5000
NUMBERS = (
    NINES,
    f"{NINES}.x",
    "²",
    "²3.x",
    f"{NINES}|x",
    "²|x",
    "1e999",
    "-" + NINES,
    "0x" + NINES,
    "٣",
    f'ID[0].² == "{NINES}"',
)
FOR_EVER = ("/v1/event/stream", "/v1/agent/monitor")
_PARAMETER = re.compile(r'(?:query\.get|query|flag|integer|_list_flag)(?:\(context, |\(|\[)"(\w+)"')
SHARED_BY = ("/v1/jobs", "/v1/evaluations", "/v1/jobs/statuses", "/v1/service/:name", "/v1/vars")
NO_JSON = ("/v1/operator/snapshot",)
LARGE_NUMBER = b"9" * 100_000
DEEP = b"[" * 400_000 + b"]" * 400_000


def parameters(route: Route) -> set[str]:
    """Return the parameters of the query in the module that answers; for some reads those that all reads share too."""
    handler = route.get or route.getter
    assert handler is not None
    modules = [sys.modules[handler.__module__], *([shared] if route.path in SHARED_BY else [])]
    return {name for module in modules for name in _PARAMETER.findall(inspect.getsource(module))}


def path_of(route: Route) -> str:
    return re.sub(r":\w+", "00000000-0000-0000-0000-000000000000", route.path)


def bodies(route: Route) -> Iterator[bytes]:
    """Yield bodies whose numbers and nesting nothing can take."""
    numbers = (
        [field for field in msgspec.structs.fields(route.body) if field.type in (int, float)] if route.body else []
    )
    for name in ("Unknown", *(field.encode_name for field in numbers)):
        yield b'{"%b":%b}' % (name.encode(), LARGE_NUMBER)
    yield b'{"Job":{"Priority":%b}}' % LARGE_NUMBER
    yield b'{"Job":{"ID":"a","TaskGroups":[{"Count":%b}]}}' % LARGE_NUMBER
    yield b'{"Count":%b,"JobVersion":%b,"ExpirationTTL":%b}' % (LARGE_NUMBER, LARGE_NUMBER, LARGE_NUMBER)
    yield b'{"Rules":"node { policy = %b }"}' % LARGE_NUMBER
    yield DEEP
    yield b'{"Unknown":%b}' % DEEP


class Client:
    """One connection that is made again where the server ended it."""

    def __init__(self, server: ServerProcess) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=20)

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, str]:
        self._connection.request(method, path, body)
        answer = self._connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")


READS = [route for route in ROUTES if (route.get or route.getter) and route.path not in FOR_EVER]
WRITES = [
    (route, method)
    for route in ROUTES
    for method, handler in (("PUT", route.put), ("DELETE", route.delete), ("POST", route.get if route.reads_by_post else None))
    if handler is not None and route.path not in NO_JSON
]  # fmt: skip


@pytest.mark.parametrize("route", READS, ids=lambda route: route.path)
def test_s17_no_parameter_of_a_read_breaks_it(server: ServerProcess, route: Route) -> None:
    client = Client(server)
    for name in sorted(parameters(route)):
        for number in NUMBERS:
            status, answer = client.ask("GET", f"{path_of(route)}?{name}={quote(number)}")
            assert not answer.startswith("internal error"), (name, number[:20], status)


@pytest.mark.parametrize(("route", "method"), WRITES, ids=[f"{method} {route.path}" for route, method in WRITES])
def test_s17_no_number_and_no_nesting_of_a_body_breaks_a_write(
    server: ServerProcess, route: Route, method: str
) -> None:
    client = Client(server)
    for body in bodies(route):
        status, answer = client.ask(method, path_of(route), body)
        assert not answer.startswith("internal error"), (body[:40], status)


def test_s17_a_priority_of_100_000_digits_is_the_clients_mistake(server: ServerProcess) -> None:
    body = b'{"Job":{"ID":"a","Priority":%b}}' % LARGE_NUMBER
    status, answer = Client(server).ask("PUT", "/v1/jobs", body)
    assert status == 400 and answer.startswith("json: cannot unmarshal number of 100000 digits")
    status, answer = Client(server).ask(
        "PUT", "/v1/agent-rpc/Node.UpdateAlloc", json.dumps({"Unknown": 1}).encode() + DEEP
    )
    assert (status, answer) == (400, "json: exceeded max depth")


def test_s17_the_server_noted_no_broken_request(server: ServerProcess) -> None:
    assert "a request broke" not in server.log() and "Traceback" not in server.log()
