"""Archives of an attacker: nothing outside is written or changed, and memory, size and number have an end."""

from __future__ import annotations

import asyncio
import bz2
import contextlib
import gzip
import io
import json
import lzma
import os
import stat
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from yurt.server.client import getter, unpack
from yurt.server.client.artifacts import UNPACK_MEMORY_BYTES, _run
from yurt.server.client.unpack import HEADER_BYTES_MAX, PARTS_MAX, Refused, kind_of

ENTRIES_MAX, BYTES_MAX = 64, 4 << 20
Entry = tuple[str, dict[str, Any]]


def tar_of(*entries: Entry, **options: Any) -> bytes:
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode=options.pop("mode", "w"), **options) as archive:
        for name, fields in entries:
            member, data = tarfile.TarInfo(name), fields.get("data", b"")
            member.size = len(data)
            for key, value in fields.items():
                if key != "data":
                    setattr(member, key, value)
            archive.addfile(member, io.BytesIO(data))
    return body.getvalue()


def zip_of(*entries: Entry) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, fields in entries:
            info = zipfile.ZipInfo(name)
            info.create_system = 3
            info.external_attr = fields.get("mode", 0o644) << 16
            archive.writestr(info, fields.get("data", b""))
    return body.getvalue()


def unpacked(directory: Path, body: bytes, kind: str, *, name: str = "") -> None:
    directory.mkdir(exist_ok=True)
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        name = name or f"x{kind}"
        unpack.unpack(io.BytesIO(body), name, kind, fd, entries_max=ENTRIES_MAX, bytes_max=BYTES_MAX)
    finally:
        os.close(fd)


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    file = tmp_path / "victim"
    file.write_text("secret")
    file.chmod(0o600)
    return file


def kept(victim: Path) -> bool:
    found = victim.stat()
    return (victim.read_text(), found.st_mode & 0o7777, found.st_nlink) == ("secret", 0o600, 1)


MAKERS: dict[str, Callable[..., bytes]] = {".zip": zip_of, ".tar": tar_of}


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("name", ["{victim}", "../victim", "a/../../victim", "a/../b", "/", "..", "./../victim"])
def test_s1_a_name_that_leads_out_is_refused_and_changes_no_mode(
    tmp_path: Path, victim: Path, kind: str, name: str
) -> None:
    body = MAKERS[kind]((name.format(victim=victim), {"mode": 0o666, "data": b"x"}))
    with pytest.raises(Refused):
        unpacked(tmp_path / "out", body, kind)
    assert kept(victim) and list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("kind", MAKERS)
def test_s1_modes_are_rights_alone_and_go_to_what_was_unpacked(tmp_path: Path, kind: str) -> None:
    modes = {"setuid": 0o104755, "setgid": 0o102755, "sticky": 0o101644, "open": 0o100666, "closed": 0o100000}
    body = MAKERS[kind](*((name, {"mode": mode, "data": b"x"}) for name, mode in modes.items()))
    unpacked(tmp_path / "out", body, kind)
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").iterdir()}
    closed = 0o644 if kind == ".zip" else 0o600  # a zip entry without rights says nothing of them
    assert found == {"setuid": 0o755, "setgid": 0o755, "sticky": 0o644, "open": 0o666, "closed": closed}


@pytest.mark.parametrize("target", ["{victim}", "../victim", "../../victim", "d/../../victim", ""])
def test_s1_a_link_that_leads_out_is_refused(tmp_path: Path, victim: Path, target: str) -> None:
    target = target.format(victim=victim)
    link: Entry = ("link", {"type": tarfile.SYMTYPE, "linkname": target})
    linked: Entry = ("link", {"mode": 0o120777, "data": target.encode()})
    for body, kind in ((tar_of(link), ".tar"), (zip_of(linked), ".zip")):
        with pytest.raises(Refused):
            unpacked(tmp_path / "out", body, kind)
        assert kept(victim) and not (tmp_path / "out/link").is_symlink()


def test_s1_no_entry_is_written_through_a_link(tmp_path: Path, victim: Path) -> None:
    entries: list[Entry] = [
        ("d/", {"type": tarfile.DIRTYPE, "mode": 0o755}),
        ("link", {"type": tarfile.SYMTYPE, "linkname": "d"}),
        ("link/x", {"data": b"x"}),
    ]
    with pytest.raises(Refused, match="does not lie in a directory"):
        unpacked(tmp_path / "out", tar_of(*entries), ".tar")
    over: list[Entry] = [("f", {"data": b"old"}), ("link", {"type": tarfile.SYMTYPE, "linkname": "f"})]
    unpacked(tmp_path / "over", tar_of(*over, ("link", {"data": b"new", "mode": 0o644})), ".tar")
    assert (tmp_path / "over/f").read_bytes() == b"old" and (tmp_path / "over/link").read_bytes() == b"new"
    placed = tmp_path / "placed"
    placed.mkdir()
    (placed / "out").symlink_to(tmp_path)  # somebody was faster
    with pytest.raises(Refused):
        unpacked(placed, tar_of(("out/victim", {"data": b"x", "mode": 0o666})), ".tar")
    assert kept(victim)


