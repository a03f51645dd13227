"""`python -m tests.simulation.replay SEED [SIZE]`: live through a seed again, with every event shown."""

from __future__ import annotations

import sys

from tests.simulation.scenario import run

if __name__ == "__main__":
    try:
        cluster = run(int(sys.argv[1]), size=int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    except AssertionError as error:
        sys.exit(str(error))
    print("\n".join(cluster.world.trace))
    print(f"{len(cluster.acknowledged)} acknowledged, {len(cluster.longest)} applied, leaders {cluster.leaders}")
