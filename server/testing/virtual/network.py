"""The network between the machines of a cluster in one process: it takes time, and can be cut and slowed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from yurt.server.cluster.peer_methods import PEER_METHODS
from yurt.server.raft.errors import NotSent, OutcomeUnknown
from yurt.server.raft.transport.callers import Asker, kind_of
from yurt.server.raft.transport.handshake import Hello
from yurt.server.raft.transport.transport import PeerTransport

if TYPE_CHECKING:
    from yurt.server.testing.virtual.host import Host
    from yurt.server.testing.virtual.world import World

DELAY_SECONDS = 0.0005  # one way, about


class VirtualNetwork:
    """Links between servers by name; the same faults as `testing.links.Links` makes between processes."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.transports: dict[str, VirtualTransport] = {}  # of the processes that run
        self.delays: dict[str, float] = {}  # by machine: seconds that everything to and from it takes longer
        self._cut: set[tuple[str, str]] = set()
        self._is_silent = True  # otherwise there are no connections between those who are cut

    # --- faults

    def isolate(self, names: set[str]) -> set[tuple[str, str]]:
        """All pairs with one end inside and one outside."""
        return {(a, b) for a in self.transports for b in self.transports if (a in names) != (b in names)}

    def cut(self, pairs: set[tuple[str, str]], *, silently: bool = True) -> None:
        """Nothing of a pair's (from, to) gets through; silently, or by closing what is open."""
        self.join()  # earlier cuts end
        self._cut, self._is_silent = set(pairs), silently
        for pair in () if silently else sorted(pairs):
            for a, b in (pair, pair[::-1]):
                if a in self.transports and b in self.transports:
                    self.transports[a].lose(b)

    def join(self) -> None:
        """No pair is cut any more; delays stay. What stood still is begun anew, as connections are that hung."""
        stuck = self._cut | {pair[::-1] for pair in self._cut}
        self._cut = set()
        for a, b in sorted(stuck):
            if a in self.transports and b in self.transports:
                self.transports[a].lose(b)
                self._connect(a, b)

    def heal(self) -> None:
        """Everything gets through."""
        self.delays = {}
        self.join()

    def close(self) -> None:
        """There is nothing to end."""

    # --- connections

    def up(self, transport: VirtualTransport) -> None:
        """A process has come; it and everybody it reaches are connected."""
        name = transport.host.name
        self.transports[name] = transport
        for other in sorted(self.transports):
            self._connect(name, other)
            self._connect(other, name)

    def down(self, name: str) -> None:
        """A process is gone, and everybody sees its connections break."""
        self.transports.pop(name, None)
        for other in self.transports.values():
            other.lose(name)

    def _connect(self, a: str, b: str) -> None:
        is_refused = not self._is_silent and ((a, b) in self._cut or (b, a) in self._cut)
        if a != b and not is_refused and a in self.transports and b in self.transports:
            self.transports[a].gain(b, self.transports[b].own_hello())

    def later(self, a: str, b: str, arrive: Callable[[], None]) -> None:
        """Call `arrive` when something sent from `a` gets to `b`; never if the pair is cut then."""
        slow = max(self.delays.get(a, 0.0), self.delays.get(b, 0.0))
        seconds = slow + DELAY_SECONDS * (0.5 + self.world.chance.random())
        self.world.later(seconds, lambda: None if (a, b) in self._cut else arrive())


class VirtualTransport(PeerTransport):
    """A server's connections to the others, without sockets."""

    def __init__(self, network: VirtualNetwork, host: Host, own_hello: Callable[[], Hello]) -> None:
        super().__init__(own_hello, chance=network.world.chance, methods=PEER_METHODS)
        self.network, self.host, self.server_id = network, host, own_hello().server_id
        self._reached: dict[str, str] = {}  # server ID → the name of its machine
        self._answering: set[asyncio.Task[None]] = set()
        self._waiting: dict[asyncio.Future[bytes], str] = {}  # requests under way → whom they were sent to

    def gain(self, name: str, hello: Hello) -> None:
        """A connection is there."""
        server_id = hello.server_id
        if server_id not in self._reached:
            self._reached[server_id] = name
            self.hellos[server_id] = hello
            self.host.mine(lambda: self.on_connected(server_id))()

    def lose(self, name: str) -> None:
        """A connection broke: what was asked on it may have been done or not."""
        for server_id in [server_id for server_id, machine in self._reached.items() if machine == name]:
            del self._reached[server_id]
            self._lose_server(server_id)

    def _lose_server(self, server_id: str) -> None:
        self.host.mine(lambda: self._lost_to(server_id))()

    def _lost_to(self, server_id: str) -> None:
        self.on_disconnected(server_id)
        for future in [one for one, to in self._waiting.items() if to == server_id and not one.done()]:
            future.set_exception(OutcomeUnknown())

    def dial(self, address: str) -> None:
        """Everybody is connected by the network."""

    def undial(self, address: str) -> None:
        """Everybody is connected by the network."""

    def dial_back(self, address: str) -> None:
        """Everybody is connected by the network."""

    def _reach(self, server_id: str) -> VirtualTransport | None:
        """The server with that ID, if its machine runs and still is that server."""
        other = self.network.transports.get(self._reached.get(server_id, ""))
        return other if other is not None and other.server_id == server_id else None

    def is_connected(self, server_id: str) -> bool:
        """Whether a message to that server would leave now."""
        return server_id in self._reached

    def send_raft(self, server_id: str, data: bytes) -> None:
        """Send, or lose it."""
        if server_id not in self._reached:
            return

        def arrive() -> None:
            other = self._reach(server_id)
            if other is not None and other.is_connected(self.server_id):
                other.host.mine(lambda: other.on_raft(self.server_id, data))()

        self.network.later(self.host.name, self._reached[server_id], arrive)

    async def call(self, server_id: str, method: str, payload: bytes, *, timeout: float) -> bytes:
        """Ask another server; `NotSent` if it surely did not get the request, `OutcomeUnknown` if it may have."""
        if server_id not in self._reached:
            raise NotSent(f"no connection to server {server_id}")
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[future] = server_id
        own, name, own_hello = self.host.name, self._reached[server_id], self.own_hello()

        def settle(answer: bytes | Exception) -> None:
            if not future.done():
                if isinstance(answer, bytes):
                    future.set_result(answer)
                else:
                    future.set_exception(answer)

        def answered(answer: bytes | Exception) -> None:
            self.network.later(name, own, self.host.mine(lambda: settle(answer)))

        def arrive() -> None:
            other = self._reach(server_id)
            if other is not None:
                other.host.mine(lambda: other.asked(own_hello, method, payload, answered))()

        self.network.later(own, name, arrive)
        try:
            async with asyncio.timeout(timeout):
                return await future
        except TimeoutError:
            raise OutcomeUnknown from None
        finally:
            del self._waiting[future]

    def asked(self, hello: Hello, method: str, payload: bytes, done: Callable[[bytes | Exception], None]) -> None:
        """Another server's request has arrived."""
        kind = kind_of(hello.server_id, members=self.members_of(), is_proved=True)
        try:
            handler = self.requests.handler_for(method, kind)
        except NotSent as error:
            done(error)
            return
        asker = Asker(kind, hello.server_id, hello.address)

        async def answer() -> None:
            try:
                done(await handler(payload, asker))
            except NotSent as error:
                done(error)

        task = asyncio.get_running_loop().create_task(answer())
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)
