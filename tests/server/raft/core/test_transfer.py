"""A follower whose entries are gone gets a snapshot: in a window, resumed after losses, installed in one step."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.server.raft.servers import applied, leader_of, quiet_cluster, reopened, run_for, run_until, write
from yurt.server.raft.core import messages
from yurt.server.raft.core.messages import GO_ON, INSTALLED, SnapshotAnswer, SnapshotBegin, SnapshotChunk
from yurt.server.raft.errors import Corrupt
from yurt.server.raft.storage.snapshots import SnapshotReceiver
from yurt.server.testing.simulation.cluster import Cluster
from yurt.server.testing.simulation.world import Server
from yurt.server.testing.virtual.disk import Crash


def behind(seed: int = 1, commands: int = 90) -> tuple[Cluster, Server, Server]:
    """A cluster, its leader, and a follower that is down and needs a snapshot."""
    cluster = quiet_cluster(seed)
    leader = leader_of(cluster)
    assert leader is not None
    follower = next(one for one in cluster.servers.values() if one is not leader)
    write(cluster, 5)
    run_for(cluster, 0.3)
    follower.crash()
    write(cluster, commands)
    run_for(cluster, 0.2)
    assert leader.engine is not None and leader.engine.log.first_index > 10
    return cluster, leader, follower


def watch(cluster: Cluster, see: Callable[[str, str, messages.Message], bool]) -> None:
    """Look at every message; one for which `see` is false is lost."""
    send = cluster.network.send

    def through(sender: Server, receiver: str, data: bytes) -> None:
        if see(sender.name, receiver, messages.decode(data)):
            send(sender, receiver, data)

    cluster.network.send = through  # type: ignore[method-assign]


def caught_up(leader: Server, follower: Server) -> bool:
    return applied(follower) == applied(leader) and len(applied(leader)) > 50


def test_it_gets_the_state_and_goes_on() -> None:
    cluster, leader, follower = behind()
    window: list[int] = []
    acked = 0

    def see(sender: str, receiver: str, message: messages.Message) -> bool:
        nonlocal acked
        if isinstance(message, SnapshotChunk):
            window.append(message.offset + len(message.data) - acked)
        elif isinstance(message, SnapshotAnswer) and message.state == GO_ON:
            acked = max(acked, message.offset)
        return True

    watch(cluster, see)
    follower.start()
    run_until(cluster, lambda: caught_up(leader, follower))
    assert len(window) > 5
    assert max(window) <= 300 + 100, "a window of three chunks"
    assert follower.engine is not None and leader.engine is not None
    assert follower.engine.snapshot.index > 50
    run_for(cluster, 0.1)
    assert not leader.engine.outgoing, "nothing is pinned any more"
    write(cluster, 5)
    run_until(cluster, lambda: caught_up(leader, follower))


@pytest.mark.parametrize("lost", range(1, 17, 2))
def test_any_message_may_be_lost(lost: int) -> None:
    cluster, leader, follower = behind()
    count = 0

    def see(sender: str, receiver: str, message: messages.Message) -> bool:
        nonlocal count
        if isinstance(message, SnapshotBegin | SnapshotChunk | SnapshotAnswer):
            count += 1
            return count not in (lost, lost + 1)
        return True

    watch(cluster, see)
    follower.start()
    run_until(cluster, lambda: caught_up(leader, follower))
    assert count > lost


def test_a_broken_connection_resumes_where_it_was() -> None:
    cluster, leader, follower = behind()
    offsets: list[int] = []
    broken = False

    def see(sender: str, receiver: str, message: messages.Message) -> bool:
        nonlocal broken
        if isinstance(message, SnapshotChunk):
            offsets.append(message.offset)
            if len(offsets) == 8 and not broken:
                broken = True
                cluster.world.later(0.05, lambda: cluster.network.disconnected(follower))
                cluster.world.later(0.1, lambda: cluster.network.connected(follower))
        return not (broken and len(offsets) == 8)

    watch(cluster, see)
    follower.start()
    run_until(cluster, lambda: caught_up(leader, follower))
    assert broken and offsets.count(0) == 1, "it does not begin anew"


def test_another_leader_begins_anew() -> None:
    cluster, leader, follower = behind(seed=5)
    begins: list[tuple[str, int]] = []
    chunks = 0

    def see(sender: str, receiver: str, message: messages.Message) -> bool:
        nonlocal chunks
        if isinstance(message, SnapshotBegin):
            begins.append((sender, message.term))
        if isinstance(message, SnapshotChunk):
            chunks += 1
            if chunks == 4:
                cluster.world.later(0.0, leader.crash)
        return True

    watch(cluster, see)
    follower.start()
    run_until(cluster, lambda: chunks >= 4)
    run_for(cluster, 0.05)
    run_until(cluster, lambda: leader_of(cluster) is not None)
    other = leader_of(cluster)
    assert other is not None and other is not leader
    run_until(cluster, lambda: caught_up(other, follower))
    assert {sender for sender, _ in begins} == {leader.name, other.name}


def test_a_snapshot_that_arrives_damaged_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, leader, follower = behind()
    check, failures = SnapshotReceiver.check, []

    def damaged(self: SnapshotReceiver) -> object:
        if not failures:
            failures.append(1)
            self.abandon()
            raise Corrupt("damaged on the way")
        return check(self)

    monkeypatch.setattr(SnapshotReceiver, "check", damaged)
    follower.start()
    run_until(cluster, lambda: failures)
    assert len(applied(follower)) < 10, "the old state stays"
    run_until(cluster, lambda: caught_up(leader, follower))


def test_a_needless_snapshot_is_answered_and_changes_nothing() -> None:
    cluster = quiet_cluster()
    leader = leader_of(cluster)
    assert leader is not None and leader.engine is not None
    follower = next(one for one in cluster.servers.values() if one is not leader)
    write(cluster, 30)
    run_for(cluster, 0.3)
    engine = follower.engine
    assert engine is not None
    state, last = list(follower.machine.applied), engine.log.last_index
    for index in (1, engine.commit_index, engine.log.last_index):
        answers: list[SnapshotAnswer] = []
        engine.send_message = lambda peer, message, answers=answers: answers.append(message)  # type: ignore[method-assign, misc]
        term = int(engine.log.term_at(index) or 1)
        begin = SnapshotBegin(engine.cluster, engine.term, 1, index, term, 10, 0)
        engine.on_snapshot_begin(leader.engine.own, begin)
        assert [answer.state for answer in answers] == [INSTALLED]
        assert (follower.machine.applied, engine.log.last_index) == (state, last), "the longer log stays"


def test_a_local_snapshot_in_flight_is_given_up_by_an_install() -> None:
    cluster, leader, follower = behind()
    follower.start()
    engine = follower.engine
    assert engine is not None
    run_until(cluster, lambda: engine.last_applied > 2)
    engine.take_snapshot()
    attempt = engine._attempt
    assert attempt is not None
    run_until(cluster, lambda: engine.incoming is not None or attempt.abandoned)
    run_until(cluster, lambda: caught_up(leader, follower))
    newest = engine.storage.snapshots.newest()
    assert newest is not None and newest.index == engine.snapshot.index > attempt.snapshot.index


def cuts(limit: int) -> Iterator[tuple[int, Cluster, Server, Server, int]]:
    """Stop the follower's disk at every call of an installation: (call, cluster, leader, follower, index proved)."""
    for call in range(1, limit):
        cluster, leader, follower = behind(seed=2, commands=45)
        proved = 0

        def see(sender: str, receiver: str, message: messages.Message, name: str = follower.name) -> bool:
            nonlocal proved
            if sender == name and isinstance(message, messages.AppendAnswer) and message.matches:
                proved = max(proved, message.index)
            if sender == name and isinstance(message, SnapshotAnswer) and message.state == INSTALLED:
                proved = max(proved, message.index)
            return True

        watch(cluster, see)
        follower.disk.sector = 4096
        follower.start()
        follower.disk.crash_at = follower.disk.calls + call
        try:
            run_until(cluster, lambda f=follower, le=leader: len(applied(f)) == len(applied(le)))  # type: ignore[misc]
        except Crash:
            yield call, cluster, leader, follower, proved
        else:
            return


def test_every_crash_in_an_installation_leaves_what_was_proved() -> None:
    """As ALICE does: every call of the disk, every state that a power cut there may leave."""
    states, calls = 0, 0
    installed = set()
    for _call, cluster, leader, follower, proved in cuts(120):
        calls += 1
        truth = applied(leader)
        for after in follower.disk.crash_states():
            states += 1
            engine, machine = reopened(after, cluster, follower.name)
            assert engine.log.last_index >= proved
            assert machine.applied == truth[: len(machine.applied)]
            assert engine.commit_index >= engine.snapshot.index
            installed.add(engine.snapshot.index > 20)
    assert calls > 15 and states > 100 and installed == {True, False}, (calls, states, installed)
