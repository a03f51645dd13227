"""Key-encryption keys that the cluster makes for itself: handed from member to member, on most before one is used."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from yurt.fsm.errors import Refusal
from yurt.fsm.store.schema import ROOT_KEYS, WRAPPED_KEYS
from yurt.fsm.structs.variable import ACTIVE
from yurt.server.cluster.members import ask_member, other_members
from yurt.server.host import Host
from yurt.server.keyring.encryption import KEY_BYTES, FileKeeper, id_of
from yurt.server.keyring.survey import KeySurvey
from yurt.server.raft.errors import NotSent

log = logging.getLogger("keyring")

GET, PUT = "keyring.kek.get", "keyring.kek.put"  # between members of the configuration only
ANSWER_SECONDS = 5.0


class KekExchange:
    """Fetches key-encryption keys that a server lacks, and spreads the one that root keys are wrapped with."""

    def __init__(self, server: Host, keeper: FileKeeper, survey: KeySurvey) -> None:
        self._ask = partial(ask_member, server.transport, seconds=ANSWER_SECONDS)
        self._server, self._keeper, self._survey = server, keeper, survey
        server.transport.serve(GET, self._give)
        server.transport.serve(PUT, self._take)

    # --- between members

    async def _give(self, payload: bytes) -> bytes:
        """Hand out a key that the cluster has made; never a configured one."""
        return self._keeper.generated_key(payload.decode())

    async def _take(self, payload: bytes) -> bytes:
        """Keep a key that the leader hands over; answered when it is on disk."""
        try:
            await asyncio.to_thread(self._keeper.keep, payload)
        except OSError as error:
            raise NotSent(f"the key is not on disk: {error.strerror}") from error
        return b"1"

    async def fetch(self, kek_id: str) -> bool:
        """Fetch a key from whichever member has it, and keep it; raises OSError if it cannot be kept."""
        await asyncio.to_thread(self._keeper.look)
        if kek_id in self._keeper.accepted:
            return True
        for server_id in other_members(self._server.engine):
            material = await self._ask(server_id, GET, kek_id.encode())
            if len(material) == KEY_BYTES and id_of(material) == kek_id:
                await asyncio.to_thread(self._keeper.keep, material)
                log.info("key-encryption key fetched", extra={"key": kek_id, "from": server_id})
                return True
        return False

    # --- the leader's

    async def for_wrapping(self, *, by_all: bool = False) -> str:
        """Return the ID of the key to wrap with, once most servers have it (`by_all`: and all that are connected).

        Raises Refusal(500) if they do not, and OSError if a new key cannot be kept.
        """
        await self._survey.ask()
        kek_id = self._keeper.preferred or self._in_use() or next(iter(self._keeper.generated), "")
        kek_id = kek_id or await self._adopted() or await self._made()
        material, others = self._keeper.generated_key(kek_id), other_members(self._server.engine)
        lacking = [one for one in others if kek_id not in self._survey.of(one).accepted]
        if material:
            answers = await asyncio.gather(*(self._ask(server_id, PUT, material) for server_id in lacking))
            lacking = [server_id for server_id, answer in zip(lacking, answers, strict=True) if not answer]
        holders, servers = 1 + len(others) - len(lacking), 1 + len(others)
        connected = [server_id for server_id in lacking if self._server.transport.is_connected(server_id)]
        if holders * 2 <= servers or (by_all and connected):
            raise Refusal(
                500,
                f"the key-encryption key {kek_id} is on {holders} of {servers} servers only: add it to "
                "server.key_encryption_keys everywhere and reload; nothing was changed",
            )
        return kek_id

    def _in_use(self) -> str:
        """The key that the active root key is wrapped with, or any other; empty if none of them is here."""
        view = self._server.view()
        keys = sorted(view.scan(ROOT_KEYS), key=lambda key: key.state != ACTIVE)
        wrapped = (view.get(WRAPPED_KEYS, key.key_id) for key in keys)
        accepted = self._keeper.accepted
        return next((row.kek_id for row in wrapped if row is not None and row.kek_id in accepted), "")

    async def _adopted(self) -> str:
        """A key that another member has already, perhaps of a leader before this one."""
        for server_id in other_members(self._server.engine):
            for kek_id in self._survey.of(server_id).accepted:
                if await self.fetch(kek_id):
                    return kek_id
        return ""

    async def _made(self) -> str:
        kek_id = await asyncio.to_thread(self._keeper.keep, self._keeper.make())
        log.info("key-encryption key made: none is configured", extra={"key": kek_id})
        return kek_id
