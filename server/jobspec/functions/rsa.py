"""RSA decryption (PKCS #1 v1.5) with a private key in PEM, for `rsadecrypt`."""

from __future__ import annotations

import base64
import binascii
import re

BITS_MAX = 8192
_PEM = re.compile(r"-----BEGIN (RSA )?PRIVATE KEY-----(.*?)-----END (?:RSA )?PRIVATE KEY-----", re.DOTALL)
_INTEGER, _OCTETS, _SEQUENCE = 0x02, 0x04, 0x30


class RsaError(ValueError):
    """The key or the text cannot be used."""


def rsa_decrypt(data: bytes, pem: str) -> bytes:
    """The message of an encrypted text; raises `RsaError`."""
    modulus, exponent = _private_key(pem)
    size = (modulus.bit_length() + 7) // 8
    if modulus.bit_length() > BITS_MAX:
        raise RsaError(f"the key has more than {BITS_MAX} bits")
    number = int.from_bytes(data)
    if len(data) != size or number >= modulus:
        raise RsaError("failed to decrypt: error occurred decrypting ciphertext")
    padded = pow(number, exponent, modulus).to_bytes(size)
    end = padded.find(b"\0", 2)
    if padded[:2] != b"\0\x02" or end < 10:
        raise RsaError("failed to decrypt: error occurred decrypting ciphertext")
    return padded[end + 1 :]


def _private_key(pem: str) -> tuple[int, int]:
    """Modulus and private exponent of a PKCS #1 or PKCS #8 key."""
    match = _PEM.search(pem)
    if match is None:
        raise RsaError("failed to parse key: no key found")
    try:
        body = _items(_only(base64.b64decode("".join(match[2].split()), validate=True), _SEQUENCE))
        if not match[1]:
            octets = [content for tag, content in body if tag == _OCTETS]
            body = _items(_only(octets[0], _SEQUENCE))
        numbers = [int.from_bytes(content) for tag, content in body if tag == _INTEGER]
        if len(numbers) < 4 or numbers[1] <= 0:
            raise ValueError
        return numbers[1], numbers[3]
    except (binascii.Error, ValueError, IndexError):
        raise RsaError("failed to parse key: asn1: structure error") from None


def _items(data: bytes) -> list[tuple[int, bytes]]:
    """The tags and contents of a DER sequence's body."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(data):
        tag, length = data[at], data[at + 1]
        at += 2
        if length & 0x80:
            count = length & 0x7F
            length = int.from_bytes(data[at : at + count])
            at += count
        if at + length > len(data):
            raise ValueError
        found.append((tag, data[at : at + length]))
        at += length
    return found


def _only(data: bytes, tag: int) -> bytes:
    ((found, content),) = _items(data)
    if found != tag:
        raise ValueError
    return content
