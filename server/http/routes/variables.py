"""Variables and their locks (spec cluster §12)."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import orjson

from yurt.fsm.commands_variables import (
    DeleteVariable,
    LockVariable,
    UnlockVariable,
    UpsertVariable,
    VariableWritten,
)
from yurt.fsm.errors import Refusal
from yurt.fsm.job.decode import decode_body, load_json
from yurt.fsm.lang.duration import format_duration, parse_duration
from yurt.fsm.lang.strconv import parse_uint
from yurt.fsm.store.schema import VARIABLES
from yurt.fsm.store.view import View
from yurt.fsm.structs.base import Record, replace, to_builtins, to_json
from yurt.fsm.structs.times import SECOND
from yurt.fsm.structs.variable import Variable, VariableLock, VariableMetadata
from yurt.server.acl.authority import denied
from yurt.server.http.asgi.context import JSON, TEXT, Answer, Context, ReadOptions, index_header
from yurt.server.http.query.found import Found
from yurt.server.http.query.listing import Listing
from yurt.server.http.routes.lookup import missing
from yurt.server.keyring.keyring import usable_key

_PATH = re.compile(r"[a-zA-Z0-9-_~/]{1,128}\Z")
_OWN_FOLDERS = ("nomad/jobs", "nomad/job-templates")
ITEMS_BYTES_MAX = 64 << 10
TTL_MIN, TTL_MAX = 10 * SECOND, 24 * 3600 * SECOND
LOCK_OPERATIONS = ("lock-acquire", "lock-renew", "lock-release")


class LockRequest(Record, frozen=True):
    """A lock; durations as texts."""

    id: str = ""
    ttl: str = ""
    lock_delay: str = ""


class VariableRequest(Record, frozen=True):
    """PUT /v1/var/:path; the path of the URL and the namespace of the body win."""

    items: dict[str, str] | None = None
    namespace: str = ""
    path: str = ""
    lock: LockRequest | None = None


class LockShown(Record, frozen=True):
    """A lock; durations as texts."""

    id: str
    lock_delay: str
    ttl: str


class VariableShown(Record, frozen=True, kw_only=True):
    """A variable as its readers see it: with its items where they may be seen, with its lock for who holds it."""

    create_index: int
    create_time: int
    items: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    lock: LockShown | msgspec.UnsetType = msgspec.UNSET
    modify_index: int
    modify_time: int
    namespace: str
    path: str


class Listed(Record, frozen=True):
    """A row of the list as filters see it: the metadata is a member of its own."""

    variable_metadata: VariableMetadata


# --- reading


def shown(context: Context, row: Variable, *, with_items: bool = True) -> bytes:
    """A variable as its readers see it; the lock only for its holder (by its own call) and management."""
    body = VariableShown(**{name: getattr(row, name) for name in VariableMetadata.__struct_fields__})
    if with_items:
        body = replace(body, items=dict(sorted(context.server.keyring.keystore.decrypt(row).items())))
    if row.lock is not None and context.identity.rights.is_management:
        body = replace(body, lock=shown_lock(row.lock))
    return to_json(body)


def shown_lock(lock: VariableLock) -> LockShown:
    """The lock as its holder sees it."""
    return LockShown(id=lock.id, ttl=format_duration(lock.ttl), lock_delay=format_duration(lock.lock_delay))


def list_variables(view: View, context: Context, options: ReadOptions) -> Listing:
    """GET /v1/vars: metadata of those that may be listed."""
    namespace, may = context.namespace, context.identity.rights.with_variable
    prefix = options.prefix
    found = view.scan(VARIABLES) if namespace == "*" else view.scan(VARIABLES, prefix=(namespace, prefix))

    def listed(row: Variable) -> Listed | None:
        if namespace not in ("*", row.namespace) or not row.path.startswith(prefix):
            return None
        return Listed(variable_metadata=row.metadata()) if may(row.namespace, row.path, "list") else None

    return Listing(
        map(listed, found),
        lambda one: to_json(one.variable_metadata),
        view.table_index(VARIABLES),
        ((VARIABLES, None),),
        options,
        lambda one: f"{one.variable_metadata.namespace}.{one.variable_metadata.path}",
    )


def read_variable(view: View, context: Context, options: ReadOptions) -> Found:
    """GET /v1/var/:path."""
    key = (context.namespace, _path(context))
    if not context.identity.rights.with_variable(*key, "read"):
        raise denied()
    row = view.get(VARIABLES, key)
    if row is None:
        return missing("variable not found", view.table_index(VARIABLES), (VARIABLES, key))
    return Found(shown(context, row), row.modify_index, ((VARIABLES, key),))


def _path(context: Context) -> str:
    path = context.arguments[0]
    if not path:
        raise Refusal(400, "missing variable path")
    return path


# --- writing


def _refused(text: str) -> Answer:
    return Answer(400, f"RPC Error:: 400,{text}".encode(), (TEXT, index_header(0)))


def _place_error(namespace: str, path: str) -> str:
    """Return the error in a variable's namespace and path; empty if there is none."""
    if namespace == "*":
        return 'can not target wildcard ("*")namespace'
    if not _PATH.match(path):
        return f'invalid path "{path}"'
    is_own = path == "nomad" or path.startswith("nomad/")
    if is_own and not any(path == folder or path.startswith(f"{folder}/") for folder in _OWN_FOLDERS):
        return (
            'only paths at "nomad/jobs" or "nomad/job-templates" and below are valid paths under the top-level '
            '"nomad" directory'
        )
    return ""


