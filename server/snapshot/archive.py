"""A saved state as one file: a gzip'd tar of `meta.json`, `state.bin` and `SHA256SUMS` (spec cluster §15).

The envelope is the one that operators' tools know; `state.bin` is the state machine's own snapshot format.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

import orjson

from yurt.fsm.errors import YurtError

META, STATE, SUMS = "meta.json", "state.bin", "SHA256SUMS"
PART_BYTES = 1 << 20
SMALL_BYTES_MAX = 1 << 20
STATE_BYTES_MAX = 64 << 30
COMPRESSION = 4
_SUM = re.compile(r"([0-9a-f]{64})  (\S+)")


class BadArchive(YurtError):
    """The file is no saved state, or not as it was saved."""


class _Hashing(io.RawIOBase):
    """Writes through and hashes."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target, self.hash = target, hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.hash.update(data)
        self._target.write(data)
        return len(data)


def pack(meta: dict[str, Any], state: Iterable[bytes], spool: IO[bytes], target: IO[bytes]) -> bytes:
    """Write an archive; return the SHA-256 of the file. `spool` is an empty file: a tar needs the state's size."""
    hashed, size = hashlib.sha256(), 0
    for chunk in state:
        hashed.update(chunk)
        size += len(chunk)
        spool.write(chunk)
    spool.seek(0)
    described = orjson.dumps({**meta, "Size": size})
    sums = f"{hashlib.sha256(described).hexdigest()}  {META}\n{hashed.hexdigest()}  {STATE}\n".encode()
    through = _Hashing(target)
    with (
        gzip.GzipFile(fileobj=through, mode="wb", compresslevel=COMPRESSION, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w|", bufsize=PART_BYTES, format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name, length, content in (
            (META, len(described), io.BytesIO(described)),
            (STATE, size, spool),
            (SUMS, len(sums), io.BytesIO(sums)),
        ):
            member = tarfile.TarInfo(name)
            member.size, member.mode = length, 0o600
            tar.addfile(member, content)
    return through.hash.digest()


def unpack(source: IO[bytes], take: Callable[[Iterator[bytes]], Any]) -> tuple[dict[str, Any], Any]:
    """Check an archive: its meta data and what `take` made of the state's bytes. Raises `BadArchive`.

    `take` sees bytes that may turn out to be wrong: nothing may be done with its result before this returns.
    """
    sums: dict[str, str] = {}
    found: dict[str, str] = {}
    meta: dict[str, Any] = {}
    result = None
    try:
        with tarfile.open(fileobj=_unzipped(source), mode="r|", bufsize=PART_BYTES) as tar:
            for member in tar:
                content = tar.extractfile(member)
                if content is None or member.name not in (META, STATE, SUMS) or member.name in found:
                    raise BadArchive(f'the snapshot holds "{member.name}", which does not belong there')
                if member.size > (STATE_BYTES_MAX if member.name == STATE else SMALL_BYTES_MAX):
                    raise BadArchive(f"{member.name} in the snapshot is too large")
                hashed = hashlib.sha256()
                if member.name == STATE:
                    result = take(_parts(content, hashed))
                else:
                    data = b"".join(_parts(content, hashed))
                    if member.name == META:
                        meta = _meta(data)
                    else:
                        sums = {name: value for value, name in _SUM.findall(data.decode(errors="replace"))}
                found[member.name] = hashed.hexdigest()
    except gzip.BadGzipFile as error:
        raise BadArchive("failed to decompress snapshot: gzip: invalid header") from error
    except (EOFError, zlib.error) as error:
        raise BadArchive("failed to decompress snapshot: unexpected EOF") from error
    except tarfile.TarError as error:
        raise BadArchive(f"the snapshot is no archive of a state: {error}") from error
    for name in (META, STATE, SUMS):
        if name not in found:
            raise BadArchive(f"the snapshot has no {name}")
    for name in (META, STATE):
        if sums.get(name) != found[name]:
            raise BadArchive(f"the checksum of {name} in the snapshot is wrong")
    return meta, result


def _unzipped(source: IO[bytes]) -> IO[bytes]:
    unzipped = gzip.GzipFile(fileobj=source, mode="rb")
    unzipped.peek(1)  # a file of another kind is told here, not as a broken archive
    return unzipped  # type: ignore[return-value]  # it reads like any binary file


def _parts(content: IO[bytes], hashed: Any) -> Iterator[bytes]:
    while data := content.read(PART_BYTES):
        hashed.update(data)
        yield data


def _meta(data: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadArchive(f"{META} in the snapshot is no JSON: {error}") from error
    if not isinstance(found, dict) or found.get("Version") != 1:
        raise BadArchive("the snapshot is of a version that is not known here")
    return found
