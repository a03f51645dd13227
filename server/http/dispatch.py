"""From a request to an answer: route, method, which server answers, errors (design: Reads, Writes)."""

from __future__ import annotations

import asyncio
import logging
import time

from yurt.fsm.errors import Refusal, YurtError
from yurt.server.http.context import Answer, Context, text
from yurt.server.http.forward import forward
from yurt.server.http.reads import Reads
from yurt.server.http.routes.jobs_read import submission_version
from yurt.server.http.routes.jobs_write import NO_REGION
from yurt.server.http.table import Route, find
from yurt.server.raft.errors import NotLeader, NotSent, OutcomeUnknown, Overloaded, StorageFull
from yurt.server.server import InternalError, Server

log = logging.getLogger("http")

HOLD_SECONDS = 5.0
RETRY_SECONDS = 0.05
NOT_FOUND = Answer(404)
INVALID_METHOD = text(405, "Invalid method")
NO_LEADER = text(500, "No cluster leader")


class Dispatcher:
    """Answers requests for one server."""

    def __init__(self, server: Server, reads: Reads) -> None:
        self.server, self.reads = server, reads

    async def answer(self, context: Context) -> Answer:
        """The answer to a request; never raises but for a request that was forwarded here by mistake (`NotSent`)."""
        started = time.perf_counter()
        label = "unknown"
        try:
            found = find(context.path)
            if found is None:
                return NOT_FOUND
            route, context.arguments = found
            label = route.path
            return await self._routed(context, route)
        except Refusal as refusal:
            return text(refusal.status, refusal.text)
        except NotSent:
            raise
        except Overloaded as error:
            return text(429, str(error), (b"retry-after", b"1"))
        except (StorageFull, OutcomeUnknown) as error:
            return text(500, str(error))
        except InternalError as error:
            log.error("a command broke", extra={"trace": str(error)})
            return text(500, "internal error; nothing was changed")
        except YurtError as error:
            return text(500, str(error))
        except Exception:
            log.exception("a request broke", extra={"path": context.path, "method": context.method})
            return text(500, "internal error")
        finally:
            self.server.metrics.count(f"nomad.http.request.{label}")
            self.server.metrics.sample("yurt.http.request", (time.perf_counter() - started) * 1000)

    async def _routed(self, context: Context, route: Route) -> Answer:
        method = context.method
        if route.path.endswith("/submission"):
            submission_version(context)
        reads = method == "GET" or route.any_method
        if reads:
            handler = route.getter
            if handler is None and route.get is None:
                return INVALID_METHOD
        elif method in ("PUT", "POST"):
            handler = route.put
        elif method == "DELETE":
            handler = route.delete
        else:
            handler = None
        if handler is None and not (reads and route.get is not None):
            return INVALID_METHOD
        if reads and context.query.get("region", "") not in ("", "global", self.server.region):
            raise Refusal(500, NO_REGION)
        if route.local or (reads and context.is_stale):
            return await self._run(context, route, handler)
        return await self._led(context, route, handler, reads)

    async def _run(self, context: Context, route: Route, handler: object) -> Answer:
        if handler is None:
            assert route.get is not None
            return await self.reads.answer(context, route.get)
        return await handler(context)  # type: ignore[operator, no-any-return]  # one of the route's handlers

    async def _led(self, context: Context, route: Route, handler: object, reads: bool) -> Answer:
        """Answer as the leader, or let the leader answer; hold while an election runs."""
        engine = self.server.engine
        deadline = asyncio.get_running_loop().time() + HOLD_SECONDS
        while True:
            if engine.may_read if reads else engine.is_ready:
                try:
                    if reads and "consistent" in context.query:
                        await self.server.verify()
                    return await self._run(context, route, handler)
                except NotLeader:
                    pass  # surely not written: go on looking for the leader
            elif context.forwarded:
                raise NotSent("this server does not lead")
            elif engine.leader is not None and not engine.is_leader_role:
                try:
                    return await forward(context, engine.leader.id)
                except NotSent:
                    pass
                except OutcomeUnknown:
                    if not reads:
                        raise
            if context.forwarded:
                raise NotSent("this server does not lead")
            if asyncio.get_running_loop().time() >= deadline:
                return NO_LEADER
            await asyncio.sleep(RETRY_SECONDS)
