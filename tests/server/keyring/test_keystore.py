"""Keys on disk, and what they encrypt."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yurt.fsm.errors import YurtError
from yurt.fsm.structs.variable import Variable
from yurt.server.keyring.keystore import Kept, Keystore, NoKey, make_key

KEY = Kept("k", b"x" * 32, b"not used here")


def test_keys_are_the_owners_alone_and_outlive_the_process(tmp_path: Path) -> None:
    first = Keystore(tmp_path / "keys")
    made = make_key("k")
    first.put(made)
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert [one.stat().st_mode & 0o777 for one in (tmp_path / "keys").iterdir()] == [0o600]
    again = Keystore(tmp_path / "keys")
    assert again.has("k") and again.kept("k") == made
    again.put(make_key("k"))
    assert Keystore(tmp_path / "keys").kept("k") == made, "a key is never overwritten"
    again.remove("k")
    assert not again.has("k") and not Keystore(tmp_path / "keys").has("k")


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"key_id":"other","material":"AAAA"}', b'{"key_id":"k","material":"AAAA"}']
)
def test_a_broken_file_is_no_key(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "k.key.json").write_bytes(content)
    with pytest.raises(NoKey):
        Keystore(tmp_path).kept("k")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=4))
def test_what_is_encrypted_comes_back(tmp_path: Path, items: dict[str, str]) -> None:
    store = Keystore(tmp_path, sync=False)
    store.put(KEY)
    data = store.encrypt("k", "default", "a/b", items)
    assert store.decrypt(Variable(namespace="default", path="a/b", key_id="k", data=data)) == items
    assert data != store.encrypt("k", "default", "a/b", items), "each time with another nonce"


def test_items_are_bound_to_their_place(tmp_path: Path) -> None:
    store = Keystore(tmp_path, sync=False)
    store.put(KEY)
    data = store.encrypt("k", "default", "a", {"secret": "1"})
    moved = [
        Variable(namespace="default", path="b", key_id="k", data=data),
        Variable(namespace="other", path="a", key_id="k", data=data),
        Variable(namespace="default", path="a", key_id="k", data=data[:-1] + bytes((data[-1] ^ 1,))),
    ]
    for one in moved:
        with pytest.raises(YurtError, match="damaged"):
            store.decrypt(one)
