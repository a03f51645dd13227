"""The whole product on virtual time: clients over its API, on whole clusters that are broken at random.

`Cluster(in_process=True)` has the product's own servers: HTTP, hand-over to the leader, leases, scheduler, disks. What
clients saw goes through the checker; when the faults have ended every server shows the same, and what runs is wanted.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from yurt.server.testing.simulation.replaced_disks import check_variables, replace_disk, write_variables
from yurt.server.testing.virtual.server import Pending, VirtualServer
from yurt.testing import Cluster, ClusterError, Event, check

SIZES = (1, 3, 3, 3, 5)
JOBS, CLIENTS = ("a", "b", "c"), 6
FAULT_SECONDS, PEACE_SECONDS = 15.0, 40.0
TIMEOUT_SECONDS = 8.0
STALLED, STALL_SECONDS = 0.1, (40.0, 90.0, 240.0)  # the part of the lives with a stalled machine: minutes cost time
CONFLICT = re.compile(r"Enforcing job modify index")
TASK = {"Name": "t", "Driver": "mock_driver", "Config": {"run_for": "1h"}, "Resources": {"CPU": 10, "MemoryMB": 10}}


class Client:
    """One client, with one request under way at most; it remembers what it read last."""

    def __init__(self, life: ProductLife, number: int) -> None:
        self.life, self.number, self.count = life, number, 0
        self.known: dict[str, tuple[Any, int]] = {}  # job → value, JobModifyIndex
        self.pending: Pending | None = None
        self.began = 0.0
        self.event: dict[str, Any] = {}

    def turn(self) -> None:
        """Take the answer that has come, or ask something."""
        if self.pending is None:
            self._ask()
        elif self.pending.is_done or self.pending.is_lost or self._waits_too_long():
            pending, self.pending = self.pending, None
            self._answered(pending.status if pending.is_done else 0, pending.body if pending.is_done else None)

    def _waits_too_long(self) -> bool:
        return self.life.cluster.clock.now() - self.began > TIMEOUT_SECONDS

    def _ask(self) -> None:
        chance, job = self.life.chance, self.life.chance.choice(JOBS)
        server = chance.choice(self.life.servers)
        if chance.random() < 0.5 or job not in self.known:
            mode = chance.choice(("", "", "?consistent"))
            self._send(server, "GET", f"/v1/job/{job}{mode}", None, kind="read", job=job, mode=mode[1:])
            return
        value, index = self.known[job]
        self.count += 1
        fresh = f"{self.number}-{self.count}"
        group = {"Name": "g", "Count": chance.choice((0, 1, 2)), "Tasks": [TASK]}
        body = {"ID": job, "Meta": {"value": fresh}, "TaskGroups": [group]}
        sent = {"Job": body, "EnforceIndex": True, "JobModifyIndex": index}
        self._send(server, "PUT", "/v1/jobs", sent, kind="cas", job=job, value=fresh, expected=value)

    def _send(self, server: VirtualServer, method: str, path: str, body: Any, **event: Any) -> None:
        self.began, self.event = self.life.cluster.clock.now(), {**event, "server": server.name}
        try:
            self.pending = server.begin(method, path, body)
        except ConnectionRefusedError:
            self.life.counts["refused"] += 1

    def _answered(self, status: int, body: Any) -> None:
        event, job = self.event, self.event["job"]
        self.life.counts[f"answered {status}" if status else "no answer"] += 1
        if event["kind"] == "read":
            if status not in (200, 404):
                return
            value, index = (body["Meta"]["value"], body["JobModifyIndex"]) if status == 200 else (None, 0)
            self.known[job] = (value, index)
            self._note("ok", value=value, index=index)
        elif status == 200:
            self.known[job] = (event["value"], body["JobModifyIndex"])
            self._note("ok", index=body["JobModifyIndex"])
        else:
            self.known.pop(job, None)
            refused = CONFLICT.search(str(body)) is not None
            self._note("conflict" if refused else "fail" if 400 <= status < 500 else "unknown")

    def _note(self, result: str, **more: Any) -> None:
        given = {**self.event, **more}
        self.life.history.append(
            Event(given.pop("job"), given.pop("kind"), self.began, self.life.cluster.clock.now(), result, **given)
        )


class ProductLife:
    """A seed: its cluster, its clients, its faults."""

    def __init__(self, seed: int) -> None:
        self.seed, self.chance = seed, random.Random(seed)
        size = SIZES[seed % len(SIZES)]
        config = {
            "server": {"raft_snapshot_threshold": 40, "raft_trailing_logs": 10},
            "autopilot": {"server_stabilization_time": "1s"},  # a new disk votes soon, so that the next may be replaced
        }
        self.cluster = Cluster(size, nodes=1, in_process=True, seed=seed, config=config)
        self.servers: list[VirtualServer] = list(self.cluster.servers)  # type: ignore[arg-type]
        self.clients = [Client(self, number) for number in range(CLIENTS)]
        self.history: list[Event] = []
        self.counts: Counter[str] = Counter()
        self.faults = tuple(name for name in FAULTS if self.chance.random() < 0.5)
        self._stalls = random.Random(f"stalls of {seed}")  # apart: what else a seed draws does not move
        self._stall_after = self._stalls.uniform(1.0, FAULT_SECONDS) if self._stalls.random() < STALLED else math.inf

    def live(self) -> ProductLife:
        """Raises AssertionError for a promise that was broken."""
        try:
            with self.cluster:
                write_variables(self.servers)
                self._suffer()
                self._recover()
        except (AssertionError, ClusterError) as error:
            trace = "\n".join(f"{at:8.3f} {text}" for at, text in self.cluster.timeline[-30:])
            raise AssertionError(f"seed {self.seed}: {error}\n{trace}") from error
        return self

    def _suffer(self) -> None:
        clock, chance = self.cluster.clock, self.chance
        end, fault_at, stall_at = (clock.now() + seconds for seconds in (FAULT_SECONDS, 1.0, self._stall_after))
        while clock.now() < end:
            clock.sleep(chance.uniform(0.005, 0.06))
            for client in self.clients:
                client.turn()
            if clock.now() >= stall_at:
                end, stall_at = end + self._stall(), math.inf
            if self.faults and clock.now() >= fault_at:
                name = chance.choice(self.faults)
                self.counts[name] += 1
                FAULTS[name](self, chance.choice(self.servers))
                fault_at = clock.now() + chance.uniform(0.2, 2.0)

    def _stall(self) -> float:
        """Let the machine of a server or a node stand still for minutes, while little is asked; return the seconds."""
        clock, seconds = self.cluster.clock, self._stalls.choice(STALL_SECONDS)
        kind, agents = self._stalls.choice((("server", self.servers), ("node", self.cluster.nodes)))
        agent = self._stalls.choice(agents)
        if not agent.is_running or agent.is_paused:
            return 0.0
        self.counts[f"stalled {kind}"] += 1
        self.cluster.pause(agent)
        end = clock.now() + seconds
        while clock.now() < end:
            clock.sleep(2.0)
            for client in self.clients:
                client.turn()
        self.cluster.resume(agent)
        return seconds

    def _recover(self) -> None:
        cluster = self.cluster
        cluster.heal()
        for server in self.servers:
            server.disk.crash_at = None
        for agent in (*cluster.servers, *cluster.nodes):
            if not agent.is_running:
                agent.start()
        end = cluster.clock.now() + PEACE_SECONDS
        while cluster.clock.now() < end:
            cluster.clock.sleep(0.25)
            for client in self.clients:
                if client.pending is not None:
                    client.turn()
        shown = [[self._final(server, job) for job in JOBS] for server in self.servers]
        assert all(one == shown[0] for one in shown), f"the servers differ in peace: {shown}"
        verdict = check(self.history)
        assert verdict.is_linearizable is not False, str(verdict)
        self._check_placements()
        check_variables(self.servers)

    def _final(self, server: VirtualServer, job: str) -> tuple[Any, int]:
        began = self.cluster.clock.now()
        status, body = server.request("GET", f"/v1/job/{job}", timeout=TIMEOUT_SECONDS)
        assert status in (200, 404), f"{server.name} answers {status} {body} in peace"
        value, index = (body["Meta"]["value"], body["JobModifyIndex"]) if status == 200 else (None, 0)
        now = self.cluster.clock.now()
        self.history.append(Event(job, "read", began, now, "ok", value, index=index, server=server.name))
        return value, index

    def _check_placements(self) -> None:
        """Each job has as many running allocations as it wants, each name once."""
        server = self.servers[0]
        for job in server.request("GET", "/v1/jobs")[1]:
            wanted = server.request("GET", f"/v1/job/{job['ID']}")[1]["TaskGroups"][0]["Count"]
            found = server.request("GET", f"/v1/job/{job['ID']}/allocations")[1]
            live = [one["Name"] for one in found if one["ClientStatus"] == "running" and one["DesiredStatus"] == "run"]
            assert len(set(live)) == len(live) == wanted, f"{job['ID']} has {live}, it wants {wanted}"


# --- faults

Fault = Callable[[ProductLife, VirtualServer], None]


def _crash(life: ProductLife, server: VirtualServer) -> None:
    if server.is_running:
        life.cluster.kill(server)
    else:
        server.start()


def _crash_all(life: ProductLife, _server: VirtualServer) -> None:
    for server in life.servers:
        life.cluster.kill(server)
        server.start()


def _crash_at_a_write(life: ProductLife, server: VirtualServer) -> None:
    """Power goes between two calls of the disk."""
    if server.is_running:
        server.disk.crash_at = server.disk.calls + life.chance.randrange(1, 30)


def _pause(life: ProductLife, server: VirtualServer) -> None:
    (life.cluster.resume if server.paused_until else life.cluster.pause)(server)


def _cut(life: ProductLife, server: VirtualServer) -> None:
    others = [one for one in life.servers if one is not server]
    if others:
        pairs = {(server.name, life.chance.choice(others).name), (life.chance.choice(others).name, server.name)}
        life.cluster.cut(pairs, silently=life.chance.random() < 0.5)


def _isolate(life: ProductLife, server: VirtualServer) -> None:
    life.cluster.isolate(server)


def _replace_disk(life: ProductLife, server: VirtualServer) -> None:
    life.counts["disks replaced"] += replace_disk(life.servers, server)


def _join(life: ProductLife, _server: VirtualServer) -> None:
    life.cluster.heal()
    for server in life.servers:
        server.disk.crash_at = None
        server.start()


FAULTS: dict[str, Fault] = {
    "crash": _crash,
    "crash all": _crash_all,
    "crash at a write": _crash_at_a_write,
    "pause": _pause,
    "cut": _cut,
    "isolate": _isolate,
    "slow links": lambda life, server: life.cluster.slow(server, life.chance.choice((0.0, 0.05, 0.5))),
    "slow disk": lambda life, server: life.cluster.slow_disk(server, life.chance.choice((0.0, 0.1, 0.8))),
    "full disk": lambda life, server: life.cluster.fill_disk(server, full=life.chance.random() < 0.5),
    "replaced disk": _replace_disk,
    "moved clock": lambda life, server: life.cluster.move_clock(server, life.chance.choice((0, -3600, 3600))),
    "lost node": lambda life, _server: _crash(life, life.cluster.nodes[0]),  # type: ignore[arg-type]
    "heal": _join,
}
