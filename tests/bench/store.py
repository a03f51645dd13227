"""The store's figures, without disk or network: `python -m tests.bench.store [JOBS]`.

The collector is off as in a server that applies or restores (design: freeze after load, full collections rare);
the rows that say so leave it on.
"""

from __future__ import annotations

import gc
import hashlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from yurt.fsm import commands
from yurt.fsm.machine import Applied, Machine
from yurt.fsm.store.schema import EVALUATIONS, JOB_SUMMARIES, JOB_VERSIONS, JOBS, Table
from yurt.fsm.structs.evaluation import Evaluation
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import Job, JobSummary, TaskGroupSummary
from yurt.fsm.structs.resources import Resources
from yurt.fsm.structs.task import Task

JOBS_DEFAULT = 100_000
WRITTEN: tuple[Table[Any, Any], ...] = (JOBS, JOB_VERSIONS, JOB_SUMMARIES, EVALUATIONS)


def line(name: str, figure: str, target: str = "", detail: str = "") -> None:
    """One row of the table."""
    print(f"| {name} | {figure} | {target} | {detail} |", flush=True)


def microseconds(times: int, work: Callable[[int], Any]) -> float:
    """What one call takes."""
    started = time.perf_counter()
    for number in range(times):
        work(number)
    return (time.perf_counter() - started) / times * 1e6


def random_id(number: int) -> str:
    """An ID as random as a UUID, the same in every run."""
    text = hashlib.blake2b(str(number).encode(), digest_size=16).hexdigest()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def job(number: int) -> Job:
    """A job of one group and task."""
    task = Task(name="web", driver="docker", config={"image": "nginx:1.27"}, env={"A": "1"}, resources=Resources())
    group = TaskGroup(name="web", count=0, tasks=(task,))
    return Job(id=f"job-{number:07d}", name=f"job-{number:07d}", task_groups=(group,), meta={"owner": "me"})


def puts(machine: Machine, rows: list[tuple[Any, ...]]) -> Callable[[int], None]:
    """The four puts of a registration in a transaction of their own."""
    store = machine.store

    def put(number: int) -> None:
        transaction = store.begin(store.index + 1)
        for table, row in zip(WRITTEN, rows[number], strict=True):
            transaction.put(table, row)
        store.commit(transaction)

    return put


def row_set(number: int) -> tuple[Any, ...]:
    """What a registration stores."""
    one = job(number)
    summary = JobSummary(job_id=one.id, namespace=one.namespace, summary={"web": TaskGroupSummary()})
    evaluation = Evaluation(
        id=random_id(number), namespace=one.namespace, job_id=one.id, status="pending", create_index=number
    )
    return one, one, summary, evaluation


def writes(machine: Machine, count: int) -> None:
    """Transactions, bare and with the machine around them."""
    made = microseconds(count, puts(machine, [row_set(number) for number in range(count)]))
    line("transaction: job, version, summary, evaluation", f"{made:.1f} µs", "< 40 µs", f"0 → {count:,} jobs")
    keys = [(JOBS, ("default", f"other-{number}")) for number in range(1000)]
    watches = [machine.store.watches.watch([key], lambda index: None) for key in keys]
    more = [row_set(number) for number in range(count, count + 2000)]
    watched = microseconds(2000, puts(machine, more))
    line("the same past 1,000 watches of other jobs", f"{watched:.1f} µs", "", f"{count:,} jobs")
    for watch in watches:
        watch.cancel()
    payloads = [
        commands.encode(commands.RegisterJob(now_ns=1, job=job(number), eval_id=random_id(number)))
        for number in range(count + 2000, count + 4000)
    ]
    applied = microseconds(2000, lambda number: machine.apply(payloads[number]))
    assert isinstance(machine.apply(payloads[0]), Applied)
    line("machine: apply RegisterJob", f"{applied:.1f} µs", "", "decode, handler, transaction")


def reads(machine: Machine, count: int) -> None:
    """Views, rows, pages."""
    store, view = machine.store, machine.view()
    line("view", f"{microseconds(100_000, lambda _: store.view()):.2f} µs", "< 2 µs")
    keys = [("default", f"job-{number:07d}") for number in range(count)]
    line("get one job", f"{microseconds(count, lambda number: view.get(JOBS, keys[number])):.2f} µs")
    found = microseconds(count, lambda number: view.find(EVALUATIONS, "job", keys[number]))
    line("find a job's evaluations", f"{found:.2f} µs")

    def page(number: int) -> list[Job]:
        return list(islice(view.scan(JOBS, prefix=("default", ""), start=keys[number * 37 % (count - 200)]), 100))

    line("page of 100 jobs", f"{microseconds(2000, page):.1f} µs")
    newest = microseconds(2000, lambda _: list(islice(view.scan(EVALUATIONS, order="created", reverse=True), 100)))
    line("page of the 100 newest evaluations", f"{newest:.1f} µs")
    encoded = microseconds(2000, lambda number: b",".join(store.encoded(JOBS, row) for row in page(number % 20)))
    line("page of 100 jobs as kept JSON", f"{encoded:.1f} µs")
    old = machine.view()
    puts(machine, [row_set(count + 10_000)])(0)
    slow = microseconds(5, lambda number: list(islice(old.scan(JOBS, start=keys[count // 2]), 100)))
    line("page of 100 jobs of an older view", f"{slow / 1000:.1f} ms", "", "sorts for itself")


def snapshots(machine: Machine, count: int, directory: Path) -> None:
    """Writing here, restoring in processes of their own."""
    path = directory / "state"
    started = time.perf_counter()
    with path.open("wb") as file:
        for chunk in machine.write(machine.capture()):
            file.write(chunk)
    seconds = time.perf_counter() - started
    line("write a snapshot", f"{seconds:.2f} s", "", f"{path.stat().st_size / 1e6:.0f} MB")
    for collecting in ("off", "on"):
        subprocess.run([sys.executable, "-m", "tests.bench.store", "restore", str(path), collecting], check=True)


def restore(path: str, collecting: str) -> None:
    """Restore a snapshot; time and resident memory."""
    if collecting == "off":
        gc.disable()

    def chunks() -> Iterator[bytes]:
        with Path(path).open("rb") as file:
            while chunk := file.read(1 << 20):
                yield chunk

    machine = Machine()
    started = time.perf_counter()
    machine.restore(chunks())
    seconds = time.perf_counter() - started
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    name = f"restore {machine.view().count(JOBS):,} jobs, collector {collecting}"
    line(name, f"{seconds:.2f} s, {megabytes:,.0f} MB", "< 8 s, < 1 GB")


def main() -> None:
    """Print the table."""
    if sys.argv[1:2] == ["restore"]:
        restore(*sys.argv[2:])
        return
    count = int(sys.argv[1]) if len(sys.argv) > 1 else JOBS_DEFAULT
    print("| what | measured | target | detail |\n|---|---|---|---|")
    machine = Machine()
    gc.disable()
    writes(machine, count)
    reads(machine, count)
    with tempfile.TemporaryDirectory() as directory:
        snapshots(machine, count, Path(directory))


if __name__ == "__main__":
    main()
