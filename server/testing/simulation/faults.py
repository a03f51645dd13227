"""The faults: one function a kind, in a table from which every seed draws its own set (a swarm)."""

from __future__ import annotations

import errno
from collections.abc import Callable

from yurt.server.raft.errors import Corrupt
from yurt.server.testing.simulation.cluster import Cluster
from yurt.server.testing.simulation.machines import replace_disk, stall
from yurt.server.testing.simulation.strangers import strangers
from yurt.server.testing.simulation.world import Server

Fault = Callable[[Cluster, Server], None]


def crash(cluster: Cluster, server: Server) -> None:
    """One machine loses power and comes back."""
    _down(server, cluster.world.chance.choice((0.02, 0.3, 1.5)))


def crash_all(cluster: Cluster, _server: Server) -> None:
    """All machines lose power together."""
    for one in cluster.servers.values():
        _down(one, 0.3 * cluster.world.chance.random())


def crash_while_writing(cluster: Cluster, server: Server) -> None:
    """Power goes between two operations of the disk: half of what was to be written is there, or torn."""
    server.disk.crash_at = server.disk.calls + cluster.world.chance.randrange(1, 30)
    cluster.world.later(3.0, lambda: setattr(server.disk, "crash_at", None))


def _down(server: Server, seconds: float) -> None:
    if server.engine is not None:
        server.crash()
    server.world.later(seconds, server.start_if_down)


def split(cluster: Cluster, server: Server) -> None:
    """Two parts do not hear each other, perhaps in one direction only."""
    chance = cluster.world.chance
    names = list(cluster.servers)
    apart = {server.name} if chance.random() < 0.4 else set(chance.sample(names, chance.randrange(len(names))))
    one_way = chance.random() < 0.3
    cluster.network.cut = {
        (a, b) for a in names for b in names if (a in apart) != (b in apart) and not (one_way and a in apart)
    }
    cluster.world.note(f"cut {sorted(cluster.network.cut)}")
    if chance.random() < 0.5:
        cluster.world.later(chance.choice((0.3, 0.9, 2.0)), lambda: setattr(cluster.network, "cut", set()))


def cut_link(cluster: Cluster, server: Server) -> None:
    """One server does not hear one other for a while."""
    other = cluster.world.chance.choice(list(cluster.servers))
    cluster.network.cut = {(other, server.name)}
    cluster.world.later(0.6, lambda: setattr(cluster.network, "cut", set()))


def reconnect(cluster: Cluster, server: Server) -> None:
    """All connections of a server break and stand again."""
    if server.engine is not None and not server.is_paused:
        cluster.network.disconnected(server)
        cluster.network.connected(server)


def slow_disk(cluster: Cluster, server: Server) -> None:
    """Syncs take long."""
    server.disk_seconds = cluster.world.chance.choice((0.002, 0.05, 0.4, 1.0))


def full_disk(cluster: Cluster, server: Server) -> None:
    """There is little or no room for a while; a server that has never stored a term needs its first 1,024 bytes."""
    if server.engine is None or not server.engine.term:
        return
    server.disk.capacity = server.disk.used() + cluster.world.chance.choice((0, 2000, 20_000))
    cluster.world.note(f"{server} has no room")
    cluster.world.later(0.8, lambda: setattr(server.disk, "capacity", None))


def failing_disk(cluster: Cluster, server: Server) -> None:
    """A call of the disk fails, and the machine is started anew when its process has ended."""
    if server.engine is None:
        return
    server.is_failing = True
    server.disk.fail_at[server.disk.calls + cluster.world.chance.randrange(1, 30)] = errno.EIO


def pause(cluster: Cluster, server: Server) -> None:
    """The process stands still, its clock does not; then all that came is handled at once."""
    if server.engine is not None and not server.is_paused:
        server.paused_until = cluster.world.time + cluster.world.chance.choice((0.1, 0.6, 1.5))
        cluster.world.note(f"{server} stands still until {server.paused_until:.3f}")


def rot(cluster: Cluster, server: Server) -> None:
    """A restart finds its newest snapshot damaged; a server that cannot go on without it gets the byte back."""
    if server.engine is not None:
        server.crash()
    cluster.world.later(0.1, lambda: _start_rotten(cluster, server))


def _start_rotten(cluster: Cluster, server: Server) -> None:
    if server.engine is not None:
        return
    snapshots = [path for path in server.disk.seen if path.endswith(".snap")]
    if not snapshots:
        server.start()
        return
    newest = max(snapshots, key=_index_of)
    at = cluster.world.chance.randrange(server.disk.size(newest))
    _flip(server, newest, at)
    cluster.world.note(f"{server} finds {newest} rotten")
    try:
        server.start()
    except Corrupt:
        cluster.world.note(f"{server} refuses to start")
        was_installed = server.journal().first_index == _index_of(newest) + 1  # nothing before it was kept then
        assert was_installed or not set(snapshots) - {newest} - server.rotten, (
            f"{server} has an older snapshot, and refuses to start without its newest"
        )
        if newest in server.disk.seen:
            _flip(server, newest, at)
        server.start()
    else:
        server.rotten.add(newest)


