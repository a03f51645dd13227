"""Servers of the configuration, in order."""

from __future__ import annotations

import random

from yurt.server.raft.peer import Peer


def test_peers_are_ordered_by_their_ids_alike_in_every_process() -> None:
    peers = [Peer(f"id{number}", "a") for number in range(20)]
    random.Random(1).shuffle(peers)
    assert [peer.id for peer in sorted(peers)] == sorted(f"id{number}" for number in range(20))


def test_a_server_that_moved_is_the_same_server() -> None:
    assert Peer("x", "a", "old") == Peer("x", "b", "new") and len({Peer("x", "a"), Peer("x", "b")}) == 1
