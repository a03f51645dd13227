"""Survivors of a lost majority agree with each other and lose nothing that one of them has, also after power cuts."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.server.raft.servers import applied, leader_of, quiet_cluster, run_for, run_until, write
from yurt.server.raft.core.applying import pack_batch
from yurt.server.raft.core.configuration import CHANGE, pack_change
from yurt.server.raft.core.messages import NUMBER_MAX
from yurt.server.raft.errors import Corrupt, DirectoryRefused
from yurt.server.raft.storage.disk import RealDisk
from yurt.server.raft.storage.hard_state import HardState, HardStateFile
from yurt.server.raft.storage.peers_file import check_servers, read_peers
from yurt.server.raft.storage.recover import TermReset, carry_out, plan, recover_if_asked, reset_term
from yurt.server.testing.simulation.cluster import Cluster
from yurt.server.testing.simulation.invariants import Invariants
from yurt.server.testing.simulation.world import Recorder, Server
from yurt.server.testing.virtual.disk import Crash, SimulatedDisk


class Rooted:
    """A server's disk with its files under `raft/`, as a real server has them."""

    PLACES = (("raft/log", "log"), ("raft/snapshots", "snap"), ("raft", "hard"))

    def __init__(self, disk: SimulatedDisk) -> None:
        self._disk = disk

    def _path(self, path: str) -> str:
        for long, short in self.PLACES:
            if path == long or path.startswith(f"{long}/"):
                return short + path[len(long) :]
        return path

    def __getattr__(self, name: str) -> Any:
        call: Callable[..., Any] = getattr(self._disk, name)
        if not callable(call):
            return call
        return lambda path, *rest: call(self._path(path), *(self._path(r) if isinstance(r, str) else r for r in rest))


def recover(cluster: Cluster, server: Server, names: list[str]) -> Any:
    servers = [[name, name, name] for name in names]
    return carry_out(
        Rooted(server.disk), "raft", servers, Recorder(), cluster.bootstrap, segment_bytes=cluster.segment_bytes
    )  # type: ignore[arg-type]


def lost_majority(size: int = 5, seed: int = 3, survivors: int = 2, commands: int = 70) -> tuple[Cluster, list[Server]]:
    """A cluster that stops while writes are on their way, and those of it that are left."""
    cluster = quiet_cluster(seed, size)
    write(cluster, commands)
    leader = leader_of(cluster)
    assert leader is not None
    behind = next(one for one in cluster.servers.values() if one is not leader)
    cluster.network.cut = {(leader.name, behind.name)}
    write(cluster, 3)
    for _ in range(5):
        cluster.clients.write()
    run_for(cluster, 0.002)
    for server in cluster.servers.values():
        server.crash()
    cluster.network.cut = set()
    cluster.invariants = Invariants(cluster)  # what only the lost ones have is lost
    return cluster, [behind, *(one for one in cluster.servers.values() if one is not behind)][:survivors]


@pytest.mark.parametrize("survivors", [1, 2])
@pytest.mark.parametrize("commands", [3, 70])
def test_survivors_agree_and_keep_what_they_have(survivors: int, commands: int) -> None:
    cluster, left = lost_majority(survivors=survivors, commands=commands)
    names = [one.name for one in left]
    had = max(
        (plan(Rooted(one.disk), "raft", [], cluster.bootstrap).found for one in left),  # type: ignore[arg-type]
        key=lambda found: (found.last_term, found.last_index),
    )
    for server in left:
        recover(cluster, server, names)
        recover(cluster, server, names)  # again: nothing more happens
    for server in left:
        server.start()
    run_until(cluster, lambda: leader_of(cluster) is not None)
    leader = leader_of(cluster)
    assert leader is not None and leader.engine is not None
    assert {one[0] for one in leader.engine.configuration} == set(names)
    assert leader.engine.log.last_index > had.last_index
    write(cluster, 5)
    run_until(cluster, lambda: all(applied(one) == applied(leader) for one in left))
    missing = [command for command in cluster.clients.acknowledged if command not in applied(leader)]
    assert len(missing) <= 8, "only what no survivor has"
    for server in left:
        server.crash()
        server.start()
    run_until(cluster, lambda: leader_of(cluster) is not None)
    write(cluster, 2)


def test_a_change_of_the_lost_configuration_does_nothing_any_more() -> None:
    cluster, left = lost_majority(survivors=1)
    server = left[0]
    server.start()
    engine = server.engine
    assert engine is not None
    index = engine.log.last_index + 1
    change = pack_change([*engine.configuration, ["x", "x", "x"]], engine.configurations.latest.index)
    batch = pack_batch([b"after the change"])
    engine.append_entries([(change, index, engine.term), (batch, index + 1, engine.term)])
    run_for(cluster, 0.1)
    server.crash()
    done = recover(cluster, server, [server.name])
    assert done.changes_dropped == 1
    server.start()
    run_until(cluster, lambda: b"after the change" in applied(server))
    engine = server.engine
    assert engine is not None
    assert engine.configuration == [[server.name] * 3]
    kept = range(engine.log.first_index, engine.log.last_index + 1)
    assert not any(engine.log.at(one)[0][:1] == CHANGE for one in kept)


