"""The handshake of two servers, as bytes: every pair of sides, and every way to cheat that comes to mind."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yurt.server.raft.core.messages import BadMessage
from yurt.server.raft.transport.handshake import (
    HELLO,
    NONCE_BYTES,
    PROOF,
    REFUSED,
    Handshake,
    Hello,
    PeerRefused,
    Role,
    Step,
    key_of,
    key_that_proves,
    proof,
)

OLD, NEW, OTHER = key_of("an old secret of the cluster"), key_of("a new secret of the cluster"), key_of("of another")
_rng = random.Random(5)


def side(
    role: Role,
    name: str,
    keys: tuple[bytes, ...] = (),
    *,
    required: bool = False,
    check: Callable[[Hello], str] = lambda _hello: "",
) -> Handshake:
    own = Hello(server_id=name, region="global", address=f"{name}:4647")
    nonce = _rng.randbytes(NONCE_BYTES)
    return Handshake(own, role, nonce=nonce, keys=keys, is_required=lambda _hello: required, check=check)


def shake(dialler: Handshake, acceptor: Handshake) -> list[tuple[str, int, bytes]]:
    """Let two sides talk until both are silent; what went over the wire."""
    wire: list[tuple[str, int, bytes]] = []
    waiting = [("dialler", frame) for frame in dialler.begin()] + [("acceptor", frame) for frame in acceptor.begin()]
    while waiting:
        sender, (kind, body) = waiting.pop(0)
        wire.append((sender, kind, body))
        receiver, other = (acceptor, "acceptor") if sender == "dialler" else (dialler, "dialler")
        waiting += [(other, answer) for answer in receiver.receive(kind, body)]
    return wire


@pytest.mark.parametrize(
    ("dials", "accepts", "dialler_proved", "acceptor_proved"),
    [
        ((), (), False, False),
        ((NEW,), (), False, False),
        ((), (NEW,), False, False),
        ((NEW,), (NEW,), True, True),
        ((NEW, OLD), (OLD, NEW), True, True),
        ((OLD,), (NEW, OLD), True, False),
        ((NEW,), (OTHER,), False, False),
    ],
    ids=["none", "acceptor has none", "dialler has none", "same", "rotated", "dialler is behind", "different"],
)
def test_as_long_as_no_secret_is_required_both_sides_go_on(
    dials: tuple[bytes, ...], accepts: tuple[bytes, ...], dialler_proved: bool, acceptor_proved: bool
) -> None:
    dialler, acceptor = side(Role.DIALLER, "a", dials), side(Role.ACCEPTOR, "b", accepts)
    shake(dialler, acceptor)
    assert dialler.step is acceptor.step is Step.DONE
    assert dialler.hello is not None and dialler.hello.server_id == "b"
    assert acceptor.hello is not None and acceptor.hello.server_id == "a"
    assert (acceptor.key is not None, dialler.key is not None) == (dialler_proved, acceptor_proved)


@pytest.mark.parametrize("keys", [(), (OTHER,), (OTHER, OLD)])
@pytest.mark.parametrize("demanding", Role)
def test_a_required_secret_is_required_of_either_side(demanding: Role, keys: tuple[bytes, ...]) -> None:
    theirs, mine = (keys, (NEW,)) if demanding is Role.ACCEPTOR else ((NEW,), keys)
    dialler = side(Role.DIALLER, "a", theirs, required=demanding is Role.DIALLER)
    acceptor = side(Role.ACCEPTOR, "b", mine, required=demanding is Role.ACCEPTOR)
    with pytest.raises(PeerRefused, match="secret"):
        shake(dialler, acceptor)
    refusing = dialler if demanding is Role.DIALLER else acceptor
    assert refusing.step is not Step.DONE


def test_a_server_of_the_version_before_is_greeted_until_the_secret_is_required() -> None:
    before = msgspec.msgpack.encode({"protocol": 1, "server_id": "old", "region": "global"})
    acceptor = side(Role.ACCEPTOR, "b", (NEW,))
    ((kind, body),) = acceptor.receive(HELLO, before)
    assert kind == HELLO and acceptor.step is Step.DONE and acceptor.key is None
    assert msgspec.msgpack.decode(body)["server_id"] == "b", "which it reads, without what it does not know"
    dialler = side(Role.DIALLER, "b", (NEW,))
    assert dialler.receive(HELLO, before) == [] and dialler.step is Step.DONE
    demanding = side(Role.ACCEPTOR, "b", (NEW,), required=True)
    with pytest.raises(PeerRefused, match="upgrade it"):
        demanding.receive(HELLO, before)
    assert not demanding.knows_refusals


def test_who_only_dials_never_gets_a_proof() -> None:
    acceptor = side(Role.ACCEPTOR, "b", (NEW,))
    stranger = side(Role.DIALLER, "x", (OTHER,))
    wire = shake(stranger, acceptor)
    assert [(sender, kind) for sender, kind, _ in wire] == [
        ("dialler", HELLO), ("acceptor", HELLO), ("dialler", PROOF), ("acceptor", PROOF)
    ]  # fmt: skip
    assert wire[-1][2] == b"", "no proof for who has proved nothing"


def test_a_recorded_proof_proves_nothing_on_another_connection() -> None:
    wire = shake(side(Role.DIALLER, "a", (NEW,)), side(Role.ACCEPTOR, "b", (NEW,)))
    hello, recorded = wire[0][2], wire[2][2]
    acceptor = side(Role.ACCEPTOR, "b", (NEW,), required=True)
    acceptor.receive(HELLO, hello)
    with pytest.raises(PeerRefused, match="differ"):
        acceptor.receive(PROOF, recorded)


def test_a_proof_is_not_reflected_nor_moved_to_another_role_server_or_version() -> None:
    dialler_hello, acceptor_hello = b"hello of a", b"hello of b"
    right = proof(NEW, Role.DIALLER, dialler_hello, acceptor_hello)
    assert key_that_proves((OLD, NEW), right, Role.DIALLER, (dialler_hello, acceptor_hello)) == NEW
    assert key_that_proves((NEW,), right, Role.ACCEPTOR, (dialler_hello, acceptor_hello)) is None
    assert key_that_proves((NEW,), right, Role.DIALLER, (acceptor_hello, dialler_hello)) is None
    assert key_that_proves((NEW,), right, Role.DIALLER, (dialler_hello + b"h", acceptor_hello[1:])) is None
    assert key_that_proves((NEW,), right, Role.DIALLER, (dialler_hello, b"hello of c")) is None
    assert key_that_proves((OLD,), right, Role.DIALLER, (dialler_hello, acceptor_hello)) is None


def test_the_other_sides_own_frames_sent_back_are_no_proof() -> None:
    acceptor = side(Role.ACCEPTOR, "b", (NEW,), required=True)
    mirror = side(Role.DIALLER, "x", (OTHER,))
    ((_, hello),) = mirror.begin()
    ((_, own),) = acceptor.receive(HELLO, hello)
    dialling = side(Role.DIALLER, "b", (NEW,), required=True)  # the same server, made to dial the mirror
    dialling.begin()
    ((kind, its_proof),) = dialling.receive(HELLO, own)
    assert kind == PROOF
    with pytest.raises(PeerRefused, match="differ"):
        acceptor.receive(PROOF, its_proof)


def test_a_greeting_that_is_not_accepted_ends_the_handshake_before_any_proof() -> None:
    acceptor = side(Role.ACCEPTOR, "b", (NEW,), check=lambda hello: "of mars" if hello.server_id == "a" else "")
    ((kind, body),) = side(Role.DIALLER, "a", (NEW,)).begin()
    with pytest.raises(PeerRefused, match="of mars"):
        acceptor.receive(kind, body)
    assert acceptor.step is Step.HELLO and acceptor.knows_refusals
    told = side(Role.DIALLER, "a", (NEW,))
    with pytest.raises(PeerRefused, match="the other server refuses this one: of mars"):
        told.receive(REFUSED, b"of mars")


@pytest.mark.parametrize(
    ("kind", "body"),
    [(PROOF, bytes(32)), (1, b""), (2, b""), (3, b""), (255, b""), (HELLO, b""), (HELLO, b"\xc1"), (HELLO, b"\x93\1\2\3"),
     (HELLO, b"\x81\xa1x" + b"\x91" * 8000 + b"\xc0")],
    ids=["proof", "raft", "request", "answer", "no kind", "empty", "no msgpack", "numbers", "nested"],
)  # fmt: skip
@pytest.mark.parametrize("role", Role)
def test_anything_else_in_place_of_a_greeting_is_no_peer(role: Role, kind: int, body: bytes) -> None:
    with pytest.raises(BadMessage):
        side(role, "a", (NEW,)).receive(kind, body)


frames = st.lists(st.tuples(st.sampled_from((0, 1, 2, 3, 4, 5, 9)), st.binary(max_size=80)), max_size=6)
hellos = st.builds(
    Hello,
    server_id=st.text(max_size=5),
    nonce=st.binary(max_size=40),
    proofs=st.lists(st.integers(0, 3), max_size=3),
).map(msgspec.msgpack.encode)


@settings(max_examples=300)
@given(st.sampled_from(Role), st.booleans(), hellos, frames)
def test_no_bytes_of_somebody_without_the_secret_prove_it(
    role: Role, required: bool, hello: bytes, then: list[tuple[int, bytes]]
) -> None:
    handshake = side(role, "a", (NEW,), required=required)
    try:
        for kind, body in [(HELLO, hello), *then]:
            handshake.receive(kind, body)
    except (BadMessage, PeerRefused):
        pass
    assert handshake.key is None
    assert not (required and handshake.step is Step.DONE)


@settings(max_examples=200)
@given(st.integers(0, 3), st.integers(0, 2000), st.integers(1, 255))
def test_a_changed_bit_on_the_way_is_found_out(frame: int, at: int, flip: int) -> None:
    """A hello or a proof that is changed on the way leaves no connection of two sides that demand the secret."""
    dialler = side(Role.DIALLER, "a", (NEW,), required=True)
    acceptor = side(Role.ACCEPTOR, "b", (NEW,), required=True)
    number = 0
    waiting = [(acceptor, dialler, one) for one in dialler.begin()]
    try:
        while waiting:
            receiver, other, (kind, body) = waiting.pop(0)
            if number == frame:
                changed = bytearray(body)
                changed[at % len(changed)] ^= flip
                body = bytes(changed)
            number += 1
            waiting += [(other, receiver, one) for one in receiver.receive(kind, body)]
    except (BadMessage, PeerRefused):
        pass
    assert not (dialler.step is Step.DONE and acceptor.step is Step.DONE)
