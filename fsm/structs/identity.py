"""Workload identities (spec job-model §5.13)."""

from __future__ import annotations

from yurt.fsm.structs.base import Record


class WorkloadIdentity(Record, frozen=True):
    """A signed identity that a task or service gets."""

    name: str = ""
    audience: tuple[str, ...] | None = None
    change_mode: str = ""
    change_signal: str = ""
    env: bool = False
    file: bool = False
    filepath: str = ""
    service_name: str = ""
    ttl: int = 0
    extra_claims: dict[str, str] | None = None


DEFAULT_IDENTITY = WorkloadIdentity(name="default", audience=("nomadproject.io",))
