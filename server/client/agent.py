"""The node agent: registers, is heard, watches its allocations, runs them, reports (spec node-agent §1, §3, §4)."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from functools import partial
from typing import Any

from yurt.fsm.errors import YurtError
from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.node import Node
from yurt.server.acl.statements import Checker
from yurt.server.client import trees
from yurt.server.client.alloc_runner import AllocRunner, ended_elsewhere
from yurt.server.client.allocdir import AllocDir
from yurt.server.client.collector import to_collect, usage_of
from yurt.server.client.metadata import Metadata
from yurt.server.client.registrar import Registrar
from yurt.server.client.reports import Reports
from yurt.server.client.saved import SavedAllocs
from yurt.server.client.servers import NODE_NOT_FOUND, Beat, Operations, Refused
from yurt.server.client.surroundings import Surroundings
from yurt.server.platform.supervision import Supervised

log = logging.getLogger("client")

REGISTER_SECONDS, WATCH_RETRY_SECONDS, FIRST_BEAT_SECONDS = 1.0, 2.0, 10.0
ALLOCS_PER_REQUEST_MAX = 100
END_SECONDS = 10.0
SAVE_AGAIN_SECONDS = 1.0
STALL_SECONDS = 5.0  # so much later than it was due, a heartbeat shows that the agent stood still


class NodeAgent:
    """One node. `learn` is told the servers' addresses after each heartbeat."""

    def __init__(
        self,
        surroundings: Surroundings,
        operations: Operations,
        *,
        chance: random.Random,
        learn: Callable[[list[str]], None],
        dev: bool = False,
    ) -> None:
        self.surroundings, self.operations = surroundings, operations
        self.metadata = Metadata(surroundings.node.meta or {}, surroundings.state_dir)
        surroundings.node = replace(surroundings.node, meta=self.metadata.merged)
        self._chance, self._learn, self._dev = chance, learn, dev
        self.runners: dict[str, AllocRunner] = {}
        self._indexes: dict[str, int] = {}
        self._reports = Reports(operations)
        self._registrar = surroundings.registrar = Registrar(operations)
        surroundings.operations = operations
        self.statements = Checker(surroundings.node.id, surroundings.now_ns)
        self._saved = None if surroundings.ends_with_agent else SavedAllocs(surroundings.state_dir / "allocs")
        self._unsaved: set[str] = set()  # whose state could not be written
        self.supervisor = surroundings.supervisor
        self._tasks: dict[str, Supervised] = {}
        self._heard = 0.0
        self._wait = 0.0  # seconds until the next heartbeat
        self._is_restored = self._is_registered = False

    @property
    def node(self) -> Node:
        """This node, as it registers."""
        return self.surroundings.node

    async def change_meta(self, given: Any) -> None:
        """Change the node's meta, here and at the servers; raises Refusal(400), and YurtError if no server took it."""
        self.metadata.apply(given)
        self.surroundings.node = replace(self.node, meta=self.metadata.merged)
        await self.operations.register(self.node)

    def start(self) -> None:
        """Begin; everything runs in the present loop."""
        works = {
            "node": self._life, "watch": self._watch, "reports": self._reports.run, "services": self._registrar.run,
            "collector": self._collect_often, "saving": self._save_again,
        }  # fmt: skip
        self._tasks = {kind: self.supervisor.start(kind, work) for kind, work in works.items()}

    async def stop(self) -> None:
        """End all of it. Tasks go on for the next agent, but a development agent's end, and their directories go."""
        for task in self._tasks.values():
            task.stop()
        for task in self._tasks.values():
            await task.wait()
        if self.surroundings.ends_with_agent:
            await self._end_tasks()
        for runner in self.runners.values():
            runner.stop()

    async def _end_tasks(self) -> None:
        running = [one for one in self.runners.values() if not one.ended.is_set()]
        for runner in running:
            runner.forgotten()
        waiting = [asyncio.ensure_future(one.ended.wait()) for one in running]
        if waiting:
            patience = self.surroundings.kill_timeout_max_ns / 1e9 + END_SECONDS
            await asyncio.wait(waiting, timeout=patience)
        for runner in self.runners.values():
            runner.directory.destroy()

    # --- registration and heartbeats

    async def _life(self) -> None:
        """Restore, register, be heard; begun anew after a failure it goes on where it was."""
        if not self._is_restored:
            await self._restore()
            self._is_restored = True
        if not self._is_registered:
            beat = await self._register()
            self._is_registered = True
            self._wait = 0.0 if self._dev else self._chance.random() * min(FIRST_BEAT_SECONDS, beat.ttl_seconds)
        while True:
            due_ns = self.surroundings.now_ns() + int(self._wait * 1e9)
            await asyncio.sleep(self._wait)
            if (late := (self.surroundings.now_ns() - due_ns) / 1e9) > STALL_SECONDS:
                log.warning("node agent stood still", extra={"seconds": round(late)})
                self._watch_anew()
            self._wait = 0.0  # if it breaks, the next comes at once
            self._wait = await self._beat()

    async def _register(self) -> Beat:
        told = ""
        while True:
            try:
                beat = await self.operations.register(self.node)
            except YurtError as error:
                if (reason := _why_not_registered(error)) != told and not self._dev:
                    log.warning("not registered yet; trying on", extra={"reason": reason})
                    told = reason
                await asyncio.sleep(REGISTER_SECONDS * (0.1 if self._dev else 0.5 + self._chance.random()))
            else:
                log.info("node registered", extra={"node": self.node.id})
                self._heard = asyncio.get_running_loop().time()
                self.surroundings.contact.set()
                self._learn(beat.servers)
                return beat

    async def _beat(self) -> float:
        """One heartbeat; the seconds until the next."""
        try:
            beat = await self.operations.heartbeat()
        except YurtError as error:
            log.warning("a heartbeat was not taken", extra={"reason": str(error)})
            if isinstance(error, Refused) and NODE_NOT_FOUND in str(error):
                await self._register()
                return 0.0
            self._stop_the_lonely()
            return 1.0 + self._chance.random()
        self._heard = asyncio.get_running_loop().time()
        self._learn(beat.servers)
        return beat.ttl_seconds

    def _stop_the_lonely(self) -> None:
        """Allocations that must not run on without servers end (spec node-agent §19)."""
        silent = asyncio.get_running_loop().time() - self._heard
        for runner in self.runners.values():
            limit = _alone_ns(runner.allocation)
            if limit is not None and silent * 1e9 > limit:
                runner.kill()

    # --- allocations

    async def _restore(self) -> None:
        """Go on with what an earlier agent of this node began."""
        for saved in self._saved.load() if self._saved is not None else ():
            if saved.allocation.id in self.runners:
                continue
            if not AllocDir(self.surroundings.alloc_dir, saved.allocation.id).path.is_dir():
                continue
            runner = AllocRunner(saved.allocation, self.surroundings, self._changed)
            self.runners[saved.allocation.id] = runner
            self._indexes[saved.allocation.id] = saved.index
            await runner.restore(saved)
            self._changed(runner)

    def _watch_anew(self) -> None:
        """Ask for the allocations at once: the answer to the question under way may never come."""
        self._tasks["watch"].stop()
        self._tasks["watch"] = self.supervisor.start("watch", self._watch)

    async def _watch(self) -> None:
        await self.surroundings.contact.wait()
        index, count = 0, 0
        while True:
            try:
                seen, index = await self.operations.client_allocs(index, count)
                count = len(seen)
                await self._take(seen)
            except YurtError as error:
                log.debug("the allocations were not read", extra={"reason": str(error)})
                index = 0
                await asyncio.sleep(WATCH_RETRY_SECONDS * (0.5 + self._chance.random()))
            else:
                self._reports.begin()

    async def _take(self, seen: dict[str, int]) -> None:
        """Compare what the servers want with what is here."""
        for alloc_id in [one for one in self._indexes if one not in seen]:
            self._remove(alloc_id)
        wanted = [one for one, index in seen.items() if self._indexes.get(one, 0) < index]
        for start in range(0, len(wanted), ALLOCS_PER_REQUEST_MAX):
            part = wanted[start : start + ALLOCS_PER_REQUEST_MAX]
            for allocation in await self.operations.get_allocs(part):
                self._indexes[allocation.id] = allocation.alloc_modify_index
                self._place(allocation)

    def _place(self, allocation: Allocation) -> None:
        runner = self.runners.get(allocation.id)
        if runner is not None:
            runner.update(allocation)
        elif allocation.is_client_terminal and allocation.client_status != "lost":
            return
        elif allocation.is_server_terminal:
            self._reports.add(allocation.id, lambda: ended_elsewhere(allocation, self.surroundings.now_ns()))
        else:
            runner = AllocRunner(allocation, self.surroundings, self._changed)
            self.runners[allocation.id] = runner
            before = (allocation.previous_allocation, *(allocation.preempted_allocations or ()))
            runner.start([self.runners[one] for one in before if one in self.runners])

    def _changed(self, runner: AllocRunner) -> None:
        self._reports.add(runner.allocation.id, runner.current)
        self._save(runner)

    def _remove(self, alloc_id: str) -> None:
        """The servers have forgotten the allocation."""
        del self._indexes[alloc_id]
        runner = self.runners.pop(alloc_id, None)
        self._reports.forget(alloc_id)
        if self._saved is not None:
            self._saved.forget(alloc_id)
        if runner is not None:
            self._destroy(runner)

    def _destroy(self, runner: AllocRunner) -> None:
        """End what still runs, then remove its directories."""
        if not runner.ended.is_set():
            runner.forgotten()
        self.supervisor.start("removal", partial(self._destroyed, runner), name=runner.allocation.id)

    async def collect(self, runner: AllocRunner) -> None:
        """Remove the directories of an allocation that has ended; that it was here is still known."""
        runner.is_collected = True
        await self._destroyed(runner)

    async def _collect_often(self) -> None:
        limits = self.surroundings.limits
        while True:
            await asyncio.sleep(limits.interval_seconds)
            await self.collect_what_is_too_much()

    async def collect_what_is_too_much(self) -> None:
        """Keep so many allocations' directories, and fewer when the volume is full."""
        kept = [one for one in self.runners.values() if not one.is_collected]
        usage = await asyncio.to_thread(usage_of, self.surroundings.alloc_dir)
        ended = [one for one in kept if one.ended.is_set()]
        for runner in to_collect(self.surroundings.limits, len(kept), ended, usage):
            log.info("an allocation that has ended is collected", extra={"alloc": runner.allocation.id})
            await self.collect(runner)

    async def _destroyed(self, runner: AllocRunner) -> None:
        await runner.ended.wait()
        await asyncio.to_thread(runner.directory.destroy)
        state = self.surroundings.state_dir / "tasks" / runner.allocation.id
        await asyncio.to_thread(trees.remove, state)
        if runner.allocation.id not in self.runners:
            runner.close()

    # --- on disk

    def _save(self, runner: AllocRunner) -> None:
        if self._saved is None:
            return
        alloc_id = runner.allocation.id
        if self._saved.save(runner.saved()):
            self._unsaved.discard(alloc_id)
        else:
            self._unsaved.add(alloc_id)

    async def _save_again(self) -> None:
        """Write the states that a full disk refused, as soon as there is room."""
        while True:
            await asyncio.sleep(SAVE_AGAIN_SECONDS)
            for alloc_id in list(self._unsaved):
                runner = self.runners.get(alloc_id)
                if runner is None:
                    self._unsaved.discard(alloc_id)
                else:
                    self._save(runner)


def _alone_ns(allocation: Allocation) -> int | None:
    """How long an allocation may run without servers; None for as long as it likes."""
    group = allocation.job.group(allocation.task_group) if allocation.job is not None else None
    if group is None:
        return None
    if group.disconnect is not None and group.disconnect.stop_on_client_after is not None:
        return group.disconnect.stop_on_client_after
    return group.stop_after_client_disconnect


def _why_not_registered(error: YurtError) -> str:
    if isinstance(error, Refused) and error.status == 403:
        return f'{error}: a new node needs client {{ introduction_token = "…" }}, a token with node:write'
    return str(error)