@pytest.mark.parametrize("target", ["{victim}", "../victim", "missing", "link", "self"])
def test_s1_hard_links_are_of_files_of_the_archive_only(tmp_path: Path, victim: Path, target: str) -> None:
    entries: list[Entry] = [
        ("f", {"data": b"f"}), ("link", {"type": tarfile.SYMTYPE, "linkname": "f"}),
        ("self", {"type": tarfile.LNKTYPE, "linkname": target.format(victim=victim)}),
    ]  # fmt: skip
    with pytest.raises((Refused, FileNotFoundError)):
        unpacked(tmp_path / "out", tar_of(*entries), ".tar")
    assert kept(victim)


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_s1_devices_and_pipes_are_refused(tmp_path: Path, kind: bytes) -> None:
    with pytest.raises(Refused, match="device"):
        unpacked(tmp_path / "out", tar_of(("x", {"type": kind, "devmajor": 1, "devminor": 3})), ".tar")
    with pytest.raises(Refused, match="device"):
        unpacked(tmp_path / "out", zip_of(("x", {"mode": stat.S_IFIFO | 0o666})), ".zip")
    assert list((tmp_path / "out").iterdir()) == []


def test_what_archives_hold_is_unpacked(tmp_path: Path) -> None:
    entries: list[Entry] = [
        ("./", {"type": tarfile.DIRTYPE, "mode": 0o755}), ("bin/tool", {"data": b"tool", "mode": 0o755}),
        ("lib/x..y", {"data": b"x"}), ("a/b/up", {"type": tarfile.SYMTYPE, "linkname": "../../bin/tool"}),
        ("hard", {"type": tarfile.LNKTYPE, "linkname": "bin/tool"}),
    ]  # fmt: skip
    plain = tar_of(*entries)
    for kind, body in (
        (".tar", plain), (".tar.gz", gzip.compress(plain)), (".tbz2", bz2.compress(plain)),
        (".tar.xz", lzma.compress(plain)), (".tgz", gzip.compress(plain)),
    ):  # fmt: skip
        out = tmp_path / kind[1:]
        unpacked(out, body, kind)
        assert (out / "a/b/up").read_bytes() == b"tool" and (out / "hard").stat().st_nlink == 2
        assert stat.S_IMODE((out / "bin/tool").stat().st_mode) == 0o755
    for kind, body in ((".gz", gzip.compress(b"x")), (".bz2", bz2.compress(b"x")), (".xz", lzma.compress(b"x"))):
        unpacked(tmp_path / "single", body, kind)
        assert (tmp_path / "single/x").read_bytes() == b"x"


@pytest.mark.parametrize(
    ("name", "unpacked_as"), [("tool", "tool"), ("x.gz", "x"), ("x.GZ", "x"), ("a.b", "a.b"), (".gz", "artifact")]
)
def test_a_name_loses_the_ending_that_it_has(tmp_path: Path, name: str, unpacked_as: str) -> None:
    unpacked(tmp_path / "out", gzip.compress(b"x"), ".gz", name=name)
    assert os.listdir(tmp_path / "out") == [unpacked_as]


def test_what_is_an_archive() -> None:
    named = {"a.TAR.GZ": ".tar.gz", "a.gz": ".gz", "a.tgz": ".tgz", "a.zip": ".zip", "a": "", "a.txt": "", ".xz": ".xz"}
    assert {name: kind_of(name) for name in named} == named


@pytest.mark.parametrize("kind", [".zip", ".tar.gz", ".gz"])
def test_s7_a_bomb_is_stopped_by_what_was_written(tmp_path: Path, kind: str) -> None:
    zeros = bytes(BYTES_MAX + 1)
    bombs = {".zip": lambda: zip_of(("zeros", {"data": zeros})), ".gz": lambda: gzip.compress(zeros, 1)}
    bombs[".tar.gz"] = lambda: tar_of(("zeros", {"data": zeros}), mode="w:gz")
    with pytest.raises(Refused, match="bytes"):
        unpacked(tmp_path / "out", bombs[kind](), kind)
    assert sum(path.stat().st_size for path in (tmp_path / "out").iterdir()) <= BYTES_MAX


def test_s7_a_zip_that_lies_about_its_sizes_is_stopped_too(tmp_path: Path) -> None:
    body = bytearray(zip_of(("zeros", {"data": bytes(1000)})))
    at = body.rindex(b"PK\x01\x02")
    body[at + 24 : at + 28] = (10).to_bytes(4, "little")
    with pytest.raises(zipfile.BadZipFile):
        unpacked(tmp_path / "out", bytes(body), ".zip")
    assert (tmp_path / "out/zeros").stat().st_size <= 10


@pytest.mark.parametrize("kind", MAKERS)
def test_s7_more_entries_than_allowed_are_refused(tmp_path: Path, kind: str) -> None:
    body = MAKERS[kind](*((f"d{number}", {}) for number in range(ENTRIES_MAX + 1)))
    with pytest.raises(Refused, match="more than 64 files"):
        unpacked(tmp_path / "out", body, kind)


