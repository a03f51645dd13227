"""Root keys on disk: one file a key, readable by its owner only; variables are encrypted with them (spec cluster §12).

The keys are not in the log and not in snapshots: those hold only what is encrypted with them.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import msgspec
import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from yurt.fsm.errors import YurtError
from yurt.fsm.structs.variable import Variable

KEY_BYTES, NONCE_BYTES = 32, 12
SUFFIX = ".key.json"


class NoKey(YurtError):
    """The keystore does not have a key."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"this server does not have the root key {key_id} (yet); see docs/variables.md")
        self.key_id = key_id


class Kept(msgspec.Struct, frozen=True):
    """A key as its file, and as servers hand it to each other."""

    key_id: str
    material: bytes


class Keystore:
    """The keys of one server. `sync`: files are on disk before they count."""

    def __init__(self, directory: Path, *, sync: bool = True) -> None:
        self._directory, self._sync = directory, sync
        self._keys: dict[str, bytes] = {}

    def has(self, key_id: str) -> bool:
        """Whether the key is here."""
        try:
            self.material(key_id)
        except NoKey:
            return False
        return True

    def material(self, key_id: str) -> bytes:
        """The key; raises `NoKey`."""
        found = self._keys.get(key_id)
        if found is not None:
            return found
        try:
            kept = msgspec.json.decode((self._directory / f"{key_id}{SUFFIX}").read_bytes(), type=Kept)
        except (OSError, ValueError, msgspec.MsgspecError):
            raise NoKey(key_id) from None
        if kept.key_id != key_id or len(kept.material) != KEY_BYTES:
            raise NoKey(key_id)
        self._keys[key_id] = kept.material
        return kept.material

    def make(self) -> bytes:
        """Fresh material."""
        return secrets.token_bytes(KEY_BYTES)

    def put(self, key_id: str, material: bytes) -> None:
        """Keep a key, on disk; raises OSError. A key that is here already is not overwritten."""
        if len(material) != KEY_BYTES or "/" in key_id or self.has(key_id):
            return
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._directory / f"{key_id}{SUFFIX}"
        new = path.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(Kept(key_id, material)))
            file.flush()
            if self._sync:
                os.fsync(file.fileno())
        new.rename(path)
        if self._sync:
            folder = os.open(self._directory, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        self._keys[key_id] = material

    def remove(self, key_id: str) -> None:
        """Forget a key that nothing is encrypted with any more."""
        self._keys.pop(key_id, None)
        (self._directory / f"{key_id}{SUFFIX}").unlink(missing_ok=True)

    def encrypt(self, key_id: str, namespace: str, path: str, items: dict[str, str]) -> bytes:
        """Items as they are stored, bound to their place; raises `NoKey`."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        place = f"{namespace}\0{path}".encode()
        return nonce + AESGCM(self.material(key_id)).encrypt(nonce, orjson.dumps(items), place)

    def decrypt(self, variable: Variable) -> dict[str, str]:
        """The items of a stored variable; raises `NoKey`, and YurtError if they are not what was stored."""
        place = f"{variable.namespace}\0{variable.path}".encode()
        nonce, data = variable.data[:NONCE_BYTES], variable.data[NONCE_BYTES:]
        try:
            plain = AESGCM(self.material(variable.key_id)).decrypt(nonce, data, place)
        except InvalidTag:
            raise YurtError(f"the variable {variable.path} is damaged: it does not fit its key") from None
        found: dict[str, str] = orjson.loads(plain)
        return found
