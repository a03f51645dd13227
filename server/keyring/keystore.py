"""Root keys of one server: variables are encrypted with them, identities signed (spec cluster §12).

The state has them wrapped; a wrapped copy beside it outlives the restore of a snapshot of a version before, which has
none. Keys that the state has not wrapped yet are in open files, for their owner only, until the leader has done so.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

import msgspec
import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from yurt.fsm.errors import YurtError
from yurt.fsm.structs.variable import Variable, WrappedKey
from yurt.server.keyring.encryption import CannotUnwrap, Keeper
from yurt.server.platform.atomic_file import write_whole

KEY_BYTES, NONCE_BYTES = 32, 12
RSA_BITS = 2048
SUFFIX, WRAPPED_SUFFIX = ".key.json", ".wrapped.json"


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
    """The keys of one server. `in_state` finds the wrapped form of a key; `sync`: files are on disk before they count.

    Without a keeper only open files count.
    """

    def __init__(
        self,
        directory: Path,
        keeper: Keeper | None = None,
        in_state: Callable[[str], WrappedKey | None] = lambda _key_id: None,
        *,
        sync: bool = True,
    ) -> None:
        self._directory, self._keeper, self._in_state, self._sync = directory, keeper, in_state, sync
        self._keys: dict[str, Kept] = {}
        self._private: dict[str, rsa.RSAPrivateKey] = {}
        self._copied: dict[str, bytes] = {}  # key ID → the wrapped form on disk

    def has(self, key_id: str) -> bool:
        """Whether the key can be used here."""
        try:
            self.kept(key_id)
        except NoKey:
            return False
        return True

    def kept(self, key_id: str) -> Kept:
        """Return the key; raises `NoKey`."""
        found = self._keys.get(key_id)
        if found is None:
            if "/" in key_id:
                raise NoKey(key_id)
            found = self._opened(self._in_state(key_id)) or self._opened(self._copy(key_id)) or self._open_file(key_id)
            if found is None or found.key_id != key_id or not found.is_whole:
                raise NoKey(key_id)
            self._keys[key_id] = found
        return found

    def _opened(self, wrapped: WrappedKey | None) -> Kept | None:
        if wrapped is None or self._keeper is None:
            return None
        try:
            return msgspec.msgpack.decode(self._keeper.unwrap(wrapped), type=Kept)
        except (CannotUnwrap, msgspec.MsgspecError):
            return None

    def _copy(self, key_id: str) -> WrappedKey | None:
        try:
            return msgspec.json.decode(self._path(key_id, WRAPPED_SUFFIX).read_bytes(), type=WrappedKey)
        except (OSError, ValueError, msgspec.MsgspecError):
            return None

    def _open_file(self, key_id: str) -> Kept | None:
        try:
            return msgspec.json.decode(self._path(key_id).read_bytes(), type=Kept)
        except (OSError, ValueError, msgspec.MsgspecError):
            return None

    def wrapped(self, kek_id: str, key_id: str) -> WrappedKey:
        """Wrap a key with a key-encryption key; raises `NoKey`, CannotUnwrap."""
        assert self._keeper is not None, "a server has one"
        return self._keeper.wrap(kek_id, key_id, msgspec.msgpack.encode(self.kept(key_id)))

    def hold(self, kept: Kept) -> None:
        """Know a key that is about to be in the state."""
        self._keys[kept.key_id] = kept

    def keep_copy(self, wrapped: WrappedKey) -> None:
        """Keep the state's wrapped form on disk as well, and no open file any more; raises OSError.

        A form that this server cannot unwrap changes nothing.
        """
        if self._copied.get(wrapped.key_id) == wrapped.data or "/" in wrapped.key_id:
            return
        if self._opened(wrapped) is None:
            return
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(self._path(wrapped.key_id, WRAPPED_SUFFIX), msgspec.json.encode(wrapped), sync=self._sync)
        self._path(wrapped.key_id).unlink(missing_ok=True)
        self._copied[wrapped.key_id] = wrapped.data

    def signing_key(self, key_id: str) -> rsa.RSAPrivateKey:
        """Return the private key that signs under `key_id`; raise `NoKey`."""
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
        self._copied.pop(key_id, None)
        self._path(key_id).unlink(missing_ok=True)
        self._path(key_id, WRAPPED_SUFFIX).unlink(missing_ok=True)

    def _path(self, key_id: str, suffix: str = SUFFIX) -> Path:
        return self._directory / f"{key_id}{suffix}"

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
