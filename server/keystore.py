"""Root keys on disk: one file a key, readable by its owner only; variables are encrypted with them (spec cluster §12).

The keys are not in the log and not in snapshots: those hold only what is encrypted with them.
"""

from __future__ import annotations

import secrets
from pathlib import Path

import msgspec
import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from yurt.fsm.errors import YurtError
from yurt.fsm.structs.variable import Variable
from yurt.server.wholefile import write_whole

KEY_BYTES, NONCE_BYTES = 32, 12
RSA_BITS = 2048
SUFFIX = ".key.json"


class NoKey(YurtError):
    """The keystore does not have a key."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"this server does not have the root key {key_id} (yet); see docs/variables.md")
        self.key_id = key_id


class Kept(msgspec.Struct, frozen=True):
    """A key as its file, and as servers hand it to each other: what encrypts, and what signs (RSA, PKCS #8)."""

    key_id: str
    material: bytes
    signing: bytes

    @property
    def is_whole(self) -> bool:
        """Whether it can be used."""
        return len(self.material) == KEY_BYTES and bool(self.signing) and "/" not in self.key_id


def make_key(key_id: str) -> Kept:
    """A fresh key; takes a tenth of a second."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    encoding, form = serialization.Encoding.DER, serialization.PrivateFormat.PKCS8
    signing = private.private_bytes(encoding, form, serialization.NoEncryption())
    return Kept(key_id, secrets.token_bytes(KEY_BYTES), signing)


class Keystore:
    """The keys of one server. `sync`: files are on disk before they count."""

    def __init__(self, directory: Path, *, sync: bool = True) -> None:
        self._directory, self._sync = directory, sync
        self._keys: dict[str, Kept] = {}
        self._private: dict[str, rsa.RSAPrivateKey] = {}

    def has(self, key_id: str) -> bool:
        """Whether the key is here."""
        try:
            self.kept(key_id)
        except NoKey:
            return False
        return True

    def kept(self, key_id: str) -> Kept:
        """The key; raises `NoKey`."""
        found = self._keys.get(key_id)
        if found is not None:
            return found
        try:
            kept = msgspec.json.decode(self._path(key_id).read_bytes(), type=Kept)
        except (OSError, ValueError, msgspec.MsgspecError):
            raise NoKey(key_id) from None
        if kept.key_id != key_id or not kept.is_whole:
            raise NoKey(key_id)
        self._keys[key_id] = kept
        return kept

    def signing_key(self, key_id: str) -> rsa.RSAPrivateKey:
        """What signs with that key; raises `NoKey`."""
        found = self._private.get(key_id)
        if found is None:
            loaded = serialization.load_der_private_key(self.kept(key_id).signing, None)
            assert isinstance(loaded, rsa.RSAPrivateKey), "made so"
            found = self._private[key_id] = loaded
        return found

    def put(self, kept: Kept) -> None:
        """Keep a key, on disk; raises OSError. A key that is here already is not overwritten."""
        if not kept.is_whole or self.has(kept.key_id):
            return
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(self._path(kept.key_id), msgspec.json.encode(kept), sync=self._sync)
        self._keys[kept.key_id] = kept

    def remove(self, key_id: str) -> None:
        """Forget a key that nothing is encrypted with any more."""
        self._keys.pop(key_id, None)
        self._private.pop(key_id, None)
        self._path(key_id).unlink(missing_ok=True)

    def _path(self, key_id: str) -> Path:
        return self._directory / f"{key_id}{SUFFIX}"

    def encrypt(self, key_id: str, namespace: str, path: str, items: dict[str, str]) -> bytes:
        """Items as they are stored, bound to their place; raises `NoKey`."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        place = f"{namespace}\0{path}".encode()
        return nonce + AESGCM(self.kept(key_id).material).encrypt(nonce, orjson.dumps(items), place)

    def decrypt(self, variable: Variable) -> dict[str, str]:
        """The items of a stored variable; raises `NoKey`, and YurtError if they are not what was stored."""
        place = f"{variable.namespace}\0{variable.path}".encode()
        nonce, data = variable.data[:NONCE_BYTES], variable.data[NONCE_BYTES:]
        try:
            plain = AESGCM(self.kept(variable.key_id).material).decrypt(nonce, data, place)
        except InvalidTag:
            raise YurtError(f"the variable {variable.path} is damaged: it does not fit its key") from None
        found: dict[str, str] = orjson.loads(plain)
        return found
