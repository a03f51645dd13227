"""The messages of the protocol: typed msgpack arrays, checked when they come in.

Every message carries its kind, the cluster ID, the sender's term and a sequence number; an answer carries the number
of what it answers.
"""

from __future__ import annotations

import msgspec

from yurt.fsm.errors import YurtError

MESSAGE_BYTES_MAX = 64 << 20
NUMBER_MAX = 1 << 62


class BadMessage(YurtError):
    """Bytes that no peer of this version sends: the connection is dropped."""


class Message(msgspec.Struct, frozen=True, array_like=True, tag=True, forbid_unknown_fields=True):
    """The fields that all messages have."""

    cluster: bytes
    term: int
    sequence: int


class Append(Message, frozen=True, array_like=True, tag=1):
    """Entries after `previous_index`, and how far the leader has committed."""

    previous_index: int
    previous_term: int
    commit_index: int
    entries: list[tuple[bytes, int, int]]


class AppendAnswer(Message, frozen=True, array_like=True, tag=2):
    """The log matches up to `index` (durably), or it does not and `index` is where to try next."""

    matches: bool
    index: int


class Heartbeat(Message, frozen=True, array_like=True, tag=3):
    """The leader is there."""


class HeartbeatAnswer(Message, frozen=True, array_like=True, tag=4):
    """The reply to a heartbeat; never waits for fsync."""


class VoteRequest(Message, frozen=True, array_like=True, tag=5):
    """A candidate asks for a vote with the end of its log.

    `poll`: would you vote for me? `term` is then the one that would begin. `transfer`: the leader wants it so.
    """

    last_index: int
    last_term: int
    poll: bool = False
    transfer: bool = False


class VoteAnswer(Message, frozen=True, array_like=True, tag=6):
    """The vote is durable before this leaves. A granted poll has the term that would begin."""

    granted: bool
    poll: bool = False


class SnapshotBegin(Message, frozen=True, array_like=True, tag=20):
    """A snapshot will come: a file of `size` bytes whose body has that CRC. The answer says from which byte on."""

    index: int
    snapshot_term: int
    size: int
    crc: int


class SnapshotChunk(Message, frozen=True, array_like=True, tag=21):
    """A piece of the file that was announced in this term."""

    index: int
    snapshot_term: int
    offset: int
    data: bytes


class SnapshotAnswer(Message, frozen=True, array_like=True, tag=22):
    """The progress of an install: one of the four states below, and the next byte wanted."""

    index: int
    snapshot_term: int
    offset: int
    state: int


GO_ON, INSTALLED, UNKNOWN, FAILED = range(4)  # UNKNOWN: announce it again; FAILED: again, from the start


class TimeoutNow(Message, frozen=True, array_like=True, tag=9):
    """The leader wants this server to take over at once."""


class ReadRequest(Message, frozen=True, array_like=True, tag=10):
    """How far has the cluster committed? `request` is a random number; `quorum`: ask a majority for this."""

    request: int
    quorum: bool


class ReadAnswer(Message, frozen=True, array_like=True, tag=11):
    """State applied up to `index` may be read; or not `known`, because the asked server does not lead."""

    request: int
    known: bool
    index: int


AnyMessage = (
    Append | AppendAnswer | Heartbeat | HeartbeatAnswer | VoteRequest | VoteAnswer | SnapshotBegin | SnapshotChunk
    | SnapshotAnswer | TimeoutNow | ReadRequest | ReadAnswer
)  # fmt: skip
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[AnyMessage] = msgspec.msgpack.Decoder(AnyMessage)


def encode(message: Message) -> bytes:
    """The bytes of a message."""
    return _encoder.encode(message)


def decode(data: bytes) -> AnyMessage:
    """The message of bytes; raises `BadMessage`."""
    try:
        message = _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise BadMessage(str(error)) from error
    _check_numbers(message)
    if isinstance(message, Append):
        _check_entries(message)
    elif isinstance(message, SnapshotBegin) and not (message.size > 0 and 0 < message.snapshot_term <= message.term):
        raise BadMessage("a snapshot of a later term, or of nothing")
    return message


def _check_numbers(message: AnyMessage) -> None:
    """Terms, indexes and sizes are counted: none is negative, and none is near the end of what files can hold."""
    for name in message.__struct_fields__:
        value = getattr(message, name)
        if type(value) is int and not 0 <= value < NUMBER_MAX:
            raise BadMessage(f"{name} is {value}")


def _check_entries(message: Append) -> None:
    index, term = message.previous_index, message.previous_term
    for entry in message.entries:
        if entry[1] != index + 1 or not term <= entry[2] <= message.term or not entry[0]:
            raise BadMessage("entries are not in order")
        _, index, term = entry
