"""Locks of variables run out on the leader unless they are renewed (spec cluster §12).

Deadlines are in memory: after a change of leadership every lock lives its whole time once more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from functools import partial

from yurt.fsm.commands_variables import UnlockVariable
from yurt.fsm.store.changes import Change
from yurt.fsm.store.schema import VARIABLES
from yurt.fsm.structs.variable import Variable
from yurt.server.host import Host

log = logging.getLogger("locks")
Key = tuple[str, str]


class VariableLocks:
    """Timers of all locks while this server leads."""

    def __init__(self, server: Host) -> None:
        self._server = server
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._terms = 0
        server.machine.on_commit(self._committed)
        server.engine.on_leadership(self._leadership)

    def renew(self, variable: Variable) -> None:
        """Its time begins anew."""
        key = (variable.namespace, variable.path)
        self._cancel(key)
        if variable.lock is not None:
            run_out = partial(self._run_out, key, variable.lock.id)
            self._timers[key] = self._server.supervisor.later(
                "locks", variable.lock.ttl / 1e9, run_out, name="/".join(key)
            )

    def stop(self) -> None:
        """Forget all timers."""
        for key in list(self._timers):
            self._cancel(key)

    def _cancel(self, key: Key) -> None:
        if timer := self._timers.pop(key, None):
            timer.cancel()
            self._server.supervisor.forget_timer("locks", "/".join(key))

    def _leadership(self, leads: bool) -> None:
        self.stop()
        self._terms += 1
        if leads:
            self._server.in_turns(partial(self._take_in, self._terms))

    def _take_in(self, term: int) -> Iterator[None]:
        """Give every lock its whole time, unless it has been renewed meanwhile."""
        for taken in self._server.view().each(VARIABLES, "locked", True):
            if term != self._terms:
                return
            if taken is not None and (key := (taken.namespace, taken.path)) not in self._timers:
                held = self._server.view().get(VARIABLES, key)
                if held is not None:
                    self.renew(held)
            yield

    def _committed(self, _index: int, changes: list[Change]) -> None:
        if not self._server.engine.is_leader_role:
            return
        for change in changes:
            if change.table is not VARIABLES:
                continue
            new, old = change.new, change.old
            if new is None or new.lock is None:
                self._cancel(change.key)
            elif old is None or old.lock is None or old.lock.id != new.lock.id:
                self.renew(new)

    def _run_out(self, key: Key, lock_id: str) -> None:
        self._timers.pop(key, None)
        self._server.supervisor.spawn("locks", self._free(key, lock_id))

    async def _free(self, key: Key, lock_id: str) -> None:
        server = self._server
        command = UnlockVariable(now_ns=server.now_ns(), namespace=key[0], path=key[1], lock_id=lock_id, expired=True)
        try:
            await server.propose(command)
            log.info("a lock ran out", extra={"namespace": key[0], "path": key[1]})
        except Exception as error:  # noqa: BLE001 (whatever it is: the lock must not be held for ever)
            log.debug("a lock was not freed", extra={"path": key[1], "reason": str(error)})
            held = server.view().get(VARIABLES, key)
            if server.is_ready and held is not None and held.lock is not None and held.lock.id == lock_id:
                self.renew(held)  # it is tried again when that has run out
