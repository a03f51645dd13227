"""Key-encryption keys: root keys are wrapped with them before they go into the log (docs/variables.md).

Configured ones come from files or environment variables; without configuration the first leader makes one, which
members hand to each other and keep in `KEYSTORE/ID.kek`, outside log and snapshots. A file holds 32 bytes in base64.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from yurt.fsm.errors import YurtError
from yurt.fsm.structs.variable import WrappedKey
from yurt.server.platform.atomic_file import write_whole

log = logging.getLogger("keyring")

KEY_BYTES, NONCE_BYTES = 32, 12
SUFFIX = ".kek"
FILE, ENVIRONMENT = "file:", "env:"
OTHERS_MAY_READ = 0o077


class CannotUnwrap(YurtError):
    """A root key stays closed to this server."""


class BadKeyEncryptionKey(YurtError):
    """A configured key-encryption key cannot be used."""


class Keeper(Protocol):
    """Holder of key-encryption keys; a service that keeps them elsewhere would be another one than `FileKeeper`."""

    @property
    def accepted(self) -> tuple[str, ...]:
        """The IDs of the keys that this server can unwrap with."""

    @property
    def preferred(self) -> str:
        """The ID of the configured key to wrap with; empty without configuration."""

    def wrap(self, kek_id: str, key_id: str, plain: bytes) -> WrappedKey:
        """Encrypt a root key, bound to its ID; raises CannotUnwrap for a key-encryption key that is not here."""

    def unwrap(self, wrapped: WrappedKey) -> bytes:
        """Decrypt a root key; raises CannotUnwrap."""

    def reload(self, sources: Sequence[str]) -> None:
        """Read the configured keys anew; raises BadKeyEncryptionKey and then keeps those before."""


def id_of(material: bytes) -> str:
    """Return the ID of a key-encryption key, the same on every server; it tells nothing of the key."""
    return hashlib.sha256(b"yurt key-encryption key\0" + material).hexdigest()[:32]


def parse(text: bytes, origin: str) -> bytes:
    """Return the key that a file or a variable holds; raises BadKeyEncryptionKey."""
    try:
        material = base64.b64decode(text.strip(), validate=True)
    except ValueError:
        material = b""
    if len(material) != KEY_BYTES:
        raise BadKeyEncryptionKey(
            f"{origin} is no key-encryption key: want 32 bytes in base64, as `openssl rand -base64 32` makes them"
        )
    return material


def read(source: str) -> bytes:
    """Return the key of a configured source, `file:PATH` or `env:NAME`; raises BadKeyEncryptionKey."""
    kind, place = source[: source.find(":") + 1], source[source.find(":") + 1 :]
    if kind == ENVIRONMENT and place:
        if place not in os.environ:
            raise BadKeyEncryptionKey(f"server.key_encryption_keys: the environment variable {place} is not set")
        return parse(os.environb[place.encode()], f"the environment variable {place}")
    if kind != FILE or not place.startswith("/"):
        raise BadKeyEncryptionKey(
            f'server.key_encryption_keys: {source!r} is no source of a key: want "file:/PATH" or "env:NAME"'
        )
    try:
        if os.stat(place).st_mode & OTHERS_MAY_READ:
            log.warning("a key-encryption key can be read by other users: chmod 600", extra={"file": place})
        return parse(Path(place).read_bytes(), place)
    except OSError as error:
        raise BadKeyEncryptionKey(f"server.key_encryption_keys: cannot read {place}: {error.strerror}") from error


class FileKeeper:
    """Keys from files and environment variables, and those that the cluster has made for itself.

    `sync`: files are on disk before they count.
    """

    def __init__(
        self,
        directory: Path,
        sources: Sequence[str] = (),
        *,
        sync: bool = True,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._directory, self._sync, self._random_bytes = directory, sync, random_bytes
        self._configured: dict[str, bytes] = {}
        self._generated: dict[str, bytes] = {}
        self.reload(sources)

    def reload(self, sources: Sequence[str]) -> None:
        """Read the configured keys anew; raises BadKeyEncryptionKey and then keeps those before."""
        materials = [read(source) for source in sources]
        self._configured = {id_of(material): material for material in materials}
        self.look()

    def look(self) -> None:
        """Take in the files of generated keys, also those that an operator has put there."""
        for path in sorted(self._directory.glob(f"*{SUFFIX}")):
            try:
                material = parse(path.read_bytes(), str(path))
                self._generated[id_of(material)] = material
            except (OSError, BadKeyEncryptionKey) as error:
                log.error("a file of a key-encryption key cannot be used", extra={"reason": str(error)})

    @property
    def accepted(self) -> tuple[str, ...]:
        """The IDs of the keys that this server can unwrap with, configured ones first."""
        return tuple({**self._configured, **self._generated})

    @property
    def preferred(self) -> str:
        """The ID of the first configured key; empty without configuration."""
        return next(iter(self._configured), "")

    @property
    def generated(self) -> tuple[str, ...]:
        """The IDs of the keys that the cluster has made."""
        return tuple(self._generated)

    def generated_key(self, kek_id: str) -> bytes:
        """Return a key that the cluster has made, to hand it to a member; empty if it is not here."""
        return self._generated.get(kek_id, b"")

    def make(self) -> bytes:
        """Return a fresh key, which is not kept yet."""
        return self._random_bytes(KEY_BYTES)

    def keep(self, material: bytes) -> str:
        """Keep a key that the cluster has made, on disk, for the owner only; return its ID. Raises OSError."""
        kek_id = id_of(material)
        if len(material) == KEY_BYTES and kek_id not in self._generated:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            text = base64.b64encode(material) + b"\n"
            write_whole(self._directory / f"{kek_id}{SUFFIX}", text, sync=self._sync)
            self._generated[kek_id] = material
        return kek_id

    def wrap(self, kek_id: str, key_id: str, plain: bytes) -> WrappedKey:
        """Encrypt a root key, bound to its ID; raises CannotUnwrap for a key-encryption key that is not here."""
        nonce = self._random_bytes(NONCE_BYTES)
        data = nonce + self._cipher(kek_id).encrypt(nonce, plain, _bound_to(kek_id, key_id))
        return WrappedKey(key_id=key_id, kek_id=kek_id, data=data)

    def unwrap(self, wrapped: WrappedKey) -> bytes:
        """Decrypt a root key; raises CannotUnwrap."""
        nonce, data = wrapped.data[:NONCE_BYTES], wrapped.data[NONCE_BYTES:]
        try:
            return self._cipher(wrapped.kek_id).decrypt(nonce, data, _bound_to(wrapped.kek_id, wrapped.key_id))
        except (InvalidTag, ValueError):
            raise CannotUnwrap(f"the wrapped root key {wrapped.key_id} is damaged") from None

    def _cipher(self, kek_id: str) -> AESGCM:
        material = self._configured.get(kek_id) or self._generated.get(kek_id)
        if material is None:
            raise CannotUnwrap(
                f"the key-encryption key {kek_id} is not on this server: add it to server.key_encryption_keys "
                "and reload, see docs/variables.md"
            )
        return AESGCM(material)


def _bound_to(kek_id: str, key_id: str) -> bytes:
    return f"yurt root key\0{kek_id}\0{key_id}".encode()