def _index_of(path: str) -> int:
    return int(path.rpartition("-")[2].removesuffix(".snap"))


def _flip(server: Server, path: str, at: int) -> None:
    server.disk.crash_at = None
    byte = server.disk.read(path, at, 1)[0] ^ 0x20
    file = server.disk.open(path)
    file.write(at, bytes([byte]))
    file.sync()


def snapshot(_cluster: Cluster, server: Server) -> None:
    """A snapshot at an odd moment."""
    engine = server.engine
    if engine is None or server.is_paused or engine.snapshotting or engine.is_restoring or engine.is_mid_entry:
        return
    if engine.last_applied:
        engine.take_snapshot()


def _alone(cluster: Cluster, server: Server, *, outgoing_only: bool = False) -> None:
    """Nobody hears a server, and it hears nobody (or does)."""
    others = [name for name in cluster.servers if name != server.name]
    cluster.network.cut = {(server.name, name) for name in others}
    if not outgoing_only:
        cluster.network.cut |= {(name, server.name) for name in others}


def musical_chairs(cluster: Cluster, _server: Server, rounds: int = 3) -> None:
    """Cut the leader off while clients go on asking it; when it comes back, cut off the next one."""
    chance, leader = cluster.world.chance, cluster.leader
    if not rounds or leader is None:
        cluster.network.cut = set()
        return
    _alone(cluster, leader, outgoing_only=chance.random() < 0.3)
    cluster.world.note(f"{leader} is alone")
    if chance.random() < 0.3:
        cluster.world.later(0.5 * chance.random(), lambda: _down(leader, 0.2))
    seconds = chance.choice((0.6, 0.9, 1.3)) + 0.2 * chance.random()
    cluster.world.later(seconds, lambda: musical_chairs(cluster, leader, rounds - 1))


def forgetful_witness(cluster: Cluster, server: Server) -> None:
    """One server does not hear the leader any more; then all others restart, and the leader is alone."""
    leader = cluster.leader
    if leader is None or server is leader:
        return
    cluster.network.cut = {(leader.name, server.name), (server.name, leader.name)}
    chance = cluster.world.chance

    def restart() -> None:
        cluster.world.note(f"{leader} is alone, those who heard it restart")
        _alone(cluster, leader)
        for one in cluster.servers.values():
            if one not in (leader, server):
                _down(one, 0.01)

    cluster.world.later(0.45 + 0.6 * chance.random(), restart)
    cluster.world.later(2.0, lambda: setattr(cluster.network, "cut", set()))


def cut_at_the_word(cluster: Cluster, server: Server) -> None:
    """The leadership is handed over, and just then the old or the new leader is alone."""
    leader = cluster.leader
    if leader is None or leader.engine is None or leader.is_paused or server is leader:
        return
    chance = cluster.world.chance
    alone = chance.choice((leader, server))
    cluster.world.note(f"{leader} hands over to {server}, and {alone} is alone")
    leader.engine.transfer(server.name, lambda _result, _error: None)
    cluster.world.later(5 * cluster.network.delay * chance.random(), lambda: _alone(cluster, alone))
    cluster.world.later(chance.choice((0.3, 0.9, 1.6)), lambda: setattr(cluster.network, "cut", set()))


SILENCE = "silence after elections"


def silence(cluster: Cluster, _server: Server) -> None:
    """The leader stands still until another one leads, messages get lost meanwhile, and nobody writes afterwards."""
    leader, network, chance = cluster.leader, cluster.network, cluster.world.chance
    if leader is None or leader.is_paused:
        return
    loss, leader.paused_until = network.loss, cluster.world.time + chance.choice((0.6, 1.2, 1.9))
    network.loss = 0.4
    cluster.clients.silent_until = leader.paused_until + 1.0
    cluster.world.note(f"{leader} stands still until {leader.paused_until:.3f}, and nobody writes")
    cluster.world.later(2.1, lambda: setattr(network, "loss", min(loss, network.loss)))


KINDS: dict[str, tuple[Fault, float]] = {
    "crash": (crash, 3.0),
    "crash all": (crash_all, 1.0),
    "crash while writing": (crash_while_writing, 2.0),
    "split": (split, 3.0),
    "cut link": (cut_link, 1.5),
    "reconnect": (reconnect, 1.0),
    "slow disk": (slow_disk, 1.0),
    "full disk": (full_disk, 1.0),
    "pause": (pause, 1.5),
    "rot": (rot, 1.0),
    "snapshot": (snapshot, 1.0),
    "musical chairs": (musical_chairs, 1.0),
    "forgetful witness": (forgetful_witness, 1.0),
    "cut at the word": (cut_at_the_word, 1.0),
    "failing disk": (failing_disk, 1.0),
    "strangers": (strangers, 1.0),
    SILENCE: (silence, 1.0),
    "stall": (stall, 0.3),
    "replaced disk": (replace_disk, 1.0),
}
