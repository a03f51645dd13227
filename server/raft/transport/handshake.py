"""The handshake of two servers: who they are, and that both know the cluster secret. Bytes in, bytes out.

    dialler  → HELLO                what it says of itself, a nonce, the versions of proofs that it knows
    acceptor → HELLO                the same
    dialler  → PROOF                if both know a version: HMAC-SHA256 over both hellos, as they were sent
    acceptor → PROOF                the same as the acceptor; empty if the dialler's proof was not right
    either   → REFUSED              in place of any of these: a sentence, and the connection ends

    key   = HMAC-SHA256("yurt cluster secret", secret)
    proof = HMAC-SHA256(key, "yurt peer proof 1 " + role + SHA-256(length, dialler's hello, length, acceptor's hello))

A proof is bound to both nonces (it cannot be replayed or moved to another connection), to everything that both sides
say of themselves, to its version and to the prover's role (it cannot be reflected). The dialler proves first: who only
dials learns nothing that a secret could be guessed by. A server of a version before says a hello without a nonce, and
the handshake ends with it; whether that is enough decides `is_required`.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Callable, Sequence
from enum import Enum

import msgspec

from yurt.fsm.errors import YurtError
from yurt.server.raft.core.messages import BadMessage

HELLO, PROOF, REFUSED = 0, 4, 5
FRAME_BYTES_MAX = 8 << 10
NONCE_BYTES = 32
PROOF_VERSION = 1
REASON_BYTES_MAX = 500
_LENGTH = struct.Struct(">I")

Frames = list[tuple[int, bytes]]


class PeerRefused(YurtError):
    """One side does not go on; the text says why."""


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """The first message of each side. `configuration` is that of the log, None if there is no log."""

    protocol: int = 1
    cluster: bytes = b""
    region: str = ""
    name: str = ""
    server_id: str = ""
    address: str = ""
    http_address: str = ""
    software: str = ""
    command_version: int = 0
    expect: int = 0
    datacenter: str = ""
    election_seconds: float = 0.0
    configuration: list[list[str]] | None = None
    nonce: bytes = b""
    proofs: list[int] = []


_hello_decoder = msgspec.msgpack.Decoder(Hello)


class Role(Enum):
    """The sides of a connection."""

    DIALLER = b"dialler"
    ACCEPTOR = b"acceptor"


class Step(Enum):
    """The message that a side waits for."""

    HELLO = "hello"
    PROOF = "proof"
    DONE = "done"


def key_of(secret: str) -> bytes:
    """Return the key that a cluster secret stands for."""
    return hmac.digest(b"yurt cluster secret", secret.encode(), "sha256")


def proof(key: bytes, role: Role, dialler_hello: bytes, acceptor_hello: bytes) -> bytes:
    """Return the proof of one side, over both hellos as they were sent."""
    transcript = hashlib.sha256()
    for body in (dialler_hello, acceptor_hello):
        transcript.update(_LENGTH.pack(len(body)) + body)
    label = b"yurt peer proof %d %b" % (PROOF_VERSION, role.value)
    return hmac.digest(key, label + transcript.digest(), "sha256")


def key_that_proves(keys: Sequence[bytes], given: bytes, role: Role, hellos: tuple[bytes, bytes]) -> bytes | None:
    """Return the key that `given` is a proof by; None if there is none. Takes the same time for each key."""
    found = None
    for key in keys:
        if hmac.compare_digest(proof(key, role, *hellos), given):
            found = key
    return found


class Handshake:
    """One side of a handshake. `keys`: the first proves this side, all are accepted of the other.

    `check` says why the other side's hello is not accepted, or nothing. `is_required` says whether who said that hello
    must prove itself, or there is no connection.
    """

    def __init__(
        self,
        own: Hello,
        role: Role,
        *,
        nonce: bytes,
        keys: Sequence[bytes],
        is_required: Callable[[Hello], bool],
        check: Callable[[Hello], str],
    ) -> None:
        assert len(nonce) == NONCE_BYTES
        self._own = msgspec.structs.replace(own, nonce=nonce, proofs=[PROOF_VERSION] if keys else [])
        self._own_body = msgspec.msgpack.encode(self._own)
        self._role, self._keys, self._is_required, self._check = role, tuple(keys), is_required, check
        self._hellos = (b"", b"")  # as they were sent: the dialler's, the acceptor's
        self.step = Step.HELLO
        self.hello: Hello | None = None  # of the other side
        self.key: bytes | None = None  # by which the other side proved itself

    def begin(self) -> Frames:
        """Return what this side says before it hears anything."""
        return [(HELLO, self._own_body)] if self._role is Role.DIALLER else []

    def receive(self, kind: int, body: bytes) -> Frames:
        """Take a frame and return the answers; raises `PeerRefused` and `BadMessage`, and the connection must end."""
        if kind == REFUSED and self.step is not Step.DONE:
            raise PeerRefused(f"the other server refuses this one: {body[:REASON_BYTES_MAX].decode(errors='replace')}")
        if self.step is Step.HELLO and kind == HELLO:
            return self._greeted(body)
        if self.step is Step.PROOF and kind == PROOF:
            return self._proved(body)
        raise BadMessage(f"a frame of kind {kind} instead of a {self.step.value}")

    @property
    def knows_refusals(self) -> bool:
        """Whether the other side understands REFUSED: a version before does not."""
        return self.hello is not None and bool(self.hello.nonce)

    def _greeted(self, body: bytes) -> Frames:
        try:
            hello = self.hello = _hello_decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:  # the last: nested deeply
            raise BadMessage(f"no hello: {error}") from None
        if reason := self._check(hello):
            raise PeerRefused(reason)
        is_dialler = self._role is Role.DIALLER
        self._hellos = (self._own_body, body) if is_dialler else (body, self._own_body)
        both_prove = bool(self._keys) and PROOF_VERSION in hello.proofs and len(hello.nonce) == NONCE_BYTES
        if not both_prove and self._is_required(hello):
            raise PeerRefused(
                "this cluster requires its secret of every server and the other one has none: set server "
                "{ cluster_secret }, or upgrade it"
            )
        self.step = Step.PROOF if both_prove else Step.DONE
        if not is_dialler:
            return [(HELLO, self._own_body)]
        return [(PROOF, self._proof())] if both_prove else []

    def _proof(self) -> bytes:
        return proof(self._keys[0], self._role, *self._hellos)

    def _proved(self, body: bytes) -> Frames:
        other = Role.ACCEPTOR if self._role is Role.DIALLER else Role.DIALLER
        self.key = key_that_proves(self._keys, body, other, self._hellos)
        assert self.hello is not None, "a proof comes after the hello"
        if self.key is None and self._is_required(self.hello):
            raise PeerRefused("the cluster secrets of the two servers differ")
        self.step = Step.DONE
        if self._role is Role.DIALLER:
            return []
        return [(PROOF, self._proof() if self.key is not None else b"")]
