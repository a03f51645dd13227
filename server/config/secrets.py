"""The cluster secret: where it is configured, and what a server without one may do on which address."""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from pathlib import Path

from yurt.fsm.errors import YurtError
from yurt.server.config.agent import AgentConfig
from yurt.server.platform.address import is_loopback

VARIABLE = "YURT_CLUSTER_SECRET"
CHARACTERS_MIN = 16
ENCRYPT_BYTES = (16, 24, 32)


class BadSecret(YurtError):
    """A cluster secret cannot be used, or one is needed; the text says where to put it."""


def new_secret() -> str:
    """Return a secret that nobody guesses; it does as `cluster_secret` and as `encrypt`."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


def cluster_secrets(config: AgentConfig) -> tuple[str, ...]:
    """Return the secrets of the cluster: the first is used, all are accepted. Raises `BadSecret`.

    From `cluster_secret`, the lines of `cluster_secret_file`, YURT_CLUSTER_SECRET (separated by commas) and `encrypt`,
    in this order.
    """
    server = config.server
    listed = [server.cluster_secret] if isinstance(server.cluster_secret, str) else server.cluster_secret
    found = [secret for secret in listed if secret]
    if server.cluster_secret_file:
        found += _lines(Path(server.cluster_secret_file))
    found += [secret.strip() for secret in os.environ.get(VARIABLE, "").split(",") if secret.strip()]
    for secret in found:
        if len(secret) < CHARACTERS_MIN:
            raise BadSecret(
                f"a cluster secret has {len(secret)} characters and needs {CHARACTERS_MIN} or more: make one with "
                "`yurt operator gossip keyring generate`"
            )
    if server.encrypt:
        _check_encrypt(server.encrypt)
        found.append(server.encrypt)
    return tuple(dict.fromkeys(found))


def _lines(file: Path) -> list[str]:
    try:
        lines = [line.strip() for line in file.read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise BadSecret(f"server.cluster_secret_file {file} cannot be read: {reason}") from None
    found = [line for line in lines if line and not line.startswith("#")]
    if not found:
        raise BadSecret(
            f"server.cluster_secret_file {file} holds no secret: write one into each line, the newest first"
        )
    return found


def _check_encrypt(text: str) -> None:
    """Refuse what the reference refuses as a key."""
    try:
        size = len(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError) as error:
        raise BadSecret(f"Invalid encryption key: {error}") from None
    if size not in ENCRYPT_BYTES:
        raise BadSecret(f"Invalid encryption key: it has {size} bytes, want 16, 24 or 32 (in base64)")


def open_addresses(config: AgentConfig) -> list[str]:
    """Return the addresses beyond loopback on which the peer port listens without a secret and without TLS."""
    if not config.server.enabled or config.dev or config.tls.rpc or cluster_secrets(config):
        return []  # -dev makes a secret of its own
    return [host for host in config.bind("rpc") if not is_loopback(host)]


def check_rpc_port(config: AgentConfig) -> None:
    """Refuse access control beside a peer port that gives everything away; raises `BadSecret`."""
    hosts = open_addresses(config)
    if not hosts or not config.acl.enabled or config.server.allow_insecure_rpc:
        return
    raise BadSecret(
        f"access control is on, but whoever reaches the rpc port {config.ports.rpc} on {', '.join(hosts)} gets keys, "
        "the whole state and a vote. Add one of these lines to the configuration of every server (the first with the "
        "same secret on all, the second with certificates: docs/operating.md):\n\n"
        f'    server {{ cluster_secret = "{new_secret()}" }}\n'
        "    tls { rpc = true }\n\n"
        "To run without, which is never safe on a network that others reach: server { allow_insecure_rpc = true }"
    )


def insecure_rpc(config: AgentConfig) -> str:
    """Return the warning of a server whose peer port gives everything away; empty if it does not."""
    if not (hosts := open_addresses(config)):
        return ""
    return (
        f"whoever reaches the rpc port {config.ports.rpc} on {', '.join(hosts)} gets keys, the whole state and a vote: "
        "set server { cluster_secret } or tls { rpc = true } on every server"
    )
