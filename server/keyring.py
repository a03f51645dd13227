"""Root keys: made by the leader, on most servers' disks before one is used, fetched by others (spec cluster §11)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import msgspec

from yurt.fsm.commands_variables import DeleteRootKey, UpsertRootKey
from yurt.fsm.errors import Refusal, YurtError
from yurt.fsm.store.changes import Change
from yurt.fsm.store.schema import ROOT_KEYS
from yurt.fsm.store.view import View
from yurt.fsm.structs.variable import ACTIVE, PREPUBLISHED, RootKey
from yurt.server.key_survey import KeyStatus, KeySurvey
from yurt.server.keystore import Kept, Keystore, NoKey, make_key
from yurt.server.server import Server
from yurt.server.supervision import Supervised

log = logging.getLogger("keyring")

GET, PUT = "keyring.get", "keyring.put"
ANSWER_SECONDS = 5.0
RETRY_SECONDS = 0.5


def active_key(view: View) -> RootKey | None:
    """The key that new items are encrypted with."""
    return next((one for one in view.scan(ROOT_KEYS) if one.state == ACTIVE), None)


class Keyring:
    """Keeps this server's keystore in step with the state, and makes new keys while it leads."""

    def __init__(self, server: Server, keystore: Keystore, make: Callable[[str], Kept] = make_key) -> None:
        self._server, self.keystore, self._make = server, keystore, make
        self._task: Supervised | None = None
        self._news = asyncio.Event()
        self._told_missing: tuple[str, ...] = ()  # in the log
        self.survey = KeySurvey(server, self.status)
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

    def status(self) -> KeyStatus:
        """Return which root keys of the state this server cannot use."""
        rows = self._server.view().scan(ROOT_KEYS)
        missing = tuple(row.key_id for row in rows if not self.keystore.has(row.key_id))
        return KeyStatus(missing, f"root keys missing: {', '.join(missing)}" if missing else "")

    def _tell_missing(self) -> None:
        missing = self.status().missing
        if missing and missing != self._told_missing:
            log.warning("root keys are missing: this server is not ready", extra={"keys": ", ".join(missing)})
        elif self._told_missing and not missing:
            log.info("all root keys are here")
        self._told_missing = missing

    # --- between servers

    async def _give(self, payload: bytes) -> bytes:
        """Another server asks for a key; empty if it is not here."""
        key_id = payload.decode()
        try:
            return msgspec.msgpack.encode(self.keystore.kept(key_id))
        except NoKey:
            return b""

    async def _take(self, payload: bytes) -> bytes:
        """The leader hands a new key over; answered when it is on disk."""
        await asyncio.to_thread(self.keystore.put, msgspec.msgpack.decode(payload, type=Kept))
        return b"1"

    def _others(self) -> list[str]:
        own = self._server.engine.own.id
        return [one["id"] for one in self._server.engine.servers() if one["id"] != own]

    async def _call(self, server_id: str, method: str, payload: bytes) -> bytes:
        try:
            return await self._server.transport.call(server_id, method, payload, timeout=ANSWER_SECONDS)
        except (YurtError, TimeoutError) as error:
            log.debug("a server did not answer", extra={"server": server_id, "reason": str(error)})
            return b""

    # --- keys

    async def rotate(self, *, publish_time_ns: int = 0) -> tuple[RootKey, int]:
        """Make a new key; it is active at once, or only known of until `publish_time_ns`.

        Raises Refusal(500) if it could not be kept on most servers: nothing has changed then.
        """
        server = self._server
        key_id = server.new_id()
        made = await asyncio.to_thread(self._make, key_id)
        try:
            await asyncio.to_thread(self.keystore.put, made)
        except OSError as error:
            raise Refusal(500, f"the new root key is not on disk: {error.strerror}; nothing was changed") from error
        others, payload = self._others(), msgspec.msgpack.encode(made)
        kept = 1 + sum(map(bool, await asyncio.gather(*(self._call(one, PUT, payload) for one in others))))
        if kept * 2 <= len(others) + 1:
            raise Refusal(500, f"the new root key is on {kept} of {len(others) + 1} servers only; nothing was changed")
        key = RootKey(
            key_id=key_id,
            create_time=server.now_ns(),
            publish_time=publish_time_ns,
            state=PREPUBLISHED if publish_time_ns else ACTIVE,
        )
        result = await server.propose(UpsertRootKey(now_ns=server.now_ns(), key=key))
        return key, result.index

    async def delete(self, key_id: str, *, force: bool) -> int:
        """Delete a key; raises Refusal(500) for the active one and for one in use."""
        server = self._server
        result = await server.propose(DeleteRootKey(now_ns=server.now_ns(), key_id=key_id, force=force))
        index: int = result.index
        return index

    def _committed(self, _index: int, changes: list[Change]) -> None:
        for change in changes:
            if change.table is ROOT_KEYS:
                self._news.set()
                if change.new is None:
                    self.keystore.remove(change.key)

    async def _run(self) -> None:
        """Fetch what is missing here; make the first key, and publish those whose time has come, while this leads."""
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
            if not done:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            await self._news.wait()

    async def _look_after(self) -> bool:
        """Whether there is nothing left to do."""
        server = self._server
        view, done = server.view(), True
        for key in view.scan(ROOT_KEYS):
            if not self.keystore.has(key.key_id):
                done = await self._fetch(key.key_id) and done
        if not server.is_ready:
            return done and not server.engine.is_leader_role
        if active_key(view) is None:
            if server.version_known_by_all() < UpsertRootKey.since:
                return False
            await self.rotate()
            return False
        for key in view.scan(ROOT_KEYS):
            if key.state == PREPUBLISHED:
                if key.publish_time > server.now_ns():
                    done = False
                    continue
                ready = msgspec.structs.replace(key, state=ACTIVE)
                await server.propose(UpsertRootKey(now_ns=server.now_ns(), key=ready))
        return done

    async def _fetch(self, key_id: str) -> bool:
        for server_id in self._others():
            if found := await self._call(server_id, GET, key_id.encode()):
                await asyncio.to_thread(self.keystore.put, msgspec.msgpack.decode(found, type=Kept))
                log.info("root key fetched", extra={"key": key_id, "from": server_id})
                return True
        return False