def test_every_power_cut_leaves_the_old_or_the_new_and_can_be_repeated() -> None:
    cluster, left = lost_majority(survivors=1, commands=30)
    server = left[0]
    files = server.disk.durable()
    reference = SimulatedDisk.holding(files, sector=4096)
    server.disk = reference
    recover(cluster, server, [server.name])
    server.start()
    run_until(cluster, lambda: leader_of(cluster) is server)
    wanted = list(applied(server))
    states = 0
    for call in range(1, 200):
        disk = SimulatedDisk.holding(files, sector=4096)
        disk.crash_at = call
        server.crash()
        server.disk = disk
        try:
            recover(cluster, server, [server.name])
            break
        except Crash:
            pass
        for after in disk.crash_states():
            states += 1
            again = SimulatedDisk.holding(after.durable(), sector=4096)
            server.disk = again
            recover(cluster, server, [server.name])
            server.start()
            assert server.engine is not None
            assert server.engine.configuration == [[server.name] * 3]
            run_until(cluster, lambda: leader_of(cluster) is server, check=False)
            assert applied(server)[: len(wanted)] == wanted
            server.crash()
    assert call > 12 and states > 25, (call, states)


def test_a_damaged_or_empty_server_is_refused_and_left_alone() -> None:
    cluster, left = lost_majority(survivors=1)
    server = left[0]
    empty: Any = Rooted(SimulatedDisk())
    with pytest.raises(Corrupt, match="nothing to recover"):
        carry_out(empty, "raft", [["a", "a:1", "a"]], Recorder(), cluster.bootstrap)
    name = next(path for path in sorted(server.disk.seen) if path.endswith(".log"))
    server.disk.open(name).write(30, b"\xff\xff")
    files = server.disk.durable()
    with pytest.raises(Corrupt, match="a damaged server cannot be recovered"):
        recover(cluster, server, [server.name])
    assert server.disk.durable() == files


def test_a_peers_file_is_read_as_documented() -> None:
    text = json.dumps([{"id": "b", "address": "h:2"}, {"id": "a", "address": "h:1", "non_voter": True}]).encode()
    assert read_peers(text, [["b", "old:2", "name-b"]]) == [["a", "h:1", "a", "learner"], ["b", "h:2", "name-b"]]


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"{}x", b'["a"]', b'[{"id": "a"}]', b'[{"id": 1, "address": "h:1"}]', b'[{"id": "a", "address": "h"}]'],
)
def test_a_peers_file_that_says_nothing_is_refused(text: bytes) -> None:
    with pytest.raises(DirectoryRefused):
        read_peers(text, [])


def test_a_configuration_needs_a_voter_and_no_twins() -> None:
    for servers in (
        [],
        [["a", "h:1", "a", "learner"]],
        [["a", "h:1", "a"], ["a", "h:2", "a"]],
        [["a", "h:1", "a"], ["b", "h:1", "b"]],
    ):
        with pytest.raises(DirectoryRefused):
            check_servers(servers)


def test_without_the_note_a_peers_file_is_removed_unread(tmp_path: Path) -> None:
    (tmp_path / "peers.json").write_text("anything")
    assert recover_if_asked(RealDisk(), str(tmp_path), []) is None
    assert [path.name for path in tmp_path.iterdir()] == ["peers.info"]
    (tmp_path / "peers.json").write_text("anything")
    with pytest.raises((DirectoryRefused, Corrupt)):
        recover_if_asked(RealDisk(), str(tmp_path), [["a", "h:1", "a"]])
    assert (tmp_path / "peers.json").exists(), "a start that is refused leaves it"


def poison(cluster: Cluster, term: int) -> None:
    """Stop all servers, in a term that somebody has sent."""
    for server in cluster.servers.values():
        server.crash()
        hard_state = HardStateFile(server.disk, "hard")
        hard_state.load()
        hard_state.save(HardState(term, None))


def reset(cluster: Cluster, server: Server, term: int, *, dry_run: bool = False) -> TermReset:
    return reset_term(Rooted(server.disk), "raft", term, cluster.bootstrap, dry_run=dry_run)  # type: ignore[arg-type]


def test_s2_a_cluster_whose_terms_are_used_up_goes_on_after_a_reset() -> None:
    cluster = quiet_cluster()
    write(cluster, 30)
    had = dict(cluster.clients.acknowledged)
    poison(cluster, NUMBER_MAX - 1)
    cluster.invariants.leaders.clear()  # terms come again, by other leaders
    cluster.invariants._began.clear()
    for server in cluster.servers.values():
        files = server.disk.durable()
        assert reset(cluster, server, 50, dry_run=True).before == NUMBER_MAX - 1
        assert server.disk.durable() == files
        reset(cluster, server, 50)
        assert HardStateFile(server.disk, "hard").load() == HardState(50, None)
    for server in cluster.servers.values():
        server.start()
    run_until(cluster, lambda: leader_of(cluster) is not None)
    leader = leader_of(cluster)
    assert leader is not None and leader.engine is not None and 50 < leader.engine.term < 60
    write(cluster, 5)
    run_until(cluster, lambda: all(set(had) <= set(applied(one)) for one in cluster.servers.values()))


