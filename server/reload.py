"""SIGHUP: an agent reads its configuration again (spec cluster §16): log level, certificates, keys and secrets."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable

from yurt.fsm.errors import YurtError
from yurt.server.config.agent import AgentConfig
from yurt.server.telemetry.logs import set_level
from yurt.server.tls.files import TlsFiles

log = logging.getLogger("agent")

Reread = Callable[[], AgentConfig]


def reload_at_hangup(
    reread: Reread, tls: TlsFiles, authority_changed: Callable[[], None], *parts: Callable[[AgentConfig], None]
) -> None:
    """From now on SIGHUP reloads; what cannot be used changes nothing, and the log says so.

    `authority_changed` ends connections whose certificates were looked at with another authority. Each of `parts` takes
    what concerns it, or raises YurtError and stays as it was.
    """

    def reload() -> None:
        try:
            config = reread()
            is_other = tls.reload(config.tls)
        except YurtError as error:
            log.error("the configuration was not read again; all stays as it was", extra={"reason": str(error)})
            return
        set_level(config.log_level)
        log.info("configuration read again", extra={"log_level": config.log_level, "authority_changed": is_other})
        if is_other:
            authority_changed()
        for take in parts:
            try:
                take(config)
            except (YurtError, OSError) as error:
                log.error("a part of the configuration was not taken over", extra={"reason": str(error)})

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
