"""Members whose library has an address of its own, and the file they are kept in."""

from __future__ import annotations

from pathlib import Path

from yurt.server.raft.engines.pysyncobj.members import Members
from yurt.server.raft.peer import Peer

FIRST = [["a", "h:1", "one"], ["b", "h:2", "two"]]
OWN = Peer("a", "h:1", "one")


def test_a_new_server_knows_its_own_library_alone(tmp_path: Path) -> None:
    members = Members(tmp_path / "members.json")
    members.begin(FIRST, OWN, "h:11")
    assert members.rows() == [["a", "h:1", "one", "h:11"], ["b", "h:2", "two", ""]]
    assert members.configuration == FIRST and members.at("h:11") is members.get("a") and members.at("h:12") is None


def test_a_restart_knows_everybody_and_who_came_later(tmp_path: Path) -> None:
    members = Members(tmp_path / "members.json")
    members.begin(FIRST, OWN, "h:11")
    members.take([["b", "h:2", "two", "h:12"], ["c", "h:3", "three", "h:13"]])
    members.save()
    again = Members(tmp_path / "members.json")
    again.begin(FIRST, OWN, "h:99")
    found = {row[0]: row[3] for row in again.rows()}
    assert found == {"a": "h:99", "b": "h:12", "c": "h:13"}


def test_what_another_one_knows_fills_the_gaps_alone(tmp_path: Path) -> None:
    members = Members(tmp_path / "members.json")
    members.begin([*FIRST, ["c", "h:3", "three"]], OWN, "h:11")
    assert members.unknown() == ["b", "c"]
    members.learn(
        [["b", "h:2", "two", "h:12"], ["c", "h:3", "three", ""], ["a", "h:1", "one", "wrong"], ["x", "", "", "h:1"]]
    )
    assert members.unknown() == ["c"]
    assert [row[3] for row in members.rows()] == ["h:11", "h:12", ""]


def test_a_newcomer_is_no_member_until_it_is_let_in(tmp_path: Path) -> None:
    members = Members(tmp_path / "members.json")
    members.begin(FIRST, Peer("new", "h:9", "nine"), "h:19")
    assert members.get("new") is None and members.configuration == FIRST


def test_a_row_without_a_library_takes_a_server_out(tmp_path: Path) -> None:
    members = Members(tmp_path / "members.json")
    members.begin(FIRST, OWN, "h:11")
    members.take([["b", "", "", ""], ["unknown", "", "", ""]])
    assert [member.peer.id for member in members.all()] == ["a"]
