"""The file of a saved state: what is packed comes back, whatever is wrong with it is refused."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest

from yurt.server.snapshot.archive import BadArchive, pack, unpack

META = {"Version": 1, "ID": "2-9-1", "Index": 9, "Term": 2}
STATE = [b"state " * 50_000, b"", b"end"]


def packed() -> bytes:
    target = io.BytesIO()
    digest = pack(META, STATE, io.BytesIO(), target)
    assert digest == hashlib.sha256(target.getvalue()).digest()
    return target.getvalue()


def joined(chunks: Iterator[bytes]) -> bytes:
    return b"".join(chunks)


def opened(data: bytes) -> tuple[dict[str, Any], bytes]:
    return unpack(io.BytesIO(data), joined)


def test_what_is_packed_comes_back() -> None:
    meta, state = opened(packed())
    assert meta == {**META, "Size": len(b"".join(STATE))}
    assert state == b"".join(STATE)


def test_it_is_an_archive_that_other_tools_read() -> None:
    with tarfile.open(fileobj=io.BytesIO(packed()), mode="r:gz") as tar:
        assert tar.getnames() == ["meta.json", "state.bin", "SHA256SUMS"]
        contents = {name: tar.extractfile(name).read() for name in tar.getnames()}  # type: ignore[union-attr]
    lines = dict(reversed(line.split("  ")) for line in contents["SHA256SUMS"].decode().splitlines())
    assert lines == {name: hashlib.sha256(contents[name]).hexdigest() for name in ("meta.json", "state.bin")}


def test_any_flipped_byte_and_any_missing_end_is_refused() -> None:
    data = packed()
    for at in range(0, len(data), 7):
        if 4 <= at < 10:
            continue  # time, flags of level and system in the gzip header: nobody reads them
        with pytest.raises(BadArchive):
            opened(data[:at] + bytes([data[at] ^ 0x15]) + data[at + 1 :])
        with pytest.raises(BadArchive):
            opened(data[:at])


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"no snapshot", "failed to decompress snapshot: gzip: invalid header"),
        (b"", "unexpected EOF|no meta.json|no archive"),
        (gzip.compress(b"no tar", mtime=0), "no archive of a state"),
    ],
)
def test_other_files_are_told_apart(data: bytes, text: str) -> None:
    with pytest.raises(BadArchive, match=text):
        opened(data)


def tar_of(members: list[tuple[str, bytes]], kind: bytes = tarfile.REGTYPE) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size, member.type = len(content), kind
            tar.addfile(member, io.BytesIO(content))
    return target.getvalue()


def sums(**contents: bytes) -> bytes:
    names = {"meta": "meta.json", "state": "state.bin"}
    return "".join(f"{hashlib.sha256(data).hexdigest()}  {names[name]}\n" for name, data in contents.items()).encode()


META_BYTES = json.dumps(META).encode()
GOOD = [("meta.json", META_BYTES), ("state.bin", b"s"), ("SHA256SUMS", sums(meta=META_BYTES, state=b"s"))]


def test_a_hand_made_one_is_read() -> None:
    assert opened(tar_of(GOOD)) == (META, b"s")


@pytest.mark.parametrize(
    ("members", "text"),
    [
        (GOOD[:1], "no state.bin"),
        (GOOD[:2], "no SHA256SUMS"),
        (GOOD[1:], "no meta.json"),
        ([*GOOD, GOOD[0]], "does not belong"),
        ([*GOOD, ("../../etc/passwd", b"x")], "does not belong"),
        ([GOOD[0], ("state.bin", b"t"), GOOD[2]], "checksum of state.bin"),
        ([("meta.json", b'{"Version": 2}'), *GOOD[1:]], "version"),
        ([("meta.json", b"{"), *GOOD[1:]], "no JSON"),
        ([("meta.json", bytes(2 << 20)), *GOOD[1:]], "too large"),
    ],
)
def test_what_is_missing_or_too_much_is_told(members: list[tuple[str, bytes]], text: str) -> None:
    with pytest.raises(BadArchive, match=text):
        opened(tar_of(members))


def test_links_are_refused() -> None:
    with pytest.raises(BadArchive):
        opened(tar_of([("meta.json", b"")], tarfile.SYMTYPE))
