"""From a request to an answer: route, method, which server answers, errors (design: Reads, Writes)."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable
from functools import lru_cache, partial

from yurt.fsm.errors import Refusal, YurtError
from yurt.fsm.job.admit import NO_REGION
from yurt.fsm.job.decode import TOO_DEEP
from yurt.server.http.asgi.admission import check_sender
from yurt.server.http.asgi.audited import line_of
from yurt.server.http.asgi.context import Answer, Context, read_options, text
from yurt.server.http.asgi.depth import is_deeper
from yurt.server.http.asgi.rates import EXEMPT, Rates, TooOften
from yurt.server.http.query.reads import Reads
from yurt.server.http.routes.jobs_read import submission_version
from yurt.server.http.routing.forward import forward
from yurt.server.http.routing.proxy import signed
from yurt.server.http.routing.route import Handler, Route
from yurt.server.http.routing.table import find
from yurt.server.platform.worker_thread import LARGE_BODY_BYTES
from yurt.server.raft.errors import NotLeader, NotSent, OutcomeUnknown, Overloaded, StorageFull
from yurt.server.server import InternalError, Server
from yurt.server.telemetry.audit import REFUSAL, AuditLog
from yurt.server.telemetry.metrics import Labels
from yurt.server.telemetry.tracing import Tracing

log = logging.getLogger("http")

HOLD_SECONDS = 5.0
RETRY_SECONDS = 0.02
RETRY_SOON = (b"retry-after", b"1")
NOT_FOUND = Answer(404)
INVALID_METHOD = text(405, "Invalid method")
NO_LEADER = text(500, "No cluster leader")


def _invalid_method(route: Route) -> Answer:
    return INVALID_METHOD if route.wrong_method == 405 else text(route.wrong_method, "Invalid method")


def _refused(refusal: Refusal) -> Answer:
    return text(refusal.status, refusal.text, *((RETRY_SOON,) if refusal.status == 429 else ()))


async def _answered(answer: Answer) -> Answer:
    return answer


def _check_options(context: Context, route: Route) -> None:
    try:
        read_options(context)
    except Refusal as refusal:
        raise Refusal(refusal.status, refusal.text + route.options_error) from None


@lru_cache(4096)
def _labels(route: str, method: str, status: int) -> Labels:
    """Made once for each; the set is bounded, whatever clients send."""
    known = method if method in ("GET", "PUT", "POST", "DELETE", "HEAD") else "other"
    return (("route", route), ("method", known), ("status", str(status)))


def _rates(per_second: float, burst: int) -> Rates | None:
    return Rates(per_second, burst, time.monotonic) if per_second > 0 else None


class Dispatcher:
    """Answers requests for one server."""

    def __init__(self, server: Server, reads: Reads) -> None:
        self.server, self.reads = server, reads
        limits = server.config.limits
        self._depth_max = limits.http_json_depth_max
        self._client_rates = _rates(limits.http_rate_limit, limits.http_rate_limit_burst)
        self._token_rates = _rates(limits.http_token_rate_limit, limits.http_token_rate_limit_burst)

    # What only hands a request on is no coroutine: a waiting query keeps a frame for each.

    def answer(self, context: Context) -> Awaitable[Answer]:
        """The answer to a request; never raises but for a request that was forwarded here by mistake (`NotSent`)."""
        audit = self.server.audit
        return self._answer(context) if audit is None or context.is_inside else self._audited(context, audit)

    async def _audited(self, context: Context, audit: AuditLog) -> Answer:
        refused = context.method not in ("GET", "HEAD") and audit.refuses
        answer = text(500, REFUSAL) if refused else await self._answer(context)
        if not context.handed_over:  # who answers knows who asks
            audit.record(line_of(context, answer))
        return answer

    async def admit(self, context: Context) -> Answer | None:
        """The answer to a request whose large body is not read, as its sender may not send it; None for who may."""
        try:
            found = find(context.path)
            if found is None:
                return NOT_FOUND
            route, context.arguments = found
            context.route = route.path
            await check_sender(context, route)
        except Refusal as refusal:
            answer = _refused(refusal)
            self.server.metrics.count(
                "nomad.http.request", labels=_labels(context.route or "unknown", context.method, answer.status)
            )
            if self.server.audit is not None:
                self.server.audit.record(line_of(context, answer))
            return answer
        return None

    def _answer(self, context: Context) -> Awaitable[Answer]:
        tracing = self.server.tracing
        return self._measured(context) if tracing is None else self._traced(context, tracing)

    async def _traced(self, context: Context, tracing: Tracing) -> Answer:
        with tracing.request(context.method, context.headers) as span:
            answer = await self._measured(context)
            tracing.answered(span, context.method, context.route, answer.status)
            return answer

    async def _measured(self, context: Context) -> Answer:
        started = time.perf_counter()
        answer = await self._refused_or(context)
        labels = _labels(context.route or "unknown", context.method, answer.status)
        metrics = self.server.metrics
        metrics.count("nomad.http.request", labels=labels)
        metrics.observe("yurt.http.request.seconds", time.perf_counter() - started, labels[:1])
        return answer

    async def _refused_or(self, context: Context) -> Answer:
        """The answer, or what a refusal or failure is answered with; raises `NotSent`."""
        return signed(await self._tried(context), context)

    async def _tried(self, context: Context) -> Answer:
        try:
            found = find(context.path)
            if found is None:
                return NOT_FOUND
            route, context.arguments = found
            context.route = route.path
            if self._client_rates is not None:
                self._take_of_client(self._client_rates, context)
            if not context.forwarded:
                await self._check_depth(context)
            return await self._routed(context, route)
        except Refusal as refusal:
            return _refused(refusal)
        except NotSent:
            raise
        except Overloaded as error:
            return text(429, str(error), RETRY_SOON)
        except TooOften as error:
            return text(429, str(error), (b"retry-after", b"%d" % error.seconds))
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

    @staticmethod
    def _take_of_client(rates: Rates, context: Context) -> None:
        """Count a request of a client; not twice if it was handed over, nor what keeps nodes and the server alive."""
        if context.address and not context.forwarded and not context.path.startswith(EXEMPT):
            rates.take(context.client, f"your address {context.address}")

    async def _check_depth(self, context: Context) -> None:
        """Raises Refusal(400) for a body that is nested too deep; what was handed over was looked at already."""
        body = context.body
        if len(body) >= LARGE_BODY_BYTES:
            deeper = await context.beside_loop(partial(is_deeper, body, self._depth_max))
        else:
            deeper = is_deeper(body, self._depth_max)
        if deeper:
            raise Refusal(400, TOO_DEEP)

    def _routed(self, context: Context, route: Route) -> Awaitable[Answer]:
        method = context.method
        if route.path.endswith("/submission"):
            submission_version(context)
        reads = method == "GET" or route.any_method or (method == "POST" and route.reads_by_post)
        if reads:
            handler = route.getter
            if handler is None and route.get is None:
                return _answered(_invalid_method(route))
        elif method == "PUT" or (method == "POST" and not route.only_put):
            handler = route.put
        elif method == "DELETE":
            handler = route.delete
        else:
            handler = None
        if handler is None and not (reads and route.get is not None):
            return _answered(_invalid_method(route))
        context.need = route.need(method)
        if reads and context.query.get("region", "") not in ("", "global", self.server.region):
            raise Refusal(500, NO_REGION)
        if route.local or (context.is_stale if reads else route.streams_body):
            return self._run(context, route, handler)
        if reads and not route.leader:
            quorum = "consistent" in context.query
            if self.server.engine.may_read and not quorum:
                return self._run(context, route, handler)
            return self._read(context, route, handler, quorum=quorum)
        return self._led(context, route, handler)

    async def _read(self, context: Context, route: Route, handler: Handler | None, *, quorum: bool) -> Answer:
        """Answer from this server's state once it has everything acknowledged; hold while an election runs."""
        deadline = asyncio.get_running_loop().time() + HOLD_SECONDS
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    await self.server.read_ready(quorum=quorum)
                break
            except NotLeader:
                if not await self._next_try(deadline):
                    return NO_LEADER
            except TimeoutError:
                return NO_LEADER
        return await self._run(context, route, handler)

    def _run(self, context: Context, route: Route, handler: Handler | None) -> Awaitable[Answer]:
        context.authorize(self.server.view())
        if self._token_rates is not None and (token := context.identity.token) is not None and token.accessor_id:
            self._token_rates.take(token.accessor_id, f"the token {token.name or token.accessor_id}")
        if handler is None:
            assert route.get is not None
            if route.options_error:
                _check_options(context, route)
            form = route.body if route.reads_by_post and context.method == "POST" else None
            return self.reads.answer(context, route.get, form)
        return handler(context)

    async def _led(self, context: Context, route: Route, handler: Handler | None) -> Answer:
        """Write as the leader, or let the leader write; hold while an election runs."""
        engine = self.server.engine
        deadline = asyncio.get_running_loop().time() + HOLD_SECONDS
        while True:
            try:
                if engine.is_ready:
                    if not engine.may_read:  # a refusal by the state is an answer too: it must not be of an old one
                        await self.server.read_ready()
                    context.handed_over = False
                    return await self._run(context, route, handler)
                if engine.leader is not None and not engine.is_leader_role and not context.forwarded:
                    answer = await forward(context, engine.leader.id)
                    context.handed_over = True  # whoever answered has noted it
                    return answer
            except (NotLeader, NotSent):
                pass  # surely not written: go on looking for the leader
            if context.forwarded:
                raise NotSent("this server does not lead")
            if not await self._next_try(deadline):
                return NO_LEADER

    async def _next_try(self, deadline: float) -> bool:
        """Wait for a leader, and a moment if there seems to be one; False if the time is up."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(RETRY_SECONDS)
        await self.server.leader_known(max(0.0, deadline - loop.time()))
        return loop.time() < deadline
