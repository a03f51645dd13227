"""Search: things by the beginning of their ID, or by a part of their name (spec cluster §9)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import msgspec

from yurt.fsm.acl.rights import Rights
from yurt.fsm.errors import Refusal
from yurt.fsm.job.decode import decode_body
from yurt.fsm.store.schema import (
    ALLOCATIONS,
    DEPLOYMENTS,
    EVALUATIONS,
    JOBS,
    NAMESPACES,
    NODE_POOLS,
    NODES,
    VARIABLES,
    Table,
)
from yurt.fsm.store.view import View
from yurt.fsm.structs.base import Record, to_json
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.variable import Variable
from yurt.server.acl.authority import denied
from yurt.server.http.context import Answer, Context, index_header, json_answer
from yurt.server.http.reads import KNOWN, NO_CONTACT
from yurt.server.http.routes.lookup import check_hex

MATCHES_MAX = 20
FUZZY_MATCHES_MAX = 100
TERM_LENGTH_MIN = 2
CONTEXTS = (
    "allocs", "jobs", "nodes", "node_pools", "evals", "deployment", "plugins", "volumes", "scaling_policy", "vars",
    "namespaces", "host_volumes",
)  # fmt: skip
# Contexts whose IDs are UUIDs: a prefix that is none finds nothing there.
_UUIDS: dict[str, Table[str, Any]] = {
    "allocs": ALLOCATIONS, "nodes": NODES, "evals": EVALUATIONS, "deployment": DEPLOYMENTS,
}  # fmt: skip
_TABLES: dict[str, Table[Any, Any]] = {
    **_UUIDS, "jobs": JOBS, "vars": VARIABLES, "node_pools": NODE_POOLS, "namespaces": NAMESPACES,
    "scaling_policy": JOBS,
}  # fmt: skip


class SearchRequest(Record, frozen=True):
    """POST /v1/search and /v1/search/fuzzy."""

    prefix: str = ""
    text: str = ""
    context: str = ""


class SearchAnswer(Record, frozen=True, kw_only=True):
    """IDs by their kind, and of which kinds there are more."""

    index: int
    known_leader: bool = True
    last_contact: int = 0
    matches: dict[str, tuple[str, ...] | None]
    next_token: str = ""
    truncations: dict[str, bool]


class FuzzyMatch(Record, frozen=True):
    """Something whose name has the text in it, and where it is."""

    id: str
    scope: tuple[str, ...]


class FuzzyAnswer(Record, frozen=True, kw_only=True):
    """What was found by its kind, and of which kinds there is more."""

    index: int
    known_leader: bool = True
    last_contact: int = 0
    matches: dict[str, tuple[FuzzyMatch, ...]]
    next_token: str = ""
    truncations: dict[str, bool]


def _request(context: Context) -> tuple[SearchRequest, list[str]]:
    """What is searched, and in which contexts."""
    given = msgspec.convert(decode_body(context.body, SearchRequest), SearchRequest)
    if given.context == "all":
        return given, list(CONTEXTS)
    if given.context not in CONTEXTS:
        known = f"[{' '.join(CONTEXTS)}] or 'all' for all contexts"
        raise Refusal(500, f'context must be one of {known}; got "{given.context}"')
    return given, [given.context]


def _allowed(context: Context, given: SearchRequest, contexts: list[str]) -> list[str]:
    """The contexts that the token may search; raises Refusal(403) if it asked for another by name."""
    found = [one for one in contexts if _may_search(context, one)]
    if given.context != "all" and not found:
        raise denied()
    return found


def _may_search(context: Context, name: str) -> bool:
    rights, namespace = context.identity.rights, context.namespace
    if name == "nodes":
        return rights.with_cluster("node", "read")
    if name == "node_pools":
        return rights.with_any_pool()
    if name == "namespaces":
        return rights.sees_namespace(namespace) if namespace != "*" else rights.sees_any_namespace()
    if name == "vars":
        return rights.with_any_variable()
    if name == "plugins":
        return rights.with_cluster("plugin", "list")
    if name == "host_volumes":
        return rights.in_namespace(namespace, "host-volume-read")
    if name == "volumes":
        return rights.in_namespace(namespace, "csi-list-volume", "csi-read-volume", "list-jobs", "read-job")
    return rights.in_namespace(namespace, "read-job")


async def search(context: Context) -> Answer:
    """POST /v1/search."""
    given, contexts = _request(context)
    view, cut = context.server.view(), {}
    matches: dict[str, tuple[str, ...] | None] = {}
    contexts = _allowed(context, given, contexts)
    for name in contexts:
        if name in _UUIDS:
            try:
                check_hex(given.prefix, "")
            except Refusal:
                if given.context == "all":
                    continue
                raise
        found = tuple(islice(_beginning(view, context, name, given.prefix), MATCHES_MAX + 1))
        matches[name] = found[:MATCHES_MAX] or None
        cut[name] = len(found) > MATCHES_MAX
    index = _index(view, contexts)
    body = SearchAnswer(index=index, matches=matches, truncations=cut)
    return json_answer(to_json(body), index_header(index), KNOWN, NO_CONTACT)


def _index(view: View, contexts: list[str]) -> int:
    return max((view.table_index(_TABLES[name]) for name in contexts if name in _TABLES), default=0)


def _beginning(view: View, context: Context, name: str, prefix: str) -> Iterator[str]:
    if name in _UUIDS:
        rows = view.scan(_UUIDS[name], prefix=prefix.lower() or None)
        return (row.id for row in rows if name == "nodes" or _sees(context, row.namespace))
    if name == "jobs":
        return (job.id for job in _jobs(view, context, prefix))
    if name in _SEEN:
        return (row.name for row in _seen(view, context, name, prefix))
    if name == "vars":
        return (row.path for row in _variables(view, context) if row.path.startswith(prefix))
    if name == "scaling_policy":
        return (one for job in _jobs(view, context, "") for one in _policies(job) if one.startswith(prefix))
    return iter(())


def _seen(view: View, context: Context, name: str, prefix: str = "") -> Iterator[Any]:
    """Namespaces or node pools that the token may know of."""
    may = _SEEN[name]
    return (row for row in view.scan(_TABLES[name], prefix=prefix or None) if may(context.identity.rights, row.name))


def _variables(view: View, context: Context) -> Iterator[Variable]:
    wanted, may = context.namespace, context.identity.rights.with_variable
    rows = (row for row in view.scan(VARIABLES) if wanted in ("*", row.namespace))
    return (row for row in rows if may(row.namespace, row.path, "list"))


def _sees(context: Context, namespace: str) -> bool:
    return context.namespace in ("*", namespace) and context.identity.rights.in_namespace(namespace, "read-job")


def _jobs(view: View, context: Context, prefix: str) -> Iterator[Job]:
    namespace = context.namespace
    if namespace == "*":
        return (job for job in view.scan(JOBS) if job.id.startswith(prefix) and _sees(context, job.namespace))
    rows = view.scan(JOBS, prefix=(namespace, prefix))
    return (job for job in rows if job.namespace == namespace and _sees(context, namespace))


def _policies(job: Job) -> Iterable[str]:
    return (group.scaling.id for group in job.task_groups or () if group.scaling is not None)


# --- fuzzy

Named = Iterator[tuple[str, str, list[str]]]  # kind, name, scope


async def fuzzy(context: Context) -> Answer:
    """POST /v1/search/fuzzy: everything is looked at, the hundred best of a kind are answered."""
    given, contexts = _request(context)
    text = given.text.lower()
    if context.server.config.server.search.get("fuzzy_enabled", True) is False:
        raise Refusal(500, "fuzzy search is not enabled")
    if len(text) < TERM_LENGTH_MIN:
        raise Refusal(500, f"fuzzy search query must be at least {TERM_LENGTH_MIN} characters, got {len(text)}")
    if given.context != "all" and context.namespace != "*":
        _allowed(context, given, contexts)
    contexts = [one for one in contexts if _may_search(context, one)]
    view = context.server.view()
    found: dict[str, list[tuple[int, int, str, list[str]]]] = {}
    for name in contexts:
        found.setdefault(name, [])
        for kind, own, scope in _NAMES.get(name, _nothing)(view, context):
            position = own.lower().find(text)
            if position >= 0:
                found.setdefault(kind, []).append((position, len(own), own, scope))
    matches, cut = {}, {}
    for kind, rows in found.items():
        rows.sort()
        best = rows[:FUZZY_MATCHES_MAX]
        matches[kind] = tuple(FuzzyMatch(id=own, scope=tuple(scope)) for _, _, own, scope in best)
        cut[kind] = len(rows) > FUZZY_MATCHES_MAX
    index = _index(view, contexts)
    body = FuzzyAnswer(index=index, matches=matches, truncations=cut)
    return json_answer(to_json(body), index_header(index), KNOWN, NO_CONTACT)


def _nothing(_view: View, _context: Context) -> Named:
    return iter(())


def _job_names(view: View, context: Context) -> Named:
    for job in _jobs(view, context, ""):
        yield "jobs", job.name, [job.namespace, job.id]
        for group in job.task_groups or ():
            scope = [job.namespace, job.id, group.name]
            yield "groups", group.name, [job.namespace, job.id]
            for service in group.services or ():
                yield "services", service.name, scope
            for task in group.tasks or ():
                within = [*scope, task.name]
                yield "tasks", task.name, scope
                for service in task.services or ():
                    yield "services", service.name, within
                for kind, key in (("images", "image"), ("commands", "command"), ("classes", "class")):
                    if isinstance(value := (task.config or {}).get(key), str):
                        yield kind, value, within


def _node_names(view: View, _context: Context) -> Named:
    return (("nodes", node.name, [node.id]) for node in view.scan(NODES))


def _alloc_names(view: View, context: Context) -> Named:
    rows = view.scan(ALLOCATIONS)
    return (("allocs", row.name, [row.namespace, row.id]) for row in rows if _sees(context, row.namespace))


def _plain_names(kind: str) -> Callable[[View, Context], Named]:
    return lambda view, context: ((kind, row.name, [row.name]) for row in _seen(view, context, kind))


_SEEN: dict[str, Callable[[Rights, str], bool]] = {
    "namespaces": lambda rights, name: rights.sees_namespace(name),
    "node_pools": lambda rights, name: rights.with_pool(name, "read"),
}
_NAMES: dict[str, Callable[[View, Context], Named]] = {
    "jobs": _job_names,
    "nodes": _node_names,
    "allocs": _alloc_names,
    "namespaces": _plain_names("namespaces"),
    "node_pools": _plain_names("node_pools"),
    "vars": lambda view, context: (("vars", row.path, [row.namespace, row.path]) for row in _variables(view, context)),
}
