"""Variables, encrypted, and the keys that they are encrypted with (spec cluster §11, §12)."""

from __future__ import annotations

import msgspec

from yurt.fsm.structs.base import Record
from yurt.fsm.structs.times import SECOND

ACTIVE, INACTIVE, REKEYING, PREPUBLISHED, DEPRECATED = "active", "inactive", "rekeying", "prepublished", "deprecated"


class RootKey(Record, frozen=True):
    """A root key's metadata; the key itself is in its `WrappedKey` row, encrypted."""

    algorithm: str = "aes256-gcm"
    create_time: int = 0
    key_id: str = msgspec.field(default="", name="KeyID")
    publish_time: int = 0
    state: str = ACTIVE
    create_index: int = 0
    modify_index: int = 0


class WrappedKey(Record, frozen=True):
    """A root key, encrypted with the key-encryption key `kek_id`, which is in no state, no log and no snapshot."""

    key_id: str = msgspec.field(default="", name="KeyID")
    kek_id: str = msgspec.field(default="", name="KeyEncryptionKeyID")
    data: bytes = b""
    create_index: int = 0
    modify_index: int = 0


class VariableLock(Record, frozen=True):
    """A lock whose holder alone may write; durations in nanoseconds."""

    id: str = ""
    ttl: int = 15 * SECOND
    lock_delay: int = 15 * SECOND


class Variable(Record, frozen=True):
    """Items at a path: `data` is their JSON, encrypted with the key `key_id`. Times in nanoseconds since 1970.

    `free_at_ns`: after a lock ran out nobody gets the next one before.
    """

    namespace: str = ""
    path: str = ""
    key_id: str = msgspec.field(default="", name="KeyID")
    data: bytes = b""
    lock: VariableLock | None = None
    free_at_ns: int = 0
    create_time: int = 0
    modify_time: int = 0
    create_index: int = 0
    modify_index: int = 0

    def metadata(self) -> VariableMetadata:
        """Everything but the items and the lock."""
        return VariableMetadata(**{name: getattr(self, name) for name in VariableMetadata.__struct_fields__})


class VariableMetadata(Record, frozen=True):
    """A variable in a list."""

    namespace: str = ""
    path: str = ""
    create_index: int = 0
    modify_index: int = 0
    create_time: int = 0
    modify_time: int = 0
