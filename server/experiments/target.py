"""Hands on a cluster that somebody else runs: it is asked over its API, and broken by its operator's commands.

The file of hooks is JSON: `{"kill": ["ssh", "{server}", "systemctl", "kill", "-s", "KILL", "yurt"], "start": …}`.
Their names are `kill`, `start`, `stop`, `pause`, `resume`, `slow_disk`, `fast_disk`, `full_disk`, `free_disk`,
`jump_clock`, `right_clock` and `upgrade`; `{server}` is a server's name, `{seconds}` a time span. No shell is used.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

from yurt.server.experiments.client import Client, Server, until
from yurt.server.experiments.records import FaultLog
from yurt.server.experiments.scenario import CLOCK, DISK, KILL, PAUSE, STOP, UPGRADE
from yurt.testing import Event

HOOK_SECONDS = 60.0
LEADER_SECONDS = 30.0
NEEDED = {
    KILL: {"kill", "start"}, STOP: {"stop", "start"}, PAUSE: {"pause", "resume"}, UPGRADE: {"upgrade"},
    DISK: {"slow_disk", "fast_disk", "full_disk", "free_disk"}, CLOCK: {"jump_clock", "right_clock"},
}  # fmt: skip


class HookFailed(Exception):
    """An operator's command did not do what it should."""


class _Nowhere:
    """Takes what is asked on the side: it is no operation of the experiment."""

    def write(self, event: Event) -> None:
        """Drop it."""


def servers_of(addresses: Sequence[str]) -> list[Server]:
    """`[NAME=]http://host:port`; without a name it is host:port. Raises ValueError for anything else."""
    found = []
    for text in addresses:
        name, _, address = text.rpartition("=")
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{text} is no address: [NAME=]http://HOST:PORT")
        found.append(Server(name or parts.netloc, address.rstrip("/")))
    return found


class TargetHands:
    """Somebody else's cluster."""

    nodes: tuple[str, ...] = ()

    def __init__(self, servers: Sequence[Server], hooks: Path | None, log: FaultLog, *, token: str = "") -> None:
        self.servers, self.log = list(servers), log
        self.names = tuple(one.name for one in servers)
        self._hooks: dict[str, list[str]] = json.loads(hooks.read_text()) if hooks else {}
        for name, command in self._hooks.items():
            if not (isinstance(command, list) and command and all(isinstance(word, str) for word in command)):
                raise ValueError(f"the hook {name} is no list of words")
        self.can = frozenset(what for what, hooks_needed in NEEDED.items() if hooks_needed <= set(self._hooks))
        self._client = Client(self.servers, _Nowhere(), time.monotonic, Random(0), 0, token=token)  # type: ignore[arg-type]
        self._lock, self._leader = threading.Lock(), ""
        self._peers: dict[str, str] = {}  # peer address → name
        self._broken: dict[str, str] = {}  # server → the hook that repairs it

    def open(self) -> None:
        """Wait until the cluster has a leader."""
        self.leader()

    def close(self) -> None:
        """Repair what is broken still."""
        self.heal()
        self._client.close()

    def heal(self) -> None:
        """Run the hooks that undo what was done; one that fails does not keep the others from it."""
        for name, hook in list(self._broken.items()):
            try:
                self._run(hook, name)
            except HookFailed as error:
                self.log.remark(str(error))

    def down(self) -> list[str]:
        """Return the servers that have not been started again."""
        return list(self._broken)

    def _run(self, hook: str, name: str, undo: str = "", seconds: float = 0.0) -> None:
        command = [word.replace("{server}", name).replace("{seconds}", f"{seconds:g}") for word in self._hooks[hook]]
        if undo:
            self._broken[name] = undo
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=HOOK_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise HookFailed(f"hook {hook} of {name}: {error}") from error
        if done.returncode:
            raise HookFailed(f"hook {hook} of {name} ended with {done.returncode}: {done.stderr.decode()[-300:]}")
        if not undo:
            self._broken.pop(name, None)

    # --- what scenarios call

    def fault(self, name: str, *servers: str) -> AbstractContextManager[None]:
        """The time in which something is wrong."""
        return self.log.fault(name, *servers)

    def leader(self) -> str:
        """By the peer address that the servers name; raises `HookFailed` if there is none for long."""
        if not until(LEADER_SECONDS, lambda: bool(self.leader_now())):
            raise HookFailed(f"the target has had no leader for {LEADER_SECONDS:.0f} s")
        return self._leader

    def leader_now(self) -> str:
        """The server that leads as the others say, "" if there is none."""
        with self._lock:
            self._leader = ""
            for server in self.servers:
                answer = self._client.ask("GET", "/v1/status/leader", server=server, timeout=5.0)
                if answer.status == 200 and answer.body and (name := self._name_of(str(answer.body))):
                    self._leader = name
                    break
            return self._leader

    def _name_of(self, peer: str) -> str:
        for server in self.servers:
            if peer in self._peers:
                break
            answer = self._client.ask("GET", "/v1/agent/self", server=server, timeout=5.0)
            member: Any = answer.body.get("member") if answer.status == 200 and isinstance(answer.body, dict) else None
            if member:
                self._peers[f"{member['Addr']}:{member['Tags']['port']}"] = server.name
        return self._peers.get(peer, "")

    def kill(self, name: str) -> None:
        """Hook `kill`, undone by `start`."""
        self._run("kill", name, "start")

    def stop(self, name: str) -> None:
        """Hook `stop`, undone by `start`."""
        self._run("stop", name, "start")

    def start(self, name: str) -> None:
        """Hook `start`."""
        self._run("start", name)

    def pause(self, name: str) -> None:
        """Hook `pause`, undone by `resume`."""
        self._run("pause", name, "resume")

    def resume(self, name: str) -> None:
        """Hook `resume`."""
        self._run("resume", name)

    def cut(self, pairs: set[tuple[str, str]], *, closing: bool = False) -> None:
        """Links need more than names: scenarios that cut them are left out."""
        raise HookFailed("links of a target cannot be cut")

    def slow_links(self, name: str, seconds: float) -> None:
        """The same."""
        raise HookFailed("links of a target cannot be slowed")

    def slow_disk(self, name: str, seconds: float) -> None:
        """Hooks `slow_disk` and `fast_disk`."""
        self._run("slow_disk", name, "fast_disk", seconds) if seconds else self._run("fast_disk", name)

    def fill_disk(self, name: str, *, full: bool) -> None:
        """Hooks `full_disk` and `free_disk`."""
        self._run("full_disk", name, "free_disk") if full else self._run("free_disk", name)

    def jump_clock(self, name: str, seconds: float) -> None:
        """Hooks `jump_clock` and `right_clock`."""
        self._run("jump_clock", name, "right_clock", seconds) if seconds else self._run("right_clock", name)

    def dice(self) -> None:
        """Only the simulator has them."""
        raise NotImplementedError

    def upgrade(self, name: str) -> None:
        """Hook `upgrade`."""
        self._run("upgrade", name)
