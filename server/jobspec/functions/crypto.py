"""Hashes, UUIDs, bcrypt and RSA."""

from __future__ import annotations

import ctypes
import ctypes.util
import hashlib
import secrets
import threading
import uuid
from functools import cache
from typing import Any

from yurt.server.jobspec.functions.encoding import decoded_base64
from yurt.server.jobspec.functions.rsa import RsaError, rsa_decrypt
from yurt.server.jobspec.functions.signature import FunctionError, FunctionLimit, function, whole
from yurt.server.jobspec.scope import Budget
from yurt.server.jobspec.values import Value, text

COST_DEFAULT, COST_MIN, COST_MAX = 10, 4, 31
COST_ALLOWED_MAX = 12  # a quarter of a second; each more doubles it
STEPS_PER_ROUND = 40
_ALPHABET = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_NAMESPACES = {
    "dns": uuid.NAMESPACE_DNS, "url": uuid.NAMESPACE_URL, "oid": uuid.NAMESPACE_OID, "x500": uuid.NAMESPACE_X500,
}  # fmt: skip
_lock = threading.Lock()


def _register(name: str) -> None:
    @function(name, "str:string")
    def _hash(given: Value) -> Value:
        return text(hashlib.new(name, given.raw.encode(), usedforsecurity=False).hexdigest())


for _name in ("md5", "sha1", "sha256", "sha512"):
    _register(_name)


@function("uuidv4")
def _uuidv4() -> Value:
    return text(str(uuid.uuid4()))


@function("uuidv5", "namespace:string", "name:string")
def _uuidv5(namespace: Value, name: Value) -> Value:
    space = _NAMESPACES.get(namespace.raw)
    if space is None:
        try:
            space = uuid.UUID(namespace.raw)
        except ValueError:
            length = len(namespace.raw.encode())
            why = "invalid UUID format" if length in (32, 36, 38, 45) else f"invalid UUID length: {length}"
            text_ = f"uuidv5() doesn't support namespace {namespace.raw} ({why})"
            raise FunctionError(text_) from None
    return text(str(uuid.uuid5(space, name.raw)))


@cache
def _crypt() -> Any:
    """The system's `crypt`, which knows bcrypt; None where there is none."""
    name = ctypes.util.find_library("crypt") or "libcrypt.so.1"
    try:
        crypt = ctypes.CDLL(name).crypt
    except (OSError, AttributeError):
        return None
    crypt.restype, crypt.argtypes = ctypes.c_char_p, [ctypes.c_char_p, ctypes.c_char_p]
    return crypt


@function("bcrypt", "str:string", "cost:number...", is_costly=True)
def _bcrypt(budget: Budget, given: Value, *costs: Value) -> Value:
    if len(costs) > 1:
        raise FunctionError("bcrypt() takes no more than two arguments")
    cost = whole(costs[0], 1) if costs else COST_DEFAULT
    cost = COST_DEFAULT if cost < COST_MIN else cost
    if cost > COST_MAX:
        allowed = f"cost {cost} is outside allowed inclusive range {COST_MIN}..{COST_MAX}"
        raise FunctionError(f"error occured generating password crypto/bcrypt: {allowed}")
    if cost > COST_ALLOWED_MAX:
        raise FunctionLimit(f"a cost of {cost} is over {COST_ALLOWED_MAX}")
    if len(given.raw.encode()) > 72:
        text_ = "error occured generating password bcrypt: password length exceeds 72 bytes"
        raise FunctionError(text_)
    budget.step(None, STEPS_PER_ROUND << cost)
    salt = "".join(secrets.choice(_ALPHABET) for _ in range(21)) + secrets.choice(".Oeu")
    crypt = _crypt()
    with _lock:
        found = crypt(given.raw.encode(), f"$2a${cost:02}${salt}".encode()) if crypt is not None else None
    if not found or not found.startswith(b"$2a$"):
        raise FunctionError("bcrypt is not available on this system")
    return text(found.decode())


@function("rsadecrypt", "ciphertext:string", "privatekey:string")
def _rsadecrypt(ciphertext: Value, key: Value) -> Value:
    try:
        data = decoded_base64(ciphertext.raw)
    except FunctionError:
        told = f'failed to decode "{ciphertext.raw[:64]}": cipher text must be base64-encoded'
        raise FunctionError(told) from None
    try:
        return text(rsa_decrypt(data, key.raw).decode())
    except RsaError as error:
        raise FunctionError(str(error)) from None
    except UnicodeDecodeError:
        raise FunctionError("failed to decrypt: the result is not valid UTF-8") from None
