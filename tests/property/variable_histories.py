"""Random commands of variables and root keys."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from yurt.fsm import commands as c
from yurt.fsm import commands_variables as v
from yurt.fsm.structs.variable import RootKey, Variable, VariableLock, WrappedKey

times = st.integers(0, 10**10)
paths = st.sampled_from(["a", "a/b"])
keys = st.sampled_from(["k1", "k2"])
locks = st.builds(VariableLock, id=st.sampled_from(["l1", "l1", "l2"]), ttl=st.just(10), lock_delay=st.integers(0, 9))
spaces = st.sampled_from(["default", "team"])
casses = st.one_of(st.none(), st.none(), st.integers(0, 6))
variables = st.builds(Variable, namespace=spaces, path=paths, key_id=keys, data=st.binary(max_size=3))
wrapped_keys = st.builds(
    WrappedKey,
    key_id=keys,
    kek_id=st.sampled_from(["e1", "e2"]),
    data=st.binary(max_size=3),
    create_index=st.integers(0, 9),
)
lock_ids = st.sampled_from(["", "l1", "l1", "l2"])
variable_commands: dict[type[c.Command], st.SearchStrategy[Any]] = {
    v.UpsertVariable: st.builds(v.UpsertVariable, now_ns=times, variable=variables, cas=casses, lock_id=lock_ids),
    v.DeleteVariable: st.builds(
        v.DeleteVariable, now_ns=times, namespace=spaces, path=paths, cas=casses, lock_id=lock_ids
    ),
    v.LockVariable: st.builds(
        v.LockVariable, now_ns=times, with_items=st.booleans(),
        variable=st.builds(Variable, namespace=st.just("default"), path=st.just("a"), key_id=keys, lock=locks),
    ),
    v.UnlockVariable: st.builds(
        v.UnlockVariable, now_ns=times, namespace=st.just("default"), path=st.just("a"), lock_id=st.just("l1"),
        expired=st.booleans(),
    ),
    v.UpsertRootKey: st.builds(
        v.UpsertRootKey, key=st.builds(RootKey, key_id=keys, state=st.sampled_from(["active", "inactive", "inactive"])),
        wrapped=st.none() | wrapped_keys,
    ),
    v.WrapRootKeys: st.builds(v.WrapRootKeys, keys=st.lists(wrapped_keys, max_size=3).map(tuple)),
    v.DeleteRootKey: st.builds(v.DeleteRootKey, key_id=keys, force=st.booleans()),
}  # fmt: skip
