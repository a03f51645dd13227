"""Entries a second into the log, by how many share a sync, against plain writes that are synced one by one.

python -m tests.bench.journal [DIRECTORY]     # a directory on the disk to measure
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

from yurt.server.raft.storage.disk import RealDisk
from yurt.server.raft.storage.journal import Journal

SECONDS = 1.5
PAYLOAD = os.urandom(1024)
CLUSTER = bytes(range(16))
BATCHES = (1, 8, 64, 256)


def rate(step: Callable[[], int]) -> tuple[float, float, float]:
    """Entries a second, and the p50 and p99 of a step in ms."""
    times, entries = [], 0
    start = time.perf_counter()
    while (now := time.perf_counter()) - start < SECONDS:
        entries += step()
        times.append(time.perf_counter() - now)
    times.sort()
    return entries / (time.perf_counter() - start), times[len(times) // 2] * 1e3, times[len(times) * 99 // 100] * 1e3


def plain(directory: str) -> Callable[[], int]:
    """A write and an fdatasync into a file that has its space."""
    file = RealDisk().create(f"{directory}/plain")
    file.preallocate(64 << 20)
    offsets: Iterator[int] = iter(range(0, 64 << 20, len(PAYLOAD)))

    def step() -> int:
        file.write(next(offsets), PAYLOAD)
        file.sync()
        return 1

    return step


def journal(directory: str, batch: int, *, sync: bool = True) -> Callable[[], int]:
    """A batch of entries into a journal; the log in memory is kept short."""
    log = Journal(RealDisk(sync=sync), directory, CLUSTER)
    log.open()

    def step() -> int:
        first = log.last_index + 1
        operations = [log.append([(PAYLOAD, index, 1) for index in range(first, first + batch)], first - 1)]
        if first % 4096 < batch:
            operations.append(log.drop(first - 1))
        log.perform(operations)
        return batch

    return step


def main() -> None:
    """Print the table."""
    above = sys.argv[1] if len(sys.argv) > 1 else "."
    with tempfile.TemporaryDirectory(dir=above) as directory:
        base, p50, p99 = rate(plain(directory))
        print(f"{'1 KiB entries':<28}{'entries/s':>11}{'ratio':>8}{'p50 ms':>9}{'p99 ms':>9}")
        print(f"{'plain write + fdatasync':<28}{base:>11,.0f}{1:>8.2f}{p50:>9.2f}{p99:>9.2f}")
        for sync in (True, False):
            for batch in BATCHES:
                found, p50, p99 = rate(journal(f"{directory}/{batch}-{sync}", batch, sync=sync))
                name = f"journal, {batch} a batch{'' if sync else ', no sync'}"
                print(f"{name:<28}{found:>11,.0f}{found / base:>8.2f}{p50:>9.2f}{p99:>9.2f}")


if __name__ == "__main__":
    main()
