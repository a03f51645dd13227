"""Root keys and their wrapped forms in the state: what is stored, what goes, what versions before may see."""

from __future__ import annotations

import lzma
import tarfile
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fsm.apply.world import World
from tests.property.variable_histories import variable_commands
from yurt.fsm import commands as c
from yurt.fsm.commands_variables import DeleteRootKey, UpsertRootKey, UpsertVariable, WrapRootKeys
from yurt.fsm.machine import Machine
from yurt.fsm.store.schema import ROOT_KEYS, VARIABLES, WRAPPED_KEYS
from yurt.fsm.structs.variable import INACTIVE, RootKey, Variable, WrappedKey
from yurt.server.snapshot.archive import unpack

FIXTURE = Path(__file__).resolve().parents[2] / "fixtures/root_keys_in_files.tar.xz"
FIRST = WrappedKey(key_id="k", kek_id="e1", data=b"1")
SECOND = WrappedKey(key_id="k", kek_id="e2", data=b"2")


def header(machine: Machine) -> dict[str, Any]:
    """The first body of the state's snapshot."""
    unpacker = msgpack.Unpacker()
    unpacker.feed(b"".join(machine.write(machine.capture())))
    found: dict[str, Any] = msgpack.unpackb(next(unpacker)[1])
    return found


@pytest.mark.parametrize(
    ("command", "version"),
    [
        (UpsertRootKey(key=RootKey(key_id="k")), 4),
        (UpsertRootKey(key=RootKey(key_id="k"), wrapped=FIRST), 6),
        (WrapRootKeys(keys=(FIRST,)), 6),
        (DeleteRootKey(key_id="k"), 4),
    ],
)
def test_only_commands_with_wrapped_keys_need_the_new_version(command: c.Command, version: int) -> None:
    assert command.needs() == version == c.encode(command)[0]


def test_a_wrapped_form_is_stored_replaced_and_deleted_with_its_key() -> None:
    world = World()
    world.do(UpsertRootKey(key=RootKey(key_id="k"), wrapped=FIRST))
    view = world.machine.view()
    created = view.index
    (row,) = view.scan(WRAPPED_KEYS)
    assert (row.kek_id, row.data, row.create_index, row.modify_index) == ("e1", b"1", created, created)
    world.do(WrapRootKeys(keys=(SECOND, WrappedKey(key_id="unknown", kek_id="e2"))))
    (row,) = world.machine.view().scan(WRAPPED_KEYS)
    assert (row.kek_id, row.data, row.create_index, row.modify_index) == ("e2", b"2", created, created + 1)
    assert not world.do(WrapRootKeys(keys=(WrappedKey(key_id="unknown"),))).updated
    assert world.refused(DeleteRootKey(key_id="k")) == (500, "active root key cannot be deleted - call rotate first")
    world.do(UpsertRootKey(key=RootKey(key_id="k", state=INACTIVE)))
    assert world.machine.view().get(WRAPPED_KEYS, "k") == row, "a change of state leaves the wrapped form"
    world.do(UpsertVariable(variable=Variable(namespace="default", path="p", key_id="k")))
    assert world.refused(DeleteRootKey(key_id="k")) == (500, "root key in use, cannot delete")
    world.do(DeleteRootKey(key_id="k", force=True))
    assert world.machine.view().count(WRAPPED_KEYS) == world.machine.view().count(ROOT_KEYS) == 0


def test_versions_before_read_snapshots_and_digests_until_a_key_is_wrapped() -> None:
    world = World()
    world.do(UpsertRootKey(key=RootKey(key_id="k")))
    assert WRAPPED_KEYS.name not in {name for name, _, _ in header(world.machine)["tables"]}
    place = msgpack.packb([ROOT_KEYS.name, None])
    bare, following = world.machine.digest(place)
    assert following == msgpack.packb([VARIABLES.name, None]), "the new table has no slice of its own"
    world.do(WrapRootKeys(keys=(FIRST,)))
    first = world.machine.digest(place)[0]
    world.do(WrapRootKeys(keys=(SECOND,)))
    assert len({bare, first, world.machine.digest(place)[0]}) == 3
    assert [WRAPPED_KEYS.name, world.machine.index, 1] in header(world.machine)["tables"]
    other = Machine()
    other.restore(world.machine.write(world.machine.capture()))
    assert other.digest(place) == world.machine.digest(place)


@given(st.lists(st.one_of(*variable_commands.values()), max_size=20), st.integers(0, 20))
def test_every_wrapped_form_has_its_key_also_through_a_snapshot(history: list[c.Command], at: int) -> None:
    machine = Machine()
    for number, command in enumerate(history):
        machine.apply(c.encode(command))
        keys = {key.key_id for key in machine.view().scan(ROOT_KEYS)}
        assert {row.key_id for row in machine.view().scan(WRAPPED_KEYS)} <= keys
        if number == at:
            other = Machine()
            other.restore(machine.write(machine.capture()))
            assert list(other.view().scan(WRAPPED_KEYS)) == list(machine.view().scan(WRAPPED_KEYS))
            machine = other


def test_a_saved_snapshot_of_before_is_read() -> None:
    with lzma.open(FIXTURE) as packed, tarfile.open(fileobj=packed) as archive:
        saved = archive.extractfile("root_keys_in_files/saved.snap")
        assert saved is not None
        _, loaded = unpack(saved, Machine.load)
    machine = Machine()
    machine.swap(loaded)
    view = machine.view()
    assert (view.count(ROOT_KEYS), view.count(WRAPPED_KEYS), view.count(VARIABLES)) == (2, 0, 13)
