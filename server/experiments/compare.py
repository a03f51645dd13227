"""The same experiments on Yurt and on the reference: `YURT_REFERENCE=BINARY python -m yurt.server.experiments.compare`.

Both get three servers on this machine's loopback, the same clients, the same seed and the same faults: those that
signals can do, for nothing else is asked of the reference than `agent -config FILE` and its API.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from yurt.server.experiments.report import report
from yurt.server.experiments.run import LeftOut, Options, perform
from yurt.server.experiments.scenario import all_scenarios
from yurt.server.experiments.verdict import told
from yurt.testing import AgentProcess, free_ports

VARIABLE = "YURT_REFERENCE"
SCENARIOS = (
    "calm",
    "leader-kill",
    "follower-kill",
    "all-kill",
    "pause",
    "rolling-restart",
    "dispatch-storm",
    "watch-failover",
)


_SERF_PORTS: dict[int, int] = {}  # by rpc port: servers must know each other's


class ReferenceProcess(AgentProcess):
    """A server of the reference. It gossips on a third port, and is joined there."""

    speaks_to_peers = False

    @property
    def program(self) -> tuple[str, ...]:
        """The binary."""
        return (os.environ[VARIABLE],)

    @property
    def ports(self) -> dict[str, int]:
        """With the one for gossip."""
        return {**super().ports, "serf": _serf(self.rpc_port)}

    def start(self, *flags: str, **environment: str) -> AgentProcess:
        """Start it; whom it joins is named by both ports, each takes what it knows."""
        server: dict[str, Any] = self.config["server"]
        peers = [int(one.rpartition(":")[2]) for one in server["server_join"]["retry_join"]]
        known = [port for port in peers if port not in _SERF_PORTS.values()]
        both = [f"127.0.0.1:{port}" for rpc in known for port in (rpc, _serf(rpc))]
        join = {"retry_join": both, "retry_interval": "1s"}
        self.config = {
            **self.config,
            "bind_addr": "127.0.0.1",
            "advertise": {"http": "127.0.0.1", "rpc": "127.0.0.1", "serf": "127.0.0.1"},
            "server": {**server, "server_join": join},
        }
        return super().start(*flags, **environment)


def _serf(rpc_port: int) -> int:
    if rpc_port not in _SERF_PORTS:
        _SERF_PORTS[rpc_port] = free_ports(1)[0]
    return _SERF_PORTS[rpc_port]


@click.command()
@click.argument("names", nargs=-1, metavar="[SCENARIO]...")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("experiments/compared"))
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--duration", type=float, default=0.0, help="Seconds during which faults begin [the scenario's own].")
@click.option("--short", is_flag=True, help="Run only one or two rounds of faults.")
def main(names: tuple[str, ...], out: Path, seed: int, duration: float, short: bool) -> None:
    """Run scenarios on both programs and print both results. Each run's report is below OUT."""
    if not os.access(os.environ.get(VARIABLE, ""), os.X_OK):
        raise click.ClickException(f"{VARIABLE} must name the reference's binary")
    known = all_scenarios()
    if unknown := set(names) - set(known):
        raise click.ClickException(f"there is no scenario {', '.join(sorted(unknown))}")
    rows = []
    for name in names or SCENARIOS:
        for title, program in (("yurt", AgentProcess), ("reference", ReferenceProcess)):
            directory = out / f"{name}-{title}"
            options = Options(known[name], directory, seed=seed, seconds=duration, short=short)
            try:
                is_interrupted = perform(options, lambda text: click.echo(text, err=True), program)
            except LeftOut as error:
                rows.append(f"{name:18} {title:10} {error}")
                continue
            verdict = report(directory)
            click.echo(f"{name} on {title}: {told(verdict)}", err=True)
            rows.append(f"{name:18} {title:10} {_row(verdict)}")
            if is_interrupted:
                raise SystemExit(130)
    head = f"{'scenario':18} {'on':10} {'verdict':10} {'acknowledged':>12}"
    click.echo(f"{head} {'p50 ms':>8} {'p99 ms':>8} {'longest gap s':>14}")
    click.echo("\n".join(rows))


def _row(verdict: dict[str, Any]) -> str:
    writes = [kind for kind in ("cas", "write", "dispatch") if kind in verdict["counts"]]
    done = sum(verdict["counts"][kind].get("ok", 0) for kind in writes)
    latency = verdict["latency"].get(writes[0], {}) if writes else {}
    gap = max((end - start for start, end in verdict["unavailable"]), default=0.0)
    p50, p99 = 1000 * latency.get("p50", 0.0), 1000 * latency.get("p99", 0.0)
    return f"{verdict['verdict']:10} {done:12} {p50:8.1f} {p99:8.1f} {gap:14.1f}"


if __name__ == "__main__":
    main()
