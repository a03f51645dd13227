"""Search: things by the beginning of their ID, or by a part of their name (spec cluster §9)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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
from yurt.server.http.asgi.context import Answer, Context, index_header, json_answer
from yurt.server.http.query.reads import KNOWN, NO_CONTACT
from yurt.server.http.routes.lookup import check_hex
from yurt.server.platform.turns import Steps

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
    """The matches by kind, and of which kinds there are more."""

    index: int
    known_leader: bool = True
    last_contact: int = 0
    matches: dict[str, tuple[FuzzyMatch, ...]]
    next_token: str = ""
    truncations: dict[str, bool]


def _request(context: Context) -> tuple[SearchRequest, list[str]]:
    """Return the search and its contexts; raise Refusal(500) for an unknown context."""
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
    contexts = _allowed(context, given, contexts)
    view = context.server.view()
    body = await context.server.turns.over(view, _search(view, context, given, contexts), context.client)
    return json_answer(to_json(body), index_header(body.index), KNOWN, NO_CONTACT)


def _search(view: View, context: Context, given: SearchRequest, contexts: list[str]) -> Steps[SearchAnswer]:
    matches: dict[str, tuple[str, ...] | None] = {}
    cut: dict[str, bool] = {}
    for name in contexts:
        if name in _UUIDS:
            try:
                check_hex(given.prefix, "")
            except Refusal:
                if given.context == "all":
                    continue
                raise
        found: list[str] = []
        for identifier in _beginning(view, context, name, given.prefix):
            if identifier is not None:
                found.append(identifier)
                if len(found) > MATCHES_MAX:
                    break
            yield
        matches[name] = tuple(found[:MATCHES_MAX]) or None
        cut[name] = len(found) > MATCHES_MAX
    return SearchAnswer(index=_index(view, contexts), matches=matches, truncations=cut)


def _index(view: View, contexts: list[str]) -> int:
    return max((view.table_index(_TABLES[name]) for name in contexts if name in _TABLES), default=0)


def _beginning(view: View, context: Context, name: str, prefix: str) -> Iterator[str | None]:
    """The IDs of a kind that begin with the prefix; None for each row that was looked at and is none of them."""
    if name in _UUIDS:
        rows = view.scan(_UUIDS[name], prefix=prefix.lower() or None)
        return (row.id if name == "nodes" or _sees(context, row.namespace) else None for row in rows)
    if name == "jobs":
        return (None if job is None else job.id for job in _jobs(view, context, prefix))
    if name in _SEEN:
        return (None if row is None else row.name for row in _seen(view, context, name, prefix))
    if name == "vars":
        variables = _variables(view, context)
        return (None if row is None or not row.path.startswith(prefix) else row.path for row in variables)
    if name == "scaling_policy":
        return _policy_ids(view, context, prefix)
    return iter(())


def _policy_ids(view: View, context: Context, prefix: str) -> Iterator[str | None]:
    for job in _jobs(view, context, ""):
        yield None
        if job is not None:
            yield from (policy_id for policy_id in _policies(job) if policy_id.startswith(prefix))


def _seen(view: View, context: Context, name: str, prefix: str = "") -> Iterator[Any]:
    """Namespaces or node pools that the token may know of, None in place of others."""
    may, rights = _SEEN[name], context.identity.rights
    rows = view.scan(_TABLES[name], prefix=prefix or None)
    return (row if may(rights, row.name) else None for row in rows)


def _variables(view: View, context: Context) -> Iterator[Variable | None]:
    wanted, may = context.namespace, context.identity.rights.with_variable
    return (
        row if wanted in ("*", row.namespace) and may(row.namespace, row.path, "list") else None
        for row in view.scan(VARIABLES)
    )


def _sees(context: Context, namespace: str) -> bool:
    return context.namespace in ("*", namespace) and context.identity.rights.in_namespace(namespace, "read-job")


def _jobs(view: View, context: Context, prefix: str) -> Iterator[Job | None]:
    """The jobs whose IDs begin with the prefix, None in place of others."""
    namespace = context.namespace
    if namespace == "*":
        jobs = view.scan(JOBS)
        return (job if job.id.startswith(prefix) and _sees(context, job.namespace) else None for job in jobs)
    jobs = view.scan(JOBS, prefix=(namespace, prefix))
    return (job if job.namespace == namespace and _sees(context, namespace) else None for job in jobs)


def _policies(job: Job) -> Iterable[str]:
    return (group.scaling.id for group in job.task_groups or () if group.scaling is not None)


# --- fuzzy

Name = tuple[str, str, list[str]]  # kind, name, scope
Named = Iterator[Name | None]  # None for each row that was looked at and has no name to be found


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
    body = await context.server.turns.over(view, _fuzzy(view, context, text, contexts), context.client)
    return json_answer(to_json(body), index_header(body.index), KNOWN, NO_CONTACT)


def _fuzzy(view: View, context: Context, text: str, contexts: list[str]) -> Steps[FuzzyAnswer]:
    best: dict[str, _Best] = {}
    for name in contexts:
        best.setdefault(name, _Best())
        for found in _NAMES.get(name, _nothing)(view, context):
            if found is not None:
                kind, own, scope = found
                position = own.lower().find(text)
                if position >= 0:
                    best.setdefault(kind, _Best()).add((position, len(own), own, scope))
            yield
    return FuzzyAnswer(
        index=_index(view, contexts),
        matches={
            kind: tuple(FuzzyMatch(id=own, scope=tuple(scope)) for _, _, own, scope in matches.first())
            for kind, matches in best.items()
        },
        truncations={kind: matches.count > FUZZY_MATCHES_MAX for kind, matches in best.items()},
    )


class _Best:
    """The first matches in order, of as many as there may be: position of the text, length, name, scope."""

    __slots__ = ("_kept", "count")

    def __init__(self) -> None:
        self._kept: list[tuple[int, int, str, list[str]]] = []
        self.count = 0

    def add(self, match: tuple[int, int, str, list[str]]) -> None:
        """Add a match; from time to time those that cannot be among the first are dropped."""
        self.count += 1
        self._kept.append(match)
        if len(self._kept) >= 4 * FUZZY_MATCHES_MAX:
            self._kept = self.first()

    def first(self) -> list[tuple[int, int, str, list[str]]]:
        """The first matches, in order."""
        return sorted(self._kept)[:FUZZY_MATCHES_MAX]


def _nothing(_view: View, _context: Context) -> Named:
    return iter(())


def _job_names(view: View, context: Context) -> Named:
    for job in _jobs(view, context, ""):
        if job is None:
            yield None
            continue
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
    return (("allocs", row.name, [row.namespace, row.id]) if _sees(context, row.namespace) else None for row in rows)


def _plain_names(kind: str) -> Callable[[View, Context], Named]:
    return lambda view, context: (
        None if row is None else (kind, row.name, [row.name]) for row in _seen(view, context, kind)
    )


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
    "vars": lambda view, context: (
        None if row is None else ("vars", row.path, [row.namespace, row.path]) for row in _variables(view, context)
    ),
}
