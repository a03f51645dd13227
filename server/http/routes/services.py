"""Registered services (spec cluster §8; node-agent §13)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from yurt.fsm.commands_services import DeleteServices
from yurt.fsm.errors import Refusal
from yurt.fsm.lang.strconv import parse_position
from yurt.fsm.store.postings import gradually
from yurt.fsm.store.schema import ALLOCATIONS, SERVICE_REGISTRATIONS
from yurt.fsm.store.view import View
from yurt.fsm.structs.base import Record, to_json
from yurt.fsm.structs.registration import ServiceRegistration
from yurt.server.http.asgi.context import Answer, Context, ReadOptions, index_header
from yurt.server.http.query.found import Found
from yurt.server.http.query.listing import Listing, join, stored
from yurt.server.http.routes.allocations import LOOKUP
from yurt.server.http.routes.lookup import check_uuid, missing
from yurt.server.platform.turns import Steps

_FORM = "failed to choose services: Parameter for choose must be in form '<number>|<key>'"


class ServiceStub(Record, frozen=True):
    """A service with the tags of all its registrations."""

    service_name: str
    tags: tuple[str, ...]


class NamespaceServices(Record, frozen=True):
    """The services of a namespace."""

    namespace: str
    services: tuple[ServiceStub, ...]


def list_services(view: View, context: Context, options: ReadOptions) -> Steps[Found]:
    """GET /v1/services: names with all their tags, by namespace."""
    if context.identity.claims is None and not context.identity.rights.in_namespace("*", *context.need.any_of):
        return Found(b"[]", 0, ())
    found: dict[str, dict[str, dict[str, None]]] = {}
    for one in view.scan(SERVICE_REGISTRATIONS):
        if context.namespace in ("*", one.namespace) and (context.identity.claims or context.sees(one.namespace)):
            tags = found.setdefault(one.namespace, {}).setdefault(one.service_name, {})
            tags.update(dict.fromkeys(one.tags or ()))
        yield
    body = []
    for namespace, services in sorted(found.items()):
        stubs = []
        for name in gradually(services.keys()):
            if name is not None:
                stubs.append(ServiceStub(service_name=name, tags=tuple(services[name])))
            yield
        body.append(NamespaceServices(namespace=namespace, services=tuple(stubs)))
    index = view.table_index(SERVICE_REGISTRATIONS)
    return Found(to_json(body), index, ((SERVICE_REGISTRATIONS, None),))


def read_service(view: View, context: Context, options: ReadOptions) -> Steps[Found]:
    """GET /v1/service/:name: its registrations; `choose=N|KEY` picks N of them, the same ones for the same key."""
    name = context.arguments[0]
    if not name:
        raise Refusal(400, "missing service name")
    rows: Iterable[Any] = view.each(
        SERVICE_REGISTRATIONS, "service", (context.namespace, name)
    )  # by ID, the table's key
    if choose := context.query.get("choose", ""):
        rows = yield from _chosen(rows, choose)
    index, watch = view.table_index(SERVICE_REGISTRATIONS), ((SERVICE_REGISTRATIONS, None),)
    form = stored(context, SERVICE_REGISTRATIONS)
    return (yield from Listing(rows, form, index, watch, options, lambda one: one.id).steps())


def _chosen(rows: Iterable[ServiceRegistration | None], choose: str) -> Steps[list[ServiceRegistration]]:
    """By rendezvous hashing: who goes takes only its own share along."""
    text, bar, key = choose.partition("|")
    number = parse_position(text)
    if not bar or number is None:
        raise Refusal(400, _FORM)
    by_digest: dict[bytes, ServiceRegistration] = {}
    for row in rows:
        if row is not None:
            by_digest[hashlib.sha256(f"{key}\0{row.id}".encode()).digest()] = row
        yield
    found: list[ServiceRegistration] = []
    for digest in gradually(by_digest.keys()):
        if len(found) >= number:
            break
        if digest is not None:
            found.append(by_digest[digest])
        yield
    return found


async def delete_service(context: Context) -> Answer:
    """DELETE /v1/service/:name/:id."""
    parts = context.arguments[0].split("/")
    if len(parts) > 2:
        raise Refusal(400, "invalid URI")
    if not parts[0]:
        raise Refusal(400, "missing service name")
    if len(parts) < 2 or not parts[1]:
        raise Refusal(400, "missing service id")
    server = context.server
    command = DeleteServices(now_ns=server.now_ns(), ids=(parts[1],), namespace=context.namespace, name=parts[0])
    result = await server.propose(command)
    return Answer(200, b"", (index_header(result.index),))


def allocation_services(view: View, context: Context, options: ReadOptions) -> Found:
    """GET /v1/allocation/:id/services."""
    alloc_id = context.arguments[0]
    check_uuid(alloc_id, LOOKUP)
    watch = ((SERVICE_REGISTRATIONS, None), (ALLOCATIONS, alloc_id))
    allocation = view.get(ALLOCATIONS, alloc_id)
    if allocation is None:
        return missing("allocation not found", 0, *watch)
    context.allow(allocation.namespace)
    rows = sorted(view.find(SERVICE_REGISTRATIONS, "alloc", alloc_id), key=lambda one: one.id)
    body = join(map(stored(context, SERVICE_REGISTRATIONS), rows))  # as many as the tasks of one allocation have
    return Found(body, max((one.modify_index for one in rows), default=0), watch)
