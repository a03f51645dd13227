"""One life of a cluster: faults for a while, then peace, then everything must be there and go on."""

from __future__ import annotations

from tests.simulation.world import Cluster, Server

FAULT_SECONDS = 8.0
PEACE_SECONDS = 12.0


def run(seed: int, *, size: int = 0) -> Cluster:
    """Live through a seed; raises AssertionError with the trace's end."""
    cluster = Cluster(seed, size or (1, 2, 3, 3, 3, 4, 5)[seed % 7])
    try:
        _live(cluster)
    except AssertionError as error:
        trace = "\n".join(cluster.world.trace[-40:])
        raise AssertionError(
            f"seed {seed}: {error}\n{trace}\nreplay: python -m tests.simulation.replay {seed}"
        ) from error
    return cluster


def _live(cluster: Cluster) -> None:
    world, chance = cluster.world, cluster.world.chance
    crashes, cuts, slow = chance.random() < 0.7, chance.random() < 0.7, chance.random() < 0.3
    next_fault, next_write, next_check = 1.5, 0.0, 0.0
    while world.time < FAULT_SECONDS:
        world.step()
        if world.time >= next_write:
            cluster.propose()
            next_write = world.time + 0.03 * chance.random()
        if world.time >= next_fault:
            _fault(cluster, crashes, cuts, slow)
            next_fault = world.time + 1.2 * chance.random()
        cluster.check()
        if world.time >= next_check:
            cluster.check_logs()
            next_check = world.time + 0.2
    _make_peace(cluster)
    before = len(cluster.acknowledged)
    while world.time < FAULT_SECONDS + PEACE_SECONDS and not _settled(cluster, before):
        world.step()
        if world.time >= next_write:
            cluster.propose()
            next_write = world.time + 0.05
        cluster.check()
    cluster.check_logs()
    cluster.check_acknowledged()
    assert len(cluster.acknowledged) > before, "nothing was acknowledged after the faults ended"


def _settled(cluster: Cluster, before: int) -> bool:
    """Writes go on, and everybody has applied them."""
    lengths = {len(one.machine.applied) for one in cluster.servers.values() if one.engine is not None}
    return len(cluster.acknowledged) > before + 10 and len(lengths) == 1


def _fault(cluster: Cluster, crashes: bool, cuts: bool, slow: bool) -> None:
    chance = cluster.world.chance
    server: Server = chance.choice(list(cluster.servers.values()))
    kind = chance.random()
    if kind < 0.4 and crashes:
        if server.engine is not None:
            server.crash()
        delay = chance.choice((0.05, 0.5, 2.0)) * chance.random()
        cluster.world.later(delay, lambda: server.engine is None and server.start())
    elif kind < 0.5 and crashes:
        for one in cluster.servers.values():
            if one.engine is not None:
                one.crash()
            cluster.world.later(0.3 * chance.random(), lambda one=one: one.engine is None and one.start())
    elif kind < 0.75 and cuts:
        names = list(cluster.servers)
        apart = set(chance.sample(names, chance.randrange(len(names))))
        one_way = chance.random() < 0.3
        cluster.cut = {
            (a, b) for a in names for b in names if (a in apart) != (b in apart) and not (one_way and a in apart)
        }
        cluster.world.note(f"cut {sorted(cluster.cut)}")
    elif kind < 0.85 and slow:
        server.disk_seconds = chance.choice((0.002, 0.05, 0.4))
    else:
        cluster.cut = set()
        cluster.world.note("healed")


def _make_peace(cluster: Cluster) -> None:
    cluster.world.note("peace")
    cluster.cut, cluster.loss, cluster.repeats, cluster.slow, cluster.delay = set(), 0.0, 0.0, 0.0, 0.002
    for server in cluster.servers.values():
        server.disk_seconds = 0.002
        if server.engine is None:
            server.start()
