"""Random commands of access control."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from yurt.fsm import commands as c
from yurt.fsm import commands_acl as a
from yurt.fsm.structs.acl import AclPolicy, AclRole, AclToken, OneTimeToken, PolicyLink

accessors = st.sampled_from(["t1", "t2", "t3"])
secrets = st.sampled_from(["s1", "s2", "s3", "s4"])
policies = st.sampled_from(["read", "write", "none"])
roles = st.sampled_from(["r1", "r1", "r2"])
times = st.integers(0, 10**10)

tokens = st.builds(
    AclToken, accessor_id=accessors, secret_id=secrets, name=st.text(max_size=2),
    type=st.sampled_from(["client", "management"]), policies=st.one_of(st.none(), st.tuples(policies)),
    role_ids=st.one_of(st.none(), st.tuples(roles)), is_global=st.booleans(), create_time_ns=times,
    expiration_time_ns=st.one_of(st.just(0), times),
)  # fmt: skip
acl_commands: dict[type[c.Command], st.SearchStrategy[Any]] = {
    a.UpsertPolicies: st.builds(
        a.UpsertPolicies, policies=st.lists(st.builds(AclPolicy, name=policies, rules=st.text(max_size=3)), max_size=2).map(tuple)
    ),
    a.DeletePolicies: st.builds(a.DeletePolicies, names=st.tuples(policies)),
    a.UpsertTokens: st.builds(a.UpsertTokens, now_ns=times, tokens=st.lists(tokens, max_size=2).map(tuple)),
    a.DeleteTokens: st.builds(a.DeleteTokens, now_ns=times, accessor_ids=st.tuples(accessors), expired=st.booleans()),
    a.BootstrapAcl: st.builds(a.BootstrapAcl, now_ns=times, token=tokens, reset_index=st.integers(0, 5)),
    a.UpsertRoles: st.builds(
        a.UpsertRoles,
        roles=st.tuples(st.builds(
            AclRole, id=roles, name=st.sampled_from(["a", "a", "b"]), policies=st.sampled_from([None, None, (PolicyLink(name="read"),)])
        )),
    ),
    a.DeleteRoles: st.builds(a.DeleteRoles, ids=st.just(("r1",))),
    a.UpsertOneTimeToken: st.builds(
        a.UpsertOneTimeToken,
        token=st.builds(OneTimeToken, one_time_secret_id=secrets, accessor_id=accessors, expires_at_ns=times),
    ),
    a.DeleteOneTimeTokens: st.builds(
        a.DeleteOneTimeTokens, now_ns=times, secret_ids=st.tuples(secrets), taken=st.booleans()
    ),
}  # fmt: skip
