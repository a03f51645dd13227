"""Root keys (spec cluster §11)."""

from __future__ import annotations

import msgspec

from yurt.fsm.commands_variables import UpsertVariable
from yurt.fsm.errors import Refusal
from yurt.fsm.lang.strconv import parse_int
from yurt.fsm.store.schema import ROOT_KEYS, VARIABLES
from yurt.fsm.store.view import View
from yurt.fsm.structs.base import Record, replace, to_json
from yurt.fsm.structs.variable import RootKey
from yurt.server.http.asgi.answers import answered
from yurt.server.http.asgi.context import Answer, Context, ReadOptions, index_header, json_answer
from yurt.server.http.query.found import Found
from yurt.server.http.query.listing import join


class RotateAnswer(Record, frozen=True):
    """The new key."""

    index: int
    key: RootKey


class RewrapAnswer(Record, frozen=True, kw_only=True):
    """The key-encryption key that all root keys are wrapped with now, and how many keys that changed."""

    index: int
    kek_id: str = msgspec.field(name="KeyEncryptionKeyID")
    rewrapped: int


class KeyServer(Record, frozen=True, kw_only=True):
    """The root keys of the state that a server cannot use, and why; none if it is whole."""

    id: str
    name: str
    missing_keys: tuple[str, ...]
    reason: str
    kek_ids: tuple[str, ...] = msgspec.field(name="KeyEncryptionKeyIDs")


def list_keys(view: View, context: Context, options: ReadOptions) -> Found:
    """GET /v1/operator/keyring/keys."""
    store = context.server.machine.store
    body = join(store.encoded(ROOT_KEYS, row) for row in view.scan(ROOT_KEYS))
    return Found(body, view.table_index(ROOT_KEYS), ((ROOT_KEYS, None),))


async def list_servers(context: Context) -> Answer:
    """GET /v1/operator/keyring/servers: which server lacks which root keys."""
    survey = context.server.keyring.survey
    await survey.ask()
    servers = [
        KeyServer(
            id=row["id"], name=row["name"], missing_keys=status.missing, reason=status.reason, kek_ids=status.accepted
        )
        for row in context.server.engine.servers()
        for status in (survey.of(row["id"]),)
    ]
    return json_answer(to_json(servers))


async def rotate(context: Context) -> Answer:
    """PUT /v1/operator/keyring/rotate: a new key; with `full` everything is encrypted anew with it."""
    full = "full" in context.query and (context.query["full"] == "" or context.flag("full"))
    try:
        publish_time_ns = parse_int(context.query.get("publish_time") or "0")
    except ValueError as error:
        raise Refusal(400, f"Failed to parse value of publish_time: {error}") from None
    if full and publish_time_ns:
        raise Refusal(500, "keyring cannot be prepublished and full rotated at the same time")
    server = context.server
    key, index = await server.keyring.rotate(publish_time_ns=publish_time_ns)
    if full:
        index = max(index, await _encrypt_anew(context, key.key_id))
    return answered(RotateAnswer(index=index, key=key), index)


async def rewrap(context: Context) -> Answer:
    """PUT /v1/operator/keyring/rewrap: wrap every root key with the first key-encryption key."""
    kek_id, count, index = await context.server.keyring.rewrap()
    return answered(RewrapAnswer(index=index, kek_id=kek_id, rewrapped=count), index)


async def _encrypt_anew(context: Context, key_id: str) -> int:
    """Write every variable once more, with the new key; one that changes meanwhile has the new key already."""
    server, index = context.server, 0
    keystore = server.keyring.keystore
    for row in list(server.view().scan(VARIABLES)):
        if row.key_id == key_id:
            continue
        data = keystore.encrypt(key_id, row.namespace, row.path, keystore.decrypt(row))
        command = UpsertVariable(
            now_ns=server.now_ns(),
            variable=replace(row, key_id=key_id, data=data),
            cas=row.modify_index,
            lock_id=row.lock.id if row.lock is not None else "",
        )
        index = (await server.propose(command)).index
    return index


async def delete_key(context: Context) -> Answer:
    """DELETE /v1/operator/keyring/key/:id."""
    index = await context.server.keyring.delete(context.arguments[0], force=context.flag("force"))
    return Answer(200, b"", (index_header(index),))
