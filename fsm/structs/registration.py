"""Registrations of services (spec jobs-api §3.17)."""

from __future__ import annotations

from yurt.fsm.structs.base import Record


class ServiceRegistration(Record, frozen=True):
    """One address of a service."""

    id: str = ""
    service_name: str = ""
    namespace: str = ""
    node_id: str = ""
    datacenter: str = ""
    job_id: str = ""
    alloc_id: str = ""
    tags: tuple[str, ...] | None = None
    address: str = ""
    port: int = 0
    create_index: int = 0
    modify_index: int = 0
