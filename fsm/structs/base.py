"""The base of all records: frozen structs with Python names inside and wire names outside (spec client-rpc §7)."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

_WORDS = {
    "cidr": "CIDR", "cni": "CNI", "cpu": "CPU", "csi": "CSI", "dns": "DNS", "fs": "FS", "gc": "GC", "grpc": "GRPC",
    "http": "HTTP", "id": "ID", "ids": "IDs", "iops": "IOPS", "ip": "IP", "ltarget": "LTarget", "mb": "MB",
    "mbits": "MBits", "numa": "NUMA", "rtarget": "RTarget", "selinux": "SELinux", "tg": "TG", "tls": "TLS",
    "ttl": "TTL", "ui": "UI",
}  # fmt: skip


def wire_name(name: str) -> str:
    """The wire name of a Python field name: `job_modify_index` → `JobModifyIndex`, `eval_id` → `EvalID`."""
    return "".join(_WORDS.get(word) or word.capitalize() for word in name.split("_"))


class Record(msgspec.Struct, frozen=True, kw_only=True, rename=wire_name, gc=False):
    """A record: immutable, every field defaulted, one definition for JSON, the log and snapshots.

    Durations are integer nanoseconds, times integer nanoseconds since 1970 unless a field says RFC 3339.
    Lists are tuples or None, maps dictionaries that nobody changes after creation.
    """


class SparseRecord(Record, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A record whose zero members are left out of its JSON (evaluations, allocations, networks, ports)."""


def to_json(record: Any) -> bytes:
    """The record's JSON, one line, members in the order they are declared."""
    return msgspec.json.encode(record)


def content_hash(*fields: Any) -> bytes:
    """BLAKE2b-256 over the JSON of what users set: 32 bytes."""
    return hashlib.blake2b(msgspec.json.encode(fields), digest_size=32).digest()


def to_builtins(record: Any) -> Any:
    """The record as dictionaries and lists under its wire names."""
    return msgspec.to_builtins(record)


def replace(record: Any, **changes: Any) -> Any:
    """The record with some fields changed."""
    return msgspec.structs.replace(record, **changes)
