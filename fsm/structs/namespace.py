"""Namespaces (spec cluster §7)."""

from __future__ import annotations

from typing import Any

from yurt.fsm.structs.base import Record, content_hash


class NamespaceCapabilities(Record, frozen=True):
    """Which drivers and network modes the namespace's jobs may use."""

    enabled_task_drivers: tuple[str, ...] | None = None
    disabled_task_drivers: tuple[str, ...] | None = None
    enabled_network_modes: tuple[str, ...] | None = None
    disabled_network_modes: tuple[str, ...] | None = None


class Namespace(Record, frozen=True):
    """A space of job IDs."""

    name: str = ""
    description: str = ""
    quota: str = ""
    capabilities: NamespaceCapabilities | None = None
    meta: dict[str, str] | None = None
    node_pool_configuration: dict[str, Any] | None = None
    vault_configuration: dict[str, Any] | None = None
    consul_configuration: dict[str, Any] | None = None
    required_extra_claims: tuple[str, ...] | None = None
    optional_extra_claims: tuple[str, ...] | None = None
    hash: bytes | None = None
    create_index: int = 0
    modify_index: int = 0

    def content_hash(self) -> bytes:
        """BLAKE2b-256 over what users set."""
        meta = sorted((self.meta or {}).items())
        return content_hash(self.name, self.description, self.quota, self.capabilities, meta)
