"""Key-encryption keys: where they come from, what they wrap, and which mistakes are told."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yurt.fsm.structs.base import replace
from yurt.server.keyring.encryption import BadKeyEncryptionKey, CannotUnwrap, FileKeeper, Keeper, id_of
from yurt.server.keyring.keystore import Keystore, NoKey, make_key

OLD, NEW = b"o" * 32, b"n" * 32


def write(path: Path, material: bytes) -> str:
    """A file of a key; its source."""
    path.write_bytes(base64.b64encode(material) + b"\n")
    path.chmod(0o600)
    return f"file:{path}"


def test_the_first_configured_key_wraps_and_all_unwrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEK", base64.b64encode(OLD).decode())
    before: Keeper = FileKeeper(tmp_path, ["env:KEK"])
    wrapped = before.wrap(before.preferred, "k", b"plain")
    assert b"plain" not in wrapped.data and wrapped.kek_id == id_of(OLD)
    keeper = FileKeeper(tmp_path, [write(tmp_path / "new", NEW), "env:KEK"])
    assert keeper.preferred == id_of(NEW) and keeper.accepted == (id_of(NEW), id_of(OLD))
    assert keeper.unwrap(wrapped) == b"plain"
    keeper.reload([f"file:{tmp_path / 'new'}"])
    with pytest.raises(CannotUnwrap, match=id_of(OLD)):
        keeper.unwrap(wrapped)


@given(st.binary(max_size=50), st.integers(0, 200))
def test_a_wrapped_key_is_bound_to_its_id_and_whole(plain: bytes, at: int) -> None:
    keeper = FileKeeper(Path("/nowhere"))
    keeper._generated[id_of(NEW)] = NEW
    keeper._generated[id_of(OLD)] = OLD
    wrapped = keeper.wrap(id_of(NEW), "k", plain)
    assert keeper.unwrap(wrapped) == plain
    at %= len(wrapped.data)
    changed = wrapped.data[:at] + bytes((wrapped.data[at] ^ 1,)) + wrapped.data[at + 1 :]
    for other in (
        replace(wrapped, data=changed), replace(wrapped, data=wrapped.data[:at]), replace(wrapped, key_id="l"),
        replace(wrapped, kek_id=id_of(OLD)),
    ):  # fmt: skip
        with pytest.raises(CannotUnwrap):
            keeper.unwrap(other)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("file:relative", "no source of a key"), ("/etc/kek", "no source of a key"), ("env:", "no source of a key"),
        ("env:NOT_SET_ANYWHERE", "is not set"), ("file:/nowhere/kek", "cannot read /nowhere/kek: No such file"),
    ],
)  # fmt: skip
def test_a_source_that_cannot_be_used_is_told_and_changes_nothing(tmp_path: Path, source: str, text: str) -> None:
    keeper = FileKeeper(tmp_path, [write(tmp_path / "kek", NEW)])
    with pytest.raises(BadKeyEncryptionKey, match=text):
        keeper.reload([source])
    assert keeper.preferred == id_of(NEW)


@pytest.mark.parametrize("content", [b"", b"short", base64.b64encode(b"x" * 31), b"\xff" * 44, b"=" * 44])
def test_what_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "kek").write_bytes(content)
    with pytest.raises(BadKeyEncryptionKey, match="openssl rand -base64 32"):
        FileKeeper(tmp_path, [f"file:{tmp_path / 'kek'}"])


def test_a_key_that_the_cluster_made_is_the_owners_alone_and_found_again(tmp_path: Path) -> None:
    keeper = FileKeeper(tmp_path / "keystore")
    kek_id = keeper.keep(keeper.make())
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "keystore").iterdir()] == [0o600]
    again = FileKeeper(tmp_path / "keystore", [write(tmp_path / "kek", NEW)])
    assert again.accepted == (id_of(NEW), kek_id) and again.generated == (kek_id,)
    assert again.generated_key(kek_id) == keeper.generated_key(kek_id) != b""
    assert again.generated_key(id_of(NEW)) == b"", "configured keys are not handed out"
    assert again.keep(b"too short") not in again.accepted


def test_root_keys_come_from_the_state_the_copy_or_an_open_file(tmp_path: Path) -> None:
    keeper = FileKeeper(tmp_path)
    kek_id = keeper.keep(NEW)
    made = make_key("k")
    Keystore(tmp_path).put(made)
    store = Keystore(tmp_path, keeper)
    wrapped = store.wrapped(kek_id, "k")
    store.keep_copy(wrapped)
    assert not list(tmp_path.glob("*.key.json")), "no open file is left"
    assert Keystore(tmp_path, keeper).kept("k") == made, "from the copy"
    assert Keystore(tmp_path / "empty", keeper, lambda _key_id: wrapped).kept("k") == made, "from the state"
    with pytest.raises(NoKey):
        Keystore(tmp_path, FileKeeper(tmp_path / "empty")).kept("k")
    other = FileKeeper(tmp_path / "empty")
    Keystore(tmp_path / "empty").put(made)
    Keystore(tmp_path / "empty", other).keep_copy(wrapped)
    assert Keystore(tmp_path / "empty", other).kept("k") == made, "what cannot be unwrapped replaces no open file"
    store.remove("k")
    assert not Keystore(tmp_path, keeper).has("k")
