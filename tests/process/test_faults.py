"""Kills, pauses, cut, slow and flapping links on three real servers: nothing acknowledged is lost, no read is stale.

YURT_FAULT_ROUNDS says how many rounds (12 by default; 200 for a long run), YURT_FAULT_SEED which.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.process.history import Client, Register
from tests.process.servers import ServerProcess, free_ports, wait_for
from yurt.server.testing.checker import check
from yurt.server.testing.links import Links

ROUNDS = int(os.environ.get("YURT_FAULT_ROUNDS", "12"))
SEED = int(os.environ.get("YURT_FAULT_SEED", "1"))
REGISTERS = 3


@contextmanager
def linked_cluster(directory: Path) -> Iterator[tuple[list[ServerProcess], Links]]:
    """Three servers that reach each other only over our links."""
    ports = free_ports(6)
    links = Links({f"s{number + 1}": ports[2 * number + 1] for number in range(3)})
    join = [f"127.0.0.1:{port}" for port in links.ports.values()]
    block = {"enabled": True, "bootstrap_expect": 3, "server_join": {"retry_join": join}}
    servers = [
        ServerProcess(
            directory / name, name, ports[2 * number], ports[2 * number + 1], server=block,
            advertise={"rpc": f"127.0.0.1:{links.ports[name]}"},
        )
        for number, name in enumerate(links.real_ports)
    ]  # fmt: skip
    try:
        for server in servers:
            server.start()
        for server in servers:
            server.wait_ready()
        yield servers, links
    finally:
        for server in servers:
            if server.process is not None and server.process.poll() is None:
                server.process.send_signal(signal.SIGCONT)
            server.end()
        links.close()


class Faults:
    """One fault a round; each leaves a whole cluster behind."""

    def __init__(self, servers: list[ServerProcess], links: Links, chance: random.Random) -> None:
        self.servers, self.links, self.chance = servers, links, chance
        self.count: dict[str, int] = {}

    def leader(self) -> ServerProcess:
        """By its link's port."""
        address = ""
        for server in self.servers:
            if server.answers("/v1/status/leader"):
                address = server.request("GET", "/v1/status/leader")[1]
                break
        by_port = {f"127.0.0.1:{port}": name for name, port in self.links.ports.items()}
        return next((one for one in self.servers if by_port.get(address) == one.name), self.servers[0])

    def round(self) -> None:
        """Do something bad for a while."""
        kinds = (self.kill, self.kill_all, self.pause, self.isolate, self.one_way, self.reset, self.flap, self.slow)
        kind = self.chance.choice(kinds)
        self.count[kind.__name__] = self.count.get(kind.__name__, 0) + 1
        victim = self.leader() if self.chance.random() < 0.7 else self.chance.choice(self.servers)
        kind(victim)
        self.links.heal()

    def bad_time(self) -> None:
        """How long it lasts."""
        time.sleep(self.chance.uniform(0.3, 2.2))

    def kill(self, victim: ServerProcess) -> None:
        victim.kill()
        self.bad_time()
        victim.start()

    def kill_all(self, _victim: ServerProcess) -> None:
        for server in self.servers:
            server.kill()
        for server in self.servers:
            server.start()

    def pause(self, victim: ServerProcess) -> None:
        assert victim.process is not None
        victim.process.send_signal(signal.SIGSTOP)
        self.bad_time()
        victim.process.send_signal(signal.SIGCONT)

    def isolate(self, victim: ServerProcess) -> None:
        self.links.cut(self.links.isolate({victim.name}))
        self.bad_time()

    def one_way(self, victim: ServerProcess) -> None:
        pairs = self.links.isolate({victim.name})
        outwards = self.chance.random() < 0.5
        self.links.cut({pair for pair in pairs if (pair[0] == victim.name) == outwards})
        self.bad_time()

    def reset(self, victim: ServerProcess) -> None:
        self.links.cut(self.links.isolate({victim.name}), silently=False)
        self.bad_time()

    def flap(self, victim: ServerProcess) -> None:
        for _ in range(4):
            self.links.cut(self.links.isolate({victim.name}))
            time.sleep(self.chance.uniform(0.05, 0.4))
            self.links.heal()
            time.sleep(self.chance.uniform(0.05, 0.4))

    def slow(self, victim: ServerProcess) -> None:
        self.links.delays[victim.name] = self.chance.choice((0.02, 0.1, 0.3))
        self.bad_time()


@pytest.mark.slow
@pytest.mark.timeout(60 + 12 * ROUNDS)
def test_histories_under_faults_are_linearizable(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    with linked_cluster(tmp_path) as (servers, links):
        registers = [Register(f"register-{number}") for number in range(REGISTERS)]
        clients = [
            Client(servers, register, SEED * 100 + number, writes=number == 0)
            for register in registers
            for number in range(3)
        ]
        for client in clients:
            client.start()
        faults = Faults(servers, links, chance)
        for number in range(ROUNDS):
            before = sum(register.writes for register in registers)
            faults.round()
            wait_for(lambda before=before: sum(one.writes for one in registers) > before + 3, 30, f"writes, {number}")
            assert not [text for one in registers for text in one.violations]
        for client in clients:
            client.ended.set()
        for client in clients:
            client.join(30)
        verdict = check(event for client in clients for event in client.events)
        assert verdict.is_linearizable is True, str(verdict)
        for register in registers:
            assert register.violations == []
            for server in servers:
                status, body = server.request("GET", f"/v1/job/{register.job_id}")
                assert status == 200 and int(body["Meta"]["value"]) >= register.acknowledged, server.name
        print(
            f"{ROUNDS} rounds {faults.count}: {sum(one.writes for one in registers)} writes, "
            f"{sum(one.reads for one in registers)} reads, {sum(one.unknown for one in registers)} doubtful"
        )
