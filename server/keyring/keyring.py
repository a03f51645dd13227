"""Root keys: made by the leader, wrapped with a key-encryption key, in the state (spec cluster §11).

In a cluster with servers of a version before they are in open files: on most servers' disks before one is used, fetched
by the others. When every server knows how, the leader wraps them and they go into the state.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Protocol

import msgspec

from yurt.fsm.commands_variables import WRAPPED_SINCE, DeleteRootKey, UpsertRootKey, WrapRootKeys
from yurt.fsm.errors import Refusal, YurtError
from yurt.fsm.store.changes import Change
from yurt.fsm.store.schema import ROOT_KEYS, WRAPPED_KEYS
from yurt.fsm.store.view import View
from yurt.fsm.structs.variable import ACTIVE, PREPUBLISHED, RootKey, WrappedKey
from yurt.server.cluster.members import ask_member, other_members
from yurt.server.config.agent import AgentConfig
from yurt.server.host import Host
from yurt.server.keyring.encryption import FileKeeper
from yurt.server.keyring.exchange import KekExchange
from yurt.server.keyring.keystore import Kept, Keystore, NoKey, make_key
from yurt.server.keyring.survey import KeyStatus, KeySurvey
from yurt.server.platform.supervision import Supervised
from yurt.server.raft.errors import NotSent

log = logging.getLogger("keyring")

GET, PUT = "keyring.get", "keyring.put"
ANSWER_SECONDS = 5.0
RETRY_SECONDS, RETRY_SECONDS_MAX = 0.5, 5.0  # doubled as long as nothing is new
PUBLICATION_SECONDS_MAX = 60.0  # until the wall clock is looked at again
KEY_SECONDS, KEY_POLL_SECONDS = 5.0, 0.05


def active_key(view: View) -> RootKey | None:
    """The key that new items are encrypted with."""
    return next((one for one in view.scan(ROOT_KEYS) if one.state == ACTIVE), None)


class KeyHolder(Protocol):
    """A server with its keyring."""

    keyring: Keyring

    def view(self) -> View:
        """The newest state."""


async def usable_key(server: KeyHolder) -> RootKey:
    """Return the active key once this server can use it; wait a moment for the first key of a new cluster.

    Raises Refusal(500) if there is none within `KEY_SECONDS`.
    """
    deadline = asyncio.get_running_loop().time() + KEY_SECONDS
    while (key := active_key(server.view())) is None or not server.keyring.keystore.has(key.key_id):
        if asyncio.get_running_loop().time() > deadline:
            raise Refusal(500, "no root key is ready on this server: nothing was changed; retry in a moment")
        await asyncio.sleep(KEY_POLL_SECONDS)
    return key


def _is_wrapped_with(kek_id: str, view: View, key_id: str) -> bool:
    wrapped = view.get(WRAPPED_KEYS, key_id)
    return wrapped is not None and wrapped.kek_id == kek_id


class Keyring:
    """Keeps this server's keystore in step with the state, and makes new keys while it leads."""

    def __init__(
        self, server: Host, keystore: Keystore, keeper: FileKeeper, make: Callable[[str], Kept] = make_key
    ) -> None:
        self._ask = partial(ask_member, server.transport, seconds=ANSWER_SECONDS)
        self._server, self.keystore, self._keeper, self._make = server, keystore, keeper, make
        self._task: Supervised | None = None
        self._news = asyncio.Event()
        self._deleted: dict[str, None] = {}  # keys of the state that may still be on disk
        self._told_missing: tuple[str, ...] = ()  # in the log
        self.survey = KeySurvey(server.engine, server.transport, self.status)
        self._exchange = KekExchange(server, keeper, self.survey)
        server.transport.serve(GET, self._give)
        server.transport.serve(PUT, self._take)
        server.machine.on_commit(self._committed)
        server.machine.on_replaced(lambda _index, _restored: self._news.set())
        server.engine.on_leadership(lambda _leads: self._news.set())

    def start(self) -> None:
        """Begin to look after the keys."""
        self._task = self._server.supervisor.start("keyring", self._run)

    def stop(self) -> None:
        """Do nothing more."""
        if self._task is not None:
            self._task.stop()

    def reload(self, config: AgentConfig) -> None:
        """Read the configured key-encryption keys anew; raises YurtError and then keeps those before."""
        self._keeper.reload(config.server.key_encryption_keys)
        self._news.set()

    def status(self) -> KeyStatus:
        """Return which root keys of the state this server cannot use, and whether its disk is full."""
        view, accepted = self._server.view(), self._keeper.accepted
        missing: list[str] = []
        closed: dict[str, None] = {}  # the key-encryption keys that are not here
        for key in view.scan(ROOT_KEYS):
            wrapped = view.get(WRAPPED_KEYS, key.key_id)
            if wrapped is not None and wrapped.kek_id not in accepted:
                closed[wrapped.kek_id] = None
            elif self.keystore.has(key.key_id):
                continue
            missing.append(key.key_id)
        reason = f"root keys missing: {', '.join(missing)}" if missing else ""
        if closed:
            reason += f"; they are wrapped with key-encryption keys that this server does not have: {', '.join(closed)}"
        return KeyStatus(tuple(missing), reason, accepted, not self._server.engine.status().is_writable)

    def _tell_missing(self) -> None:
        status = self.status()
        missing = status.missing
        if missing and missing != self._told_missing:
            log.warning("root keys cannot be used: this server is not ready", extra={"reason": status.reason})
        elif self._told_missing and not missing:
            log.info("all root keys are here")
        self._told_missing = missing

    # --- between servers

    async def _give(self, payload: bytes) -> bytes:
        """Hand out a key that the state has not wrapped yet; empty if it is not here."""
        key_id, view = payload.decode(), self._server.view()
        if view.get(ROOT_KEYS, key_id) is None or view.get(WRAPPED_KEYS, key_id) is not None:
            return b""
        try:
            return msgspec.msgpack.encode(self.keystore.kept(key_id))
        except NoKey:
            return b""

    async def _take(self, payload: bytes) -> bytes:
        """The leader hands a new key over; answered when it is on disk."""
        try:
            await asyncio.to_thread(self.keystore.put, msgspec.msgpack.decode(payload, type=Kept))
        except OSError as error:
            raise NotSent(f"the key is not on disk: {error.strerror}") from error
        return b"1"

    # --- keys

    async def rotate(self, *, publish_time_ns: int = 0) -> tuple[RootKey, int]:
        """Make a new key; it is active at once, or only known of until `publish_time_ns`.

        Raises Refusal(500) if most servers could not use it: nothing has changed then.
        """
        server = self._server
        key_id = server.new_id()
        try:
            wrapped = await (self._make_wrapped if self._may_wrap else self._make_open)(key_id)
        except OSError as error:
            raise Refusal(500, f"the new key is not on disk: {error.strerror}; nothing was changed") from error
        key = RootKey(
            key_id=key_id,
            create_time=server.now_ns(),
            publish_time=publish_time_ns,
            state=PREPUBLISHED if publish_time_ns else ACTIVE,
        )
        result = await server.propose(UpsertRootKey(now_ns=server.now_ns(), key=key, wrapped=wrapped))
        return key, result.index

    @property
    def _may_wrap(self) -> bool:
        return self._server.version_known_by_all() >= WRAPPED_SINCE

    async def _make_wrapped(self, key_id: str) -> WrappedKey:
        kek_id = await self._exchange.for_wrapping()
        self.keystore.hold(await asyncio.to_thread(self._make, key_id))
        return self.keystore.wrapped(kek_id, key_id)

    async def _make_open(self, key_id: str) -> None:
        """Make a key in an open file on most servers, as versions before know it; raises Refusal(500), OSError."""
        made = await asyncio.to_thread(self._make, key_id)
        await asyncio.to_thread(self.keystore.put, made)
        others, payload = other_members(self._server.engine), msgspec.msgpack.encode(made)
        asked = (self._ask(server_id, PUT, payload) for server_id in others)
        kept = 1 + sum(map(bool, await asyncio.gather(*asked)))
        if kept * 2 <= len(others) + 1:
            raise Refusal(500, f"the new root key is on {kept} of {len(others) + 1} servers only; nothing was changed")

    async def rewrap(self) -> tuple[str, int, int]:
        """Wrap all root keys with the first key-encryption key: its ID, how many keys were changed, and the index.

        Raises Refusal(500) if a connected server does not have it, or this one cannot unwrap a key.
        """
        view = self._server.view()
        kek_id = await self._exchange.for_wrapping(by_all=True)
        keys = [key.key_id for key in view.scan(ROOT_KEYS) if not _is_wrapped_with(kek_id, view, key.key_id)]
        for key_id in keys:
            if not self.keystore.has(key_id):
                raise Refusal(500, f"the root key {key_id} cannot be unwrapped on the leader; nothing was changed")
        return kek_id, len(keys), await self._wrap(kek_id, keys) if keys else view.table_index(WRAPPED_KEYS)

    async def _wrap(self, kek_id: str, key_ids: list[str]) -> int:
        wrapped = tuple(self.keystore.wrapped(kek_id, key_id) for key_id in key_ids)
        result = await self._server.propose(WrapRootKeys(now_ns=self._server.now_ns(), keys=wrapped))
        index: int = result.index
        return index

    async def delete(self, key_id: str, *, force: bool) -> int:
        """Delete a key; raises Refusal(500) for the active one and for one in use."""
        server = self._server
        result = await server.propose(DeleteRootKey(now_ns=server.now_ns(), key_id=key_id, force=force))
        index: int = result.index
        return index

    def _committed(self, _index: int, changes: list[Change]) -> None:
        for change in changes:
            if change.table in (ROOT_KEYS, WRAPPED_KEYS):
                self._news.set()
            if change.table is ROOT_KEYS and change.new is None:
                self._deleted[change.key] = None

    async def _run(self) -> None:
        """Fetch what is missing here; make the first key, and publish those whose time has come, while this leads."""
        pause = RETRY_SECONDS
        while True:
            self._news.clear()  # before the look: news that come meanwhile are looked at too
            try:
                done = await self._look_after()
            except YurtError as error:
                log.debug("the keys are not in order yet", extra={"reason": str(error)})
                done = False
            except OSError as error:
                log.error("a root key cannot be kept on disk", extra={"reason": str(error)})
                done = False
            self._tell_missing()
            if await self._is_news_within(self._seconds_to_publication() if done else pause) or done:
                pause = RETRY_SECONDS
            else:
                pause = min(2 * pause, RETRY_SECONDS_MAX)

    async def _is_news_within(self, seconds: float | None) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return False
        return True

    def _seconds_to_publication(self) -> float | None:
        """How long to wait for the next key to publish; None if there is none, or another server does it."""
        server = self._server
        due = [key.publish_time for key in server.view().scan(ROOT_KEYS) if key.state == PREPUBLISHED]
        if not due or not server.engine.is_leader_role:
            return None
        return min(max(0.0, (min(due) - server.now_ns()) / 1e9), PUBLICATION_SECONDS_MAX)

    async def _look_after(self) -> bool:
        """Whether there is nothing left to do before the next key is to be published."""
        server = self._server
        done = await self._remove_deleted()  # before the view is taken: what it holds is not deleted yet
        view = server.view()
        for key in view.scan(ROOT_KEYS):
            wrapped = view.get(WRAPPED_KEYS, key.key_id)
            done = await (self._fetch(key.key_id) if wrapped is None else self._open(wrapped)) and done
        if not server.is_ready:
            return done and not server.engine.is_leader_role
        if active_key(view) is None:
            if server.version_known_by_all() < UpsertRootKey.since:
                return False
            await self.rotate()
            return False
        bare = [key.key_id for key in view.scan(ROOT_KEYS) if view.get(WRAPPED_KEYS, key.key_id) is None]
        here = [key_id for key_id in bare if self.keystore.has(key_id)]
        if here and self._may_wrap:
            await self._wrap(await self._exchange.for_wrapping(), here)
            log.info("root keys wrapped", extra={"keys": ", ".join(here)})
        done = done and not bare
        for key in view.scan(ROOT_KEYS):
            if key.state == PREPUBLISHED and key.publish_time <= server.now_ns():
                ready = msgspec.structs.replace(key, state=ACTIVE)
                await server.propose(UpsertRootKey(now_ns=server.now_ns(), key=ready))
        return done

    async def _remove_deleted(self) -> bool:
        """Whether no deleted key is on disk any more; one that cannot be removed is tried again."""
        for key_id in list(self._deleted):
            if self._server.view().get(ROOT_KEYS, key_id) is None:
                try:
                    await asyncio.to_thread(self.keystore.remove, key_id)
                except OSError as error:
                    extra = {"key": key_id, "reason": str(error)}
                    log.error("a root key cannot be removed from disk", extra=extra)
                    continue
            del self._deleted[key_id]
        return not self._deleted

    async def _open(self, wrapped: WrappedKey) -> bool:
        """See to it that this server can unwrap a key of the state."""
        if wrapped.kek_id not in self._keeper.accepted and not await self._exchange.fetch(wrapped.kek_id):
            return False
        await asyncio.to_thread(self.keystore.keep_copy, wrapped)
        return self.keystore.has(wrapped.key_id)

    async def _fetch(self, key_id: str) -> bool:
        """See to it that this server has a key that is not wrapped yet."""
        if self.keystore.has(key_id):
            return True
        for server_id in other_members(self._server.engine):
            if found := await self._ask(server_id, GET, key_id.encode()):
                await asyncio.to_thread(self.keystore.put, msgspec.msgpack.decode(found, type=Kept))
                log.info("root key fetched", extra={"key": key_id, "from": server_id})
                return True
        return False
