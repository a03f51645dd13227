"""The contract with pysyncobj: the version, and the source of everything of it that is kept."""

from __future__ import annotations

import hashlib
import inspect
import random
from importlib.metadata import version

import pytest
from pysyncobj import SyncObj

from yurt.server.raft import engine, frame

PINNED = {
    "__init__": "09df12cd7fd7d727",
    "_applyCommand": "827f207d515b2d64",
    "_SyncObj__setState": "2c1f239f7bd79b39",
    "_SyncObj__onNodeConnected": "2655afb481b4c69b",
    "_SyncObj__onNodeDisconnected": "a81c0475ba2218cc",
    "_SyncObj__callErrCallback": "6037c14ef64c2763",
    "getStatus": "0d3d668f66239ee0",
    "doTick": "bef78c2ba06d784b",
    "_doDestroy": "8a6c9f892614a4b9",
    "destroy": "2d032c9fe266b3cd",
}


def source_hash(name: str) -> str:
    return hashlib.sha256(inspect.getsource(getattr(SyncObj, name)).encode()).hexdigest()[:16]


def test_the_library_is_the_pinned_one() -> None:
    assert version("pysyncobj") == frame.VERSION


def test_what_is_kept_has_not_changed() -> None:
    assert {name: source_hash(name) for name in frame.KEPT} == PINNED


def test_every_replaced_step_is_one_of_the_librarys() -> None:
    own = {name for cls in engine.Engine.__mro__ if cls.__module__.startswith("yurt") for name in vars(cls)}
    replaced = {name for name in own if name.startswith("_SyncObj__")}
    assert replaced and replaced <= set(vars(SyncObj))
    assert isinstance(engine.Engine, type) and issubclass(engine.Engine, SyncObj)


@pytest.mark.parametrize("name", ["transferLeadership", "setCodeVersion", "_SyncObj__sendAppendEntries"])
def test_the_librarys_own_protocol_never_runs(name: str) -> None:
    with pytest.raises(AssertionError, match="replaced"):
        getattr(engine.Engine, name)(object())


def test_peers_are_ordered_alike_in_every_process() -> None:
    peers = [frame.Peer(f"id{number}", "a") for number in range(20)]
    random.Random(1).shuffle(peers)
    assert [peer.id for peer in sorted(peers)] == sorted(f"id{number}" for number in range(20))
    assert hash(frame.Peer("x", "a")) == hash(frame.Peer("x", "b")) == 2363233923