def _cas(context: Context) -> int | None:
    if "cas" not in context.query:
        return None
    try:
        return parse_uint(context.query["cas"])
    except ValueError as error:
        raise Refusal(400, f"can not parse cas: {error}") from None


async def write_variable(context: Context) -> Answer:
    """PUT /v1/var/:path: writes, or with `lock-acquire`, `lock-renew`, `lock-release` does that."""
    path = _path(context)
    cas = _cas(context)
    operations = [one for one in LOCK_OPERATIONS if one in context.query]
    if len(operations) > 1:
        raise Refusal(400, "multiple lock operations")
    if operations and cas is not None:
        raise Refusal(400, "CAS can't be used with lock operations")
    given = msgspec.convert(decode_body(context.body, VariableRequest), VariableRequest)
    namespace = given.namespace or context.namespace
    if not operations and given.items is None and not _has_empty_items(context.body):
        raise Refusal(400, "variable missing required Items object")
    if not context.identity.rights.with_variable(namespace, path, "write"):
        raise denied()
    if wrong := _place_error(namespace, path):
        return _refused(wrong)
    if operations == ["lock-renew"]:
        return await _renew(context, namespace, path, given)
    if operations == ["lock-release"]:
        return await _release(context, namespace, path, given)
    items = given.items or {}
    if not operations and not items:
        return _refused("empty variables are invalid")
    if sum(len(key.encode()) + len(value.encode()) for key, value in items.items()) > ITEMS_BYTES_MAX:
        return _refused("variables are limited to 64KiB in total size")
    if operations:
        return await _acquire(context, namespace, path, given)
    lock_id = given.lock.id if given.lock is not None else ""
    row = await _encrypted(context, namespace, path, items)
    command = UpsertVariable(now_ns=context.server.now_ns(), variable=row, cas=cas, lock_id=lock_id)
    result: VariableWritten = await context.server.propose(command)
    if result.refused:
        return _conflict(context, result, namespace, path)
    assert result.variable is not None
    return Answer(200, shown(context, result.variable), (JSON, index_header(result.index)))


def _has_empty_items(body: bytes) -> bool:
    value = load_json(body)
    return isinstance(value, dict) and any(key.lower() == "items" and one == {} for key, one in value.items())


async def _encrypted(context: Context, namespace: str, path: str, items: dict[str, str]) -> Variable:
    """The variable as it goes into the log; waits a moment for the first key of a new cluster."""
    server = context.server
    key = await usable_key(server)
    data = server.keyring.keystore.encrypt(key.key_id, namespace, path, items)
    return Variable(namespace=namespace, path=path, key_id=key.key_id, data=data)


