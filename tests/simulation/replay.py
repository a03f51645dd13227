"""`python -m tests.simulation.replay SEED [SIZE]`: live through a seed again, with every event shown."""

from __future__ import annotations

import sys

from yurt.server.testing.simulation.scenario import Life

if __name__ == "__main__":
    life = Life(int(sys.argv[1]), size=int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    try:
        life.live()
    except AssertionError as error:
        sys.exit("\n".join(life.cluster.world.trace) + f"\n{error}")
    clients = life.cluster.clients
    print("\n".join(life.cluster.world.trace))
    print(f"faults {life.faults}, work {life.work}, {dict(life.counts)}")
    print(f"{len(clients.acknowledged)} acknowledged, {clients.unknown} unknown, {clients.reads} reads")
