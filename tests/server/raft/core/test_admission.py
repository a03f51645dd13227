"""Who may change a server: members, and nobody else without a reason (S2)."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from tests.server.raft.servers import applied, leader_of, quiet_cluster, run_for, run_until, write
from yurt.server.raft.core import messages
from yurt.server.raft.core.admission import SENDERS_MAX, TERM_JUMP_MAX, UNPROVED_TERMS_MAX, Admission
from yurt.server.raft.core.applying import pack_batch
from yurt.server.raft.core.election import LEADERLESS_ELECTIONS
from yurt.server.raft.core.engine import Engine
from yurt.server.raft.storage.hard_state import HardState, HardStateFile
from yurt.server.testing.simulation.cluster import Cluster
from yurt.server.testing.simulation.strangers import TERMS, forged, standing_of
from yurt.server.testing.simulation.world import Server

FORGERIES = 400


def engine_of(server: Server | None) -> Engine:
    assert server is not None and server.engine is not None
    return server.engine


def distrusting(cluster: Cluster, *, asks_for_proof: bool = True) -> Cluster:
    """The cluster with nobody who proves that it belongs to it; without `asks_for_proof` nobody could."""
    for server in cluster.servers.values():
        if server.engine is not None:
            server.engine.admission.is_vouched = lambda _server_id: False
            server.engine.admission.asks_for_proof = lambda: asks_for_proof
    return cluster


def leaderless(cluster: Cluster) -> Engine:
    """The engine of a follower that is cut off and has just seen that it has no leader."""
    leader = leader_of(cluster)
    follower = next(server for server in cluster.servers.values() if server is not leader)
    cluster.network.cut = {(name, follower.name) for name in cluster.servers}
    engine = engine_of(follower)
    run_until(cluster, lambda: engine.leader is None)
    return engine


def test_s2_nothing_that_a_stranger_says_moves_a_member(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "raft.admission")
    cluster = quiet_cluster()
    write(cluster, 5)
    for server in cluster.servers.values():
        engine = engine_of(server)
        before, disk = standing_of(engine), server.disk.durable()
        for _ in range(FORGERIES):
            engine.receive("stranger", messages.encode(forged(cluster, engine, "stranger")))
            assert standing_of(engine) == before
        assert engine.admission.refused > FORGERIES / 4
        assert server.disk.durable() == disk
    lines = [record for record in caplog.records if record.getMessage() == "raft message refused"]
    assert len(lines) == len(cluster.servers), "one line a server, however much is said"
    term = engine_of(leader_of(cluster)).term
    run_for(cluster, 3.0)
    assert engine_of(leader_of(cluster)).term == term, "nobody was toppled"
    write(cluster, 3)


@pytest.mark.parametrize("asks_for_proof", [True, False])
@pytest.mark.parametrize("term", [3, *TERMS])
def test_s2_a_leaderless_member_follows_no_stranger_into_a_higher_term(term: int, asks_for_proof: bool) -> None:
    cluster = distrusting(quiet_cluster(), asks_for_proof=asks_for_proof)
    engine = leaderless(cluster)
    before = standing_of(engine)
    for message in (
        messages.Heartbeat(engine.cluster, term, 1),
        messages.Append(engine.cluster, term, 2, engine.log.last_index, engine.last_term(), 9, []),
        messages.VoteRequest(engine.cluster, term, 3, 99, term),
    ):
        engine.receive("stranger", messages.encode(message))
    assert standing_of(engine) == before


def forged_append(engine: Engine, term: int) -> bytes:
    """One more entry than the server has, committed, by somebody who knows its log."""
    last = engine.log.last_index
    entries = [(pack_batch([b"forged"]), last + 1, term)]
    return messages.encode(
        messages.Append(engine.cluster, term, 1 << 40, last, engine.last_term(), last + 1, entries)
    )  # fmt: skip


@pytest.mark.parametrize("asks_for_proof", [True, False])
def test_s2_a_leaderless_member_takes_no_entry_of_a_stranger_in_its_own_term(asks_for_proof: bool) -> None:
    cluster = distrusting(quiet_cluster(), asks_for_proof=asks_for_proof)
    engine = leaderless(cluster)
    before = standing_of(engine)
    for message in (
        forged_append(engine, engine.term),
        messages.encode(messages.Heartbeat(engine.cluster, engine.term, 1)),
        messages.encode(messages.SnapshotBegin(engine.cluster, engine.term, 2, 99, engine.term, 100, 1)),
        messages.encode(messages.TimeoutNow(engine.cluster, engine.term, 3)),
    ):
        engine.receive("stranger", message)
        assert standing_of(engine) == before and engine.incoming is None


def test_s2_where_proofs_are_asked_for_no_time_without_a_leader_makes_up_for_one() -> None:
    cluster = distrusting(quiet_cluster())
    engine = leaderless(cluster)
    run_for(cluster, 60.0)
    before = standing_of(engine)
    engine.receive("stranger", forged_append(engine, engine.term + 1))
    engine.receive("stranger", messages.encode(messages.VoteRequest(engine.cluster, engine.term + 1, 1, 99, 99)))
    assert standing_of(engine) == before


def test_s2_without_any_proof_a_stranger_is_believed_within_bounds_alone(caplog: pytest.LogCaptureFixture) -> None:
    """What docs/security.md says of clusters without a secret: after ten seconds, a newer log, a near term."""
    caplog.set_level(logging.WARNING, "raft.admission")
    cluster = distrusting(quiet_cluster(), asks_for_proof=False)
    write(cluster, 3)
    engine = leaderless(cluster)
    run_for(cluster, LEADERLESS_ELECTIONS * engine.config.election)
    assert engine.has_long_been_leaderless()
    last, last_term, before = engine.log.last_index, engine.last_term(), standing_of(engine)
    far = engine.term + UNPROVED_TERMS_MAX + 1
    for message in (
        messages.VoteRequest(engine.cluster, engine.term + 1, 1, last, last_term),  # as new, but not newer
        messages.VoteRequest(engine.cluster, far, 2, last + 9, last_term),
        messages.Append(engine.cluster, engine.term, 3, last, last_term, last, []),
        messages.Append(engine.cluster, far, 4, last + 1, last_term, last, []),
        messages.SnapshotBegin(engine.cluster, engine.term, 5, last, last_term, 100, 1),
        messages.Heartbeat(engine.cluster, engine.term, 6),
        messages.TimeoutNow(engine.cluster, engine.term, 7),
    ):
        engine.receive("stranger", messages.encode(message))
        assert standing_of(engine) == before, message
    caplog.clear()
    engine.receive("stranger", messages.encode(messages.VoteRequest(engine.cluster, far - 1, 8, last + 9, last_term)))
    assert (engine.term, engine.voted_for) == (far - 1, "stranger")
    (line,) = caplog.records
    assert line.getMessage() == "raft message of a server outside the configuration believed without proof"


def test_s2_a_member_may_raise_the_term_but_not_by_a_jump(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "raft.admission")
    cluster = quiet_cluster()
    engine = engine_of(leader_of(cluster))
    peer, own = sorted(engine.peers)[0], engine.term
    engine.receive(peer, messages.encode(messages.Heartbeat(engine.cluster, own + TERM_JUMP_MAX + 1, 1)))
    assert engine.term == own and engine.is_leader_role
    assert "2^32" in caplog.records[-1].__dict__["reason"]
    engine.receive(peer, messages.encode(messages.Heartbeat(engine.cluster, own + 7, 2)))
    assert engine.term == own + 7 and not engine.is_leader_role


def test_s2_used_up_terms_are_told_and_spend_nothing(caplog: pytest.LogCaptureFixture) -> None:
    cluster = quiet_cluster()
    for server in cluster.servers.values():
        server.crash()
        hard_state = HardStateFile(server.disk, "hard")
        hard_state.load()
        hard_state.save(HardState(messages.NUMBER_MAX - 1, None))
    for server in cluster.servers.values():
        server.start()
    run_for(cluster, 8.0)
    assert leader_of(cluster) is None
    assert {engine_of(server).term for server in cluster.servers.values()} == {messages.NUMBER_MAX - 1}
    told = [record for record in caplog.records if "no election is possible" in record.getMessage()]
    assert len(told) == len(cluster.servers) and "recover DATA_DIR -term" in told[0].getMessage()


def test_a_new_server_is_led_by_whoever_comes() -> None:
    cluster = quiet_cluster()
    new = engine_of(cluster.add_machine("s9"))
    assert not new.is_member and new.is_empty
    new.receive("stranger", messages.encode(messages.Heartbeat(new.cluster, TERMS[-1], 1)))
    assert new.term == TERMS[-1], "it has nothing to lose: its directory is emptied, and it joins anew"


def until_done(cluster: Cluster, ask: Callable[[Engine], None], done: Callable[[Engine], bool]) -> None:
    """Ask the leader again and again: changes are refused while another one is under way."""
    for _ in range(50):
        leader = leader_of(cluster)
        if leader is not None:
            if done(engine_of(leader)):
                return
            ask(engine_of(leader))
        run_for(cluster, 0.3)
    raise AssertionError("\n".join(cluster.world.trace[-20:]))


def nobody_waits(_result: object, _error: Exception | None) -> None:
    """The test looks at the cluster."""


def replaced(cluster: Cluster, away: Server, kept: tuple[str, ...]) -> None:
    """While one server is cut off, machines come, and those that are not `kept` go: it knows none of the new ones."""
    others = [name for name in cluster.servers if name != away.name]
    cluster.network.cut = {(a, away.name) for a in others} | {(away.name, a) for a in others}
    for name in ("n1", "n2"):
        cluster.add_machine(name)
        cluster.network.cut |= {(away.name, name), (name, away.name)}
        until_done(
            cluster,
            lambda leader, name=name: leader.add_server(name, name, name, nobody_waits),  # type: ignore[misc]
            lambda leader, name=name: name in leader.voters,  # type: ignore[misc]
        )
    for name in others:
        if name not in kept:
            until_done(
                cluster,
                lambda leader, name=name: leader.remove_server(name, nobody_waits),  # type: ignore[misc]
                lambda leader, name=name: name not in (*leader.peers, leader.own.id),  # type: ignore[misc]
            )
            cluster.servers[name].crash()


def away_while_others_changed(*, size: int, stays: bool) -> tuple[Cluster, Server]:
    """A member that missed the coming of n1, which leads, and n2; `stays`: those whom it knows are members still."""
    cluster = quiet_cluster(size=size)
    write(cluster, 3)
    away = next(server for server in cluster.servers.values() if server is not leader_of(cluster))
    replaced(cluster, away, kept=tuple(cluster.servers) if stays else (away.name,))
    run_until(cluster, lambda: leader_of(cluster) is not None)
    until_done(
        cluster,
        lambda leader: leader.transfer("n1", nobody_waits),
        lambda leader: bool(leader.own.id == "n1"),
    )
    assert not engine_of(away).knows("n1")
    return cluster, away


@pytest.mark.parametrize("stays", [True, False])
def test_a_member_that_was_away_is_led_by_who_is_vouched_for(stays: bool) -> None:
    cluster, away = away_while_others_changed(size=4 if stays else 3, stays=stays)
    distrusting(cluster)
    cluster.network.cut = set()
    run_for(cluster, 3.0)
    assert engine_of(away).leader is None and engine_of(away).admission.refused, "nobody it knows vouches"
    engine_of(away).admission.is_vouched = cluster.servers.__contains__
    write(cluster, 2)
    run_until(cluster, lambda: applied(away) == applied(cluster.servers["n1"]))
    assert engine_of(away).knows("n1")


@pytest.mark.parametrize("stays", [True, False])
def test_a_member_that_was_away_is_led_by_who_has_a_newer_log_where_nobody_can_prove_anything(stays: bool) -> None:
    cluster, away = away_while_others_changed(size=4 if stays else 3, stays=stays)
    distrusting(cluster, asks_for_proof=False)
    cluster.network.cut = set()
    write(cluster, 2)
    run_until(cluster, lambda: applied(away) == applied(cluster.servers["n1"]))
    assert engine_of(away).knows("n1")


def test_a_member_that_was_away_votes_for_who_has_a_newer_log_where_nobody_can_prove_anything() -> None:
    """Of its configuration nobody is left, and of the present one only two servers of three live: it and n1."""
    cluster, away = away_while_others_changed(size=3, stays=False)
    distrusting(cluster, asks_for_proof=False)
    cluster.servers["n2"].crash()
    run_for(cluster, 2.0)
    assert leader_of(cluster) is None
    cluster.network.cut = set()
    run_until(cluster, lambda: leader_of(cluster) is cluster.servers["n1"])
    write(cluster, 2)
    run_until(cluster, lambda: applied(away) == applied(cluster.servers["n1"]))
    assert engine_of(away).knows("n1")


class Still:
    """A member at rest."""

    term, is_member, is_empty = 5, True, False

    def knows(self, server_id: str) -> bool:
        return server_id == "member"

    def hears_a_leader(self) -> bool:
        return True

    def is_led_by(self, _server_id: str) -> bool:
        return False

    def has_long_been_leaderless(self) -> bool:
        return False

    @property
    def log_end(self) -> tuple[int, int]:
        return 5, 9


def test_a_vouched_stranger_disturbs_nobody_who_hears_a_leader() -> None:
    admission = Admission(Still(), lambda: 0.0)
    admission.is_vouched = lambda _server_id: True
    for message in (
        messages.Heartbeat(b"", 6, 1),
        messages.Heartbeat(b"", 5, 1),
        messages.VoteRequest(b"", 6, 1, 9, 9),
    ):
        assert admission.reason_to_refuse("stranger", message)
        assert not admission.reason_to_refuse("member", message)
    assert not admission.reason_to_refuse("stranger", messages.Heartbeat(b"", 4, 1)), "it is told the newer term"


def test_what_is_kept_of_strangers_is_bounded() -> None:
    admission = Admission(Still(), lambda: 0.0)
    for number in range(10 * SENDERS_MAX):
        admission.refuse(f"stranger-{number}", messages.Heartbeat(b"", 6, 1), "")
    assert len(admission._told) <= SENDERS_MAX and admission.refused == 10 * SENDERS_MAX