def _conflict(context: Context, result: VariableWritten, namespace: str, path: str) -> Answer:
    """409 with what is stored, as far as it may be read; with nothing but the place if a lock is in the way."""
    row, index = result.conflict, 0
    if row is not None:
        index = row.modify_index
        body = shown(context, row, with_items=context.identity.rights.with_variable(namespace, path, "read"))
    else:
        body = to_json(VariableMetadata(namespace=namespace, path=path))
    return Answer(409, body, (TEXT, index_header(index)))


async def delete_variable(context: Context) -> Answer:
    """DELETE /v1/var/:path: 204, also if it is not there."""
    path, cas, namespace = _path(context), _cas(context), context.namespace
    if not context.identity.rights.with_variable(namespace, path, "destroy"):
        raise denied()
    given: Any = load_json(context.body) if context.body else None
    lock = given.get("Lock") if isinstance(given, dict) else None
    lock_id = str(lock.get("ID", "")) if isinstance(lock, dict) else ""
    server = context.server
    command = DeleteVariable(now_ns=server.now_ns(), namespace=namespace, path=path, cas=cas, lock_id=lock_id)
    result: VariableWritten = await server.propose(command)
    if result.refused:
        return _conflict(context, result, namespace, path)
    return Answer(204, b"", (index_header(result.index),))


# --- locks


def _duration(text: str, default: int) -> int:
    try:
        return parse_duration(text) if text else default
    except ValueError as error:
        raise Refusal(400, str(error)) from None


async def _acquire(context: Context, namespace: str, path: str, given: VariableRequest) -> Answer:
    asked = given.lock or LockRequest()
    default = VariableLock()
    ttl, delay = _duration(asked.ttl, default.ttl), _duration(asked.lock_delay, default.lock_delay)
    if not TTL_MIN <= ttl <= TTL_MAX:
        return _refused("TTL must be between 10 seconds and 24 hours")
    server = context.server
    lock = VariableLock(id=asked.id or server.new_id(), ttl=ttl, lock_delay=max(0, delay))
    row = await _encrypted(context, namespace, path, given.items or {})
    command = LockVariable(
        now_ns=server.now_ns(), variable=msgspec.structs.replace(row, lock=lock), with_items=given.items is not None
    )
    result: VariableWritten = await server.propose(command)
    if result.refused or result.variable is None:
        return _conflict(context, result, namespace, path)
    body = _held(orjson.loads(shown(context, result.variable)), lock)
    return Answer(200, body, (JSON, index_header(result.index)))


def _held(variable: dict[str, Any], lock: VariableLock) -> bytes:
    """A variable for who holds its lock, whose members come in an order of their own here."""
    told = to_builtins(shown_lock(lock))
    return orjson.dumps(variable | {"Lock": {name: told[name] for name in ("ID", "TTL", "LockDelay")}})


async def _renew(context: Context, namespace: str, path: str, given: VariableRequest) -> Answer:
    row = context.server.view().get(VARIABLES, (namespace, path))
    if row is None:
        raise Refusal(404, "variable doesn't exist")
    if row.lock is None:
        raise Refusal(409, "variable doesn't hold a lock")
    if given.lock is None or given.lock.id != row.lock.id:
        raise Refusal(409, "attempting to modify locked variable")
    context.server.locks.renew(row)
    return Answer(200, _held(to_builtins(row.metadata()), row.lock), (JSON, index_header(row.modify_index)))


async def _release(context: Context, namespace: str, path: str, given: VariableRequest) -> Answer:
    if given.items is not None:
        raise Refusal(400, "a release takes no Items")
    lock_id = given.lock.id if given.lock is not None else ""
    server = context.server
    command = UnlockVariable(now_ns=server.now_ns(), namespace=namespace, path=path, lock_id=lock_id)
    result: VariableWritten = await server.propose(command)
    assert result.variable is not None
    return Answer(200, to_json(result.variable.metadata()), (JSON, index_header(result.index)))
