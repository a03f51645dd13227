"""Members whose library has an address of its own, and the file they are kept in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgpack
import pytest

from yurt.server.raft.engines.pysyncobj.members import Members, decode
from yurt.server.raft.errors import ChangeRefused, Corrupt
from yurt.server.raft.peer import Peer

FIRST = [["a", "h:1", "one"], ["b", "h:2", "two"]]
OWN = Peer("a", "h:1", "one")


def begun(directory: Path, own: Peer = OWN, library: str = "h:11") -> Members:
    members = Members(directory / "members.json")
    members.begin(FIRST, own, library)
    return members


def test_a_new_server_knows_its_own_library_alone(tmp_path: Path) -> None:
    members = begun(tmp_path)
    assert members.rows() == [("a", "h:1", "one", "h:11"), ("b", "h:2", "two", "")]
    assert members.configuration == FIRST and members.at("h:11") is members.get("a") and members.at("h:12") is None


def test_a_restart_knows_everybody_and_who_came_later(tmp_path: Path) -> None:
    members = begun(tmp_path)
    members.take(("b", "h:2", "two", "h:12"))
    members.take(("c", "h:3", "three", "h:13"))
    members.save()
    found = {row[0]: row[3] for row in begun(tmp_path, library="h:99").rows()}
    assert found == {"a": "h:99", "b": "h:12", "c": "h:13"}


def test_a_restart_does_not_look_for_a_founder_that_was_taken_out(tmp_path: Path) -> None:
    members = begun(tmp_path)
    members.take(("b", "", "", ""))
    members.save()
    again = begun(tmp_path)
    assert again.unknown() == [] and [row[0] for row in again.rows()] == ["a"]


def test_what_another_one_knows_fills_the_gaps_alone_while_it_lacks_some(tmp_path: Path) -> None:
    members = Members(tmp_path / "members.json")
    members.begin([*FIRST, ["c", "h:3", "three"]], OWN, "h:11")
    assert members.unknown() == ["b", "c"]
    members.learn([("b", "h:2", "two", "h:12"), ("c", "h:3", "three", ""), ("x", "h:4", "", "h:1")])
    assert members.unknown() == ["c"]
    assert [row[3] for row in members.rows()] == ["h:11", "h:12", ""]


def test_a_newcomer_takes_the_members_of_one_that_knows_all(tmp_path: Path) -> None:
    members = begun(tmp_path, Peer("new", "h:9", "nine"), "h:19")
    assert members.get("new") is None and members.configuration == FIRST
    rows = [("b", "h:2", "two", "h:12"), ("c", "h:3", "three", "h:13")]
    members.learn(rows)
    assert members.rows() == rows and members.unknown() == [], "without the founder that was taken out"


def test_a_row_without_a_library_takes_a_server_out(tmp_path: Path) -> None:
    members = begun(tmp_path)
    members.take(("b", "", "", ""))
    members.take(("unknown", "", "", ""))
    assert [member.peer.id for member in members.all()] == ["a"]


def test_an_address_of_two_servers_is_found(tmp_path: Path) -> None:
    members = begun(tmp_path)
    assert members.twice() == []
    members.learn([("b", "h:2", "two", "h:11"), ("c", "h:3", "three", "")])
    assert members.twice() == ["h:11"]


@pytest.mark.parametrize("content", [b"", b"{", b'[["a"]]', b'[["a","h:1","one","nowhere"]]', b"[[1,2,3,4]]", b"\xff"])
def test_a_damaged_file_is_refused_with_a_way_out(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "members.json").write_bytes(content)
    with pytest.raises(Corrupt, match=r"members\.json is damaged.*Nothing was changed"):
        begun(tmp_path)
    assert (tmp_path / "members.json").read_bytes() == content


@pytest.mark.parametrize(
    "answer",
    [
        [], {}, 7, None, ["a"], [["a", "h:1", "one"]], [["a", "h:1", "one", 5]], [["a", "h:1", "one", "nowhere"]],
        [["a", "h:1", "one", "h:0"]], [["a", "h:1", "one", "[::1]:5"]], [["a", "nowhere", "one", "h:1"]],
        [["", "h:1", "one", "h:2"]], [["a", "h:1", "one", ":5"]],
    ],
)  # fmt: skip
def test_an_answer_that_no_server_gives_is_refused(answer: Any) -> None:
    with pytest.raises(ChangeRefused, match="cannot be used"):
        decode(msgpack.packb(answer))


def test_bytes_that_are_no_answer_are_refused() -> None:
    for junk in (b"", b"\xc1", b"\x91\x94\xa1\xff\xa1a\xa1a\xa1a", b"no"):
        with pytest.raises(ChangeRefused, match="cannot be used"):
            decode(junk)


def test_an_answer_gives_its_rows() -> None:
    rows = [("a", "h:1", "one", "h:11"), ("b", "[::1]:2", "", "")]
    assert decode(msgpack.packb(rows)) == rows
