"""`python -m yurt.server.testing.simulation --seeds A..B [--jobs N]`: run many seeds; report counts and failures."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from yurt.server.testing.simulation.duties import DutyLife
from yurt.server.testing.simulation.product import ProductLife
from yurt.server.testing.simulation.scenario import Life

TOLD_EVERY = 500


def why_failed(life: Life | DutyLife | ProductLife) -> str:
    """Live it; "" if nothing was wrong."""
    try:
        life.live()
    except AssertionError as failure:
        return str(failure)
    return ""


def one(seed: int) -> tuple[int, Counter[str], str]:
    """A seed, what happened in it, and why it failed ("" if it did not)."""
    life = Life(seed)
    error = why_failed(life)
    clients = life.cluster.clients
    found = Counter(life.counts)
    found["acknowledged"] += len(clients.acknowledged)
    found["unknown outcome"] += clients.unknown
    found["reads"] += clients.reads
    found["leaders"] += len(life.cluster.invariants.leaders)
    found["disks looked at"] += life.cluster.network.oracle.looked
    return seed, found, error


def one_of_duties(seed: int) -> tuple[int, Counter[str], str]:
    """The same for a life with the scheduler and nodes."""
    life = DutyLife(seed)
    error = why_failed(life)
    found = Counter(life.counts)
    found["commands looked at"] += life.cluster.commits
    return seed, found, error


def one_of_the_product(seed: int) -> tuple[int, Counter[str], str]:
    """The same for whole clusters, asked over their API."""
    life = ProductLife(seed)
    error = why_failed(life)
    found = Counter(life.counts)
    found["operations checked"] += len(life.history)
    return seed, found, error


def main() -> int:
    """Exit code 1 if a seed fails."""
    parser = argparse.ArgumentParser(
        prog="python -m yurt.server.testing.simulation", description="Live through seeds A to B - 1."
    )
    parser.add_argument("--seeds", required=True, metavar="A..B")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--duties", action="store_true", help="run the scheduler, the leader's duties and nodes too")
    parser.add_argument("--product", action="store_true", help="run whole clusters through their API")
    given = parser.parse_args()
    first, last = (int(number) for number in given.seeds.split(".."))
    logging.disable(logging.WARNING)
    work = one_of_duties if given.duties else one_of_the_product if given.product else one
    counts: Counter[str] = Counter()
    failed: list[int] = []
    started = time.monotonic()
    with ProcessPoolExecutor(given.jobs) as pool:
        for number, (seed, found, error) in enumerate(pool.map(work, range(first, last), chunksize=8), start=1):
            counts += found
            if error:
                failed.append(seed)
                print(f"FAILED {error}", flush=True)
            if number % TOLD_EVERY == 0:
                print(f"{number} seeds, {len(failed)} failed, {time.monotonic() - started:.0f} s", flush=True)
    print(f"{last - first} seeds in {time.monotonic() - started:.0f} s; failed: {failed or 'none'}")
    print(", ".join(f"{name} {count:,}" for name, count in sorted(counts.items())))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
