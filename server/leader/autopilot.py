"""The leader looks after the servers: their health, and the removal of dead ones (spec cluster §11, §16)."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from yurt.fsm.errors import YurtError
from yurt.fsm.store.schema import AUTOPILOT_CONFIG
from yurt.fsm.structs.operator import AutopilotConfiguration
from yurt.fsm.structs.times import ZERO_TIME, to_rfc3339
from yurt.server.config.agent import AgentConfig, nanoseconds
from yurt.server.host import Host
from yurt.server.platform.supervision import Supervised
from yurt.server.raft.consensus import ServerRow

log = logging.getLogger("autopilot")

CHECK_SECONDS = 2.0
DEAD_SECONDS = 30.0  # without contact


@dataclass(frozen=True, slots=True)
class Health:
    """One server as the leader sees it; `contact` in seconds."""

    server: ServerRow
    contact: float
    missing_keys: tuple[str, ...]
    healthy: bool
    stable_since: str


def removable(voters: int, dead: int, quorum_min: int) -> bool:
    """Whether one dead voter may go: more than half of the voters live, and enough stay."""
    return dead > 0 and 2 * dead < voters and voters - 1 >= quorum_min


def configured(config: AgentConfig) -> AutopilotConfiguration:
    """Return the Autopilot settings of the agent's configuration, or their defaults."""
    given = config.autopilot
    return AutopilotConfiguration(
        last_contact_threshold=nanoseconds(given.last_contact_threshold),
        server_stabilization_time=nanoseconds(given.server_stabilization_time),
        cleanup_dead_servers=given.cleanup_dead_servers,
        max_trailing_logs=given.max_trailing_logs,
        min_quorum=given.min_quorum,
        enable_redundancy_zones=given.enable_redundancy_zones,
        disable_upgrade_migration=given.disable_upgrade_migration,
        enable_custom_upgrades=given.enable_custom_upgrades,
    )


class Autopilot:
    """Runs on every server, acts on the leader."""

    def __init__(self, server: Host) -> None:
        self._server = server
        self._configured = configured(server.config)
        self._task: Supervised | None = None
        self._is_full = False  # as the log was told
        self._stable: dict[str, int] = {}  # server ID → healthy since, wall clock

    def start(self) -> None:
        """Look regularly."""
        self._server.engine.vote_if(self._server.key_survey.may_vote)
        self._task = self._server.supervisor.start("autopilot", self._run)

    def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.stop()

    @property
    def configuration(self) -> AutopilotConfiguration:
        """The settings of operators, else those of the agent's configuration, else the defaults."""
        return self._server.view().get(AUTOPILOT_CONFIG, "") or self._configured

    def health(self) -> list[Health]:
        """Every server of the configuration; meaningful on the leader."""
        configuration, engine = self.configuration, self._server.engine
        found = []
        last_index = engine.status().last_index
        for server in engine.servers():
            contact = float("inf") if server["contact"] is None else server["contact"]
            lag = last_index - (server["match"] or 0)
            fresh = contact * 1e9 <= configuration.last_contact_threshold
            keys = self._server.key_survey
            status = keys.of(server["id"])
            able = keys.is_whole(server["id"]) and not status.is_full
            healthy = fresh and lag <= configuration.max_trailing_logs and able
            if healthy:
                self._stable.setdefault(server["id"], self._server.now_ns())
            else:
                self._stable.pop(server["id"], None)
            since = self._stable.get(server["id"])
            stable_since = ZERO_TIME if since is None else to_rfc3339(since)
            found.append(Health(server, contact, status.missing, healthy, stable_since))
        return found

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            self._tell_room()
            if self._server.is_ready:
                self._server.engine.stabilize(self.configuration.server_stabilization_time / 1e9)
                await self._server.key_survey.ask()
                health = self.health()
                await self._clean(health)
                await self._yield_without_keys(health)
            else:
                self._stable.clear()

    def _tell_room(self) -> None:
        """Log that the disk of this server is full, and that it is so no more."""
        is_full = not self._server.engine.status().is_writable
        if is_full and not self._is_full:
            log.warning("the disk has no space left for the log; new entries are refused until there is room")
        elif self._is_full and not is_full:
            log.info("there is room for the log again")
        self._is_full = is_full

    async def _yield_without_keys(self, health: list[Health]) -> None:
        """A leader that cannot use a root key lets a healthy voter lead, which can."""
        if self._server.key_survey.is_whole(self._server.engine.own.id):
            return
        successor = next((row.server for row in health if row.healthy and row.server["voter"]), None)
        if successor is None:
            return
        try:
            await self._server.transfer(successor["id"])
            log.warning("leadership handed to a server that has all root keys", extra={"server": successor["name"]})
        except YurtError as error:
            log.warning("leadership not handed over", extra={"to": successor["name"], "reason": str(error)})

    async def _clean(self, health: list[Health]) -> None:
        configuration = self.configuration
        voters = [one for one in health if one.server["voter"]]
        dead = [one for one in voters if one.contact > DEAD_SECONDS]
        quorum_min = configuration.min_quorum or self._server.config.server.bootstrap_expect
        if not configuration.cleanup_dead_servers or not removable(len(voters), len(dead), quorum_min):
            return
        server = dead[0].server
        try:
            await self._server.remove_server(server["id"])
            log.warning("a dead server was removed", extra={"server": server["name"], "id": server["id"]})
        except YurtError as error:
            log.warning("a dead server could not be removed", extra={"id": server["id"], "reason": str(error)})