@pytest.mark.parametrize("kind", MAKERS)
def test_s7_directories_that_are_made_count_as_entries(tmp_path: Path, kind: str) -> None:
    below, directory = "/".join("d" * (ENTRIES_MAX - 2)), {"type": tarfile.DIRTYPE, "mode": 0o755}
    unpacked(tmp_path / "fits", MAKERS[kind]((f"{below}/", directory), (f"{below}/f", {}), ("g", {})), kind)
    with pytest.raises(Refused, match="more than 64 files"):
        unpacked(tmp_path / "out", MAKERS[kind]((f"{below}/f", {}), ("e/f", {})), kind)
    assert len(list((tmp_path / "out").rglob("*"))) <= ENTRIES_MAX


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("last", ["f", "d/"])
def test_s7_depth_has_an_end(tmp_path: Path, kind: str, last: str) -> None:
    with pytest.raises(Refused, match=f"more than {PARTS_MAX} names deep"):
        unpacked(tmp_path / "out", MAKERS[kind](("d/" * PARTS_MAX + last, {})), kind)
    assert list((tmp_path / "out").iterdir()) == []


def pax_bomb(size: int) -> bytes:
    """A small archive whose header record is large."""
    member = tarfile.TarInfo("x")
    member.type, member.size = tarfile.XHDTYPE, size
    packer, part = lzma.LZMACompressor(preset=0), bytes(1 << 20)
    pieces = [packer.compress(member.tobuf(tarfile.USTAR_FORMAT))]
    pieces += [packer.compress(part) for _ in range(size // len(part))]
    return b"".join((*pieces, packer.flush()))


@contextlib.contextmanager
def request_for(tmp_path: Path, body: bytes, kind: str) -> Iterator[tuple[dict[str, Any], tuple[int, int]]]:
    """What an agent asks of the process that unpacks."""
    (tmp_path / "archive").write_bytes(body)
    (tmp_path / "out").mkdir(mode=0o777)
    file, root = os.open(tmp_path / "archive", os.O_RDONLY), os.open(tmp_path / "out", os.O_RDONLY)
    if os.geteuid() == 0:
        os.fchown(root, 65534, 65534)
    request = {
        "source": "x", "name": f"x{kind}", "kind": kind, "file": file, "root": root, "bytes": BYTES_MAX,
        "entries": ENTRIES_MAX, "memory": UNPACK_MEMORY_BYTES, "seconds": 30,
    }  # fmt: skip
    try:
        yield request, (file, root)
    finally:
        os.close(file)
        os.close(root)


def in_a_process(tmp_path: Path, body: bytes, kind: str) -> None:
    """Unpack as an agent does."""
    with request_for(tmp_path, body, kind) as (request, fds):
        asyncio.run(_run("unpack", request, 60.0, fds))


MEASURED = """
import resource, subprocess, sys
ended = subprocess.run([sys.executable, "-I", "-S", sys.argv[1], "unpack"], input=sys.stdin.buffer.read(),
    capture_output=True, pass_fds=[int(one) for one in sys.argv[2:]])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, ended.stdout.decode())
"""


@pytest.mark.slow
def test_s7_a_huge_header_record_costs_no_memory(tmp_path: Path) -> None:
    body = pax_bomb(450 << 20)
    assert len(body) < 100_000
    with request_for(tmp_path, body, ".tar.xz") as (request, fds):
        ended = subprocess.run(
            [sys.executable, "-I", "-S", "-c", MEASURED, getter.__file__, *map(str, fds)],
            input=json.dumps({**request, "uid": 65534, "gid": 65534}).encode(), capture_output=True, pass_fds=fds,
            check=True, timeout=60,
        )  # fmt: skip
    kilobytes, _, answer = ended.stdout.decode().partition(" ")
    assert f"a header record of more than {HEADER_BYTES_MAX} bytes" in answer
    assert int(kilobytes) << 10 < 64 << 20


def test_s7_what_needs_more_memory_than_allowed_fails_in_its_own_process(tmp_path: Path) -> None:
    """A dictionary of 1 GiB, which xz makes before it reads."""
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 30, "preset": 0}]
    small = io.BytesIO()
    packer = lzma.LZMACompressor(filters=[{**filters[0], "dict_size": 4096}])
    small.write(packer.compress(tar_of(("x", {"data": b"x"}))) + packer.flush())
    body = bytearray(small.getvalue())
    body[12 + 4] = 36  # of the block header: 2 ** 30 bytes
    length = (body[12] + 1) * 4
    body[12 + length - 4 : 12 + length] = zlib.crc32(bytes(body[12 : 12 + length - 4])).to_bytes(4, "little")
    with pytest.raises(ValueError, match="more memory"):
        in_a_process(tmp_path, bytes(body), ".tar.xz")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up rights")
def test_s1_the_process_has_no_rights_and_sees_nothing_but_the_target(tmp_path: Path) -> None:
    in_a_process(tmp_path, tar_of(("x", {"data": b"x", "mode": 0o4755})), ".tar")
    found = (tmp_path / "out/x").stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (65534, 65534, 0o755)
