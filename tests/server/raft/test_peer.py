"""Servers of the configuration, in order."""

from __future__ import annotations

import random

from yurt.server.raft.peer import Peer, address_in


def test_peers_are_ordered_by_their_ids_alike_in_every_process() -> None:
    peers = [Peer(f"id{number}", "a") for number in range(20)]
    random.Random(1).shuffle(peers)
    assert [peer.id for peer in sorted(peers)] == sorted(f"id{number}" for number in range(20))


def test_a_server_that_moved_is_the_same_server() -> None:
    assert Peer("x", "a", "old") == Peer("x", "b", "new") and len({Peer("x", "a"), Peer("x", "b")}) == 1


def test_a_server_has_the_address_that_the_configuration_says() -> None:
    servers = [["x", "a:1", "first"], ["y", "b:1", "second", "learner"]]
    assert [address_in(servers, server_id) for server_id in ("x", "y", "z")] == ["a:1", "b:1", None]
