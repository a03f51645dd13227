"""The cluster secret of a server: its files in the data directory, and when the others must prove it."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from yurt.fsm.errors import YurtError
from yurt.server.config.agent import AgentConfig
from yurt.server.config.secrets import BadSecret, cluster_secrets, new_secret
from yurt.server.host import Host
from yurt.server.platform.atomic_file import write_whole
from yurt.server.platform.supervision import Supervised
from yurt.server.raft.transport.handshake import key_of
from yurt.server.raft.transport.trust import Trust

log = logging.getLogger("agent")

OWN_FILE = "cluster-secret"  # of -dev: the secret that nobody configured
REQUIRED_FILE = "cluster-secret-required"
LOOK_SECONDS = 1.0
READY_SECONDS = 2.0


def secrets_of(config: AgentConfig, directory: Path) -> tuple[str, ...]:
    """Return the configured secrets; -dev makes one of its own. Raises `BadSecret` and OSError."""
    found = cluster_secrets(config)
    if found or not config.dev:
        return found
    file = directory / OWN_FILE
    if not file.exists():
        write_whole(file, f"{new_secret()}\n".encode(), sync=bool(config.data_dir))
    return (file.read_text().strip(),)


def trust_of(config: AgentConfig, directory: Path, *, is_new: bool) -> Trust:
    """Return what a server demands of the others when it starts; raises `BadSecret` and OSError.

    A new server demands the secret from its first connection on; what was demanded before is demanded again.
    """
    keys = [key_of(secret) for secret in secrets_of(config, directory)]
    file = directory / REQUIRED_FILE

    def keep() -> None:
        write_whole(file, b"every member has proved the cluster secret\n", sync=bool(config.data_dir))

    if file.exists() and not keys:
        raise BadSecret(
            "this server requires the cluster secret of the others, and it has none itself: configure it again "
            f"(server {{ cluster_secret }}), or remove {file} to open the rpc port to everybody"
        )
    trust = Trust(keys, is_required=file.exists(), keep=keep)
    if is_new and keys and not trust.is_required:
        trust.require()
    return trust


def reloaded_keys(config: AgentConfig, directory: Path, trust: Trust) -> list[bytes]:
    """Return the keys of a configuration that was read again; raises `BadSecret` if they cannot be used."""
    keys = [key_of(secret) for secret in secrets_of(config, directory)]
    if trust.is_required and not keys:
        raise BadSecret("the cluster secret is required and cannot be taken out while the server runs")
    return keys


class SecretDemand:
    """Watches until every member has proved the cluster secret, then requires it."""

    def __init__(self, server: Host) -> None:
        self._server = server
        self._task: Supervised | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._task = self._server.supervisor.start("cluster secret", self._watch)

    def stop(self) -> None:
        """Watch no more."""
        if self._task is not None:
            self._task.stop()

    async def _watch(self) -> None:
        while True:
            if self._is_due:
                await self._look()
            await asyncio.sleep(LOOK_SECONDS)

    @property
    def _is_due(self) -> bool:
        members = [server[0] for server in self._server.engine.configuration]
        return self._server.transport.trust.may_be_required(self._server.engine.own.id, members)

    async def _look(self) -> None:
        """Make sure that this server knows the newest configuration before it goes by it."""
        try:
            async with asyncio.timeout(READY_SECONDS):
                await self._server.read_ready()
            if self._is_due:
                self._server.transport.trust.require()
                self._server.transport.trust_again()
        except (YurtError, TimeoutError) as error:
            log.debug("cluster secret not required yet", extra={"reason": str(error)})
        except OSError as error:
            log.error("cluster secret not required: its file was not written", extra={"reason": str(error)})