def test_s2_a_term_that_names_an_entry_already_is_refused_and_nothing_changes() -> None:
    cluster = quiet_cluster()
    write(cluster, 3)
    poison(cluster, NUMBER_MAX - 1)
    server = next(iter(cluster.servers.values()))
    last = reset(cluster, server, 50, dry_run=True).found.last_term
    files = server.disk.durable()
    for term in (-1, 0, last, last + (1 << 32) + 1, NUMBER_MAX):
        with pytest.raises(DirectoryRefused, match="greater than the last term of every server"):
            reset(cluster, server, term)
    empty: Any = Rooted(SimulatedDisk())
    with pytest.raises(Corrupt, match="empty it instead"):
        reset_term(empty, "raft", 50, cluster.bootstrap)
    assert server.disk.durable() == files


ATTACKS: dict[str, bytes] = {
    "an unknown key": b'[{"id": "a", "address": "h:1", "voter": true}]',
    "a nested list": b"[" * 20_000,
    "a number as ID": b'[{"id": 7, "address": "h:1"}]',
    "a text as non_voter": b'[{"id": "a", "address": "h:1", "non_voter": "false"}]',
    "a null": b"null",
    "an object": b'{"a": "h:1"}',
    "no UTF-8": b'[{"id": "\xff\xfe", "address": "h:1"}]',
    "half a surrogate": b'[{"id": "\\ud800", "address": "h:1"}]',
    "an empty ID": b'[{"id": "", "address": "h:1"}]',
    "a long ID": b'[{"id": "' + b"a" * 5000 + b'", "address": "h:1"}]',
    "a line feed in an ID": b'[{"id": "a\\nb", "address": "h:1"}]',
    "no port": b'[{"id": "a", "address": "h"}]',
    "no host": b'[{"id": "a", "address": ":1"}]',
    "port 0": b'[{"id": "a", "address": "h:0"}]',
    "port 65536": b'[{"id": "a", "address": "h:65536"}]',
    "a port of 5,000 nines": b'[{"id": "a", "address": "h:' + b"9" * 5000 + b'"}]',
    "a port that is no ASCII": '[{"id": "a", "address": "h:²"}]'.encode(),
    "an ID twice": b'[{"id": "a", "address": "h:1"}, {"id": "a", "address": "h:2"}]',
    "an address twice": b'[{"id": "a", "address": "h:1"}, {"id": "b", "address": "h:1"}]',
    "no voter": b'[{"id": "a", "address": "h:1", "non_voter": true}]',
    "nobody": b"[]",
    "a crowd": json.dumps([{"id": f"s{n}", "address": f"h:{n + 1}"} for n in range(65)]).encode(),
    "too many bytes": b'[{"id": "a", "address": "h:1"}]' + b" " * (64 << 10),
}


def beside(directory: Path, text: bytes = b'[{"id": "a", "address": "h:1"}]') -> Path:
    """A peers.json that asks for attention, with its note."""
    (directory / "peers.info").write_text("")
    peers = directory / "peers.json"
    peers.write_bytes(text)
    peers.chmod(0o600)
    return peers


@pytest.mark.parametrize("text", ATTACKS.values(), ids=ATTACKS)
def test_a_peers_file_of_an_attacker_changes_nothing(text: bytes, tmp_path: Path) -> None:
    peers = beside(tmp_path, text)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(DirectoryRefused) as refused:
        recover_if_asked(RealDisk(), str(tmp_path), [["a", "h:1", "a"]])
    assert str(refused.value) and len(str(refused.value)) < 500
    assert sorted(path.name for path in tmp_path.iterdir()) == before and peers.read_bytes() == text


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_peers_file_that_others_may_write_is_refused(mode: int, tmp_path: Path) -> None:
    beside(tmp_path).chmod(mode)
    with pytest.raises(DirectoryRefused, match="may have been written by others"):
        recover_if_asked(RealDisk(), str(tmp_path), [["a", "h:1", "a"]])


@pytest.mark.parametrize("kind", ["link", "dangling link", "pipe", "directory"])
def test_a_peers_file_that_is_no_file_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    peers = beside(tmp_path)
    peers.rename(tmp_path / "elsewhere")
    if kind == "pipe":
        os.mkfifo(peers, 0o600)
    elif kind == "directory":
        peers.mkdir()
    else:
        peers.symlink_to(tmp_path / ("elsewhere" if kind == "link" else "nowhere"))
    with pytest.raises(DirectoryRefused, match="regular file"):
        recover_if_asked(RealDisk(), str(tmp_path), [["a", "h:1", "a"]])
