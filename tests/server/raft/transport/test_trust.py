"""What a server demands of the others, and since when."""

from __future__ import annotations

import pytest

from yurt.server.raft.transport.handshake import key_of
from yurt.server.raft.transport.trust import Trust

KEY = key_of("a secret of the cluster")
MEMBERS = ("s1", "s2", "s3")


def test_a_secret_is_required_when_every_member_has_proved_it() -> None:
    kept: list[str] = []
    trust = Trust((KEY,), keep=lambda: kept.append("kept"))
    assert trust.demand == "accepted"
    trust.noted("s2", KEY)
    assert not trust.may_be_required("s1", MEMBERS)
    trust.noted("s3", KEY)
    assert trust.may_be_required("s1", MEMBERS)
    trust.require()
    assert trust.demand == "required" and kept == ["kept"]
    assert not trust.may_be_required("s1", MEMBERS), "it is already"


def test_a_member_that_goes_back_to_the_version_before_takes_its_proof_back() -> None:
    trust = Trust((KEY,))
    for member in ("s2", "s3"):
        trust.noted(member, KEY)
    trust.noted("s2", None)
    assert not trust.may_be_required("s1", MEMBERS)


def test_without_a_secret_or_outside_the_configuration_nothing_is_required() -> None:
    assert not Trust().may_be_required("s1", ("s1",)) and Trust().demand == "none"
    assert not Trust((KEY,)).may_be_required("s1", ())
    assert not Trust((KEY,)).may_be_required("s9", ("s1",))
    assert Trust((KEY,)).may_be_required("s1", ("s1",)), "a server alone has no one to wait for"


def test_a_demand_that_cannot_be_kept_is_none() -> None:
    def full() -> None:
        raise OSError("no space left")

    trust = Trust((KEY,), keep=full)
    with pytest.raises(OSError, match="space"):
        trust.require()
    assert trust.demand == "accepted"


def test_a_proof_of_a_secret_that_is_gone_is_none() -> None:
    other = key_of("another secret")
    trust = Trust((KEY,))
    trust.noted("s2", KEY)
    trust.replace((other, KEY))
    assert trust.has_proof_of("s2") and trust.may_be_required("s1", ("s1", "s2"))
    trust.replace((other,))
    assert not trust.has_proof_of("s2") and not trust.may_be_required("s1", ("s1", "s2"))


def test_other_keys_keep_the_demand() -> None:
    trust = Trust((KEY,), is_required=True)
    trust.replace((key_of("another secret"), KEY))
    assert trust.demand == "required"
    with pytest.raises(AssertionError):
        trust.replace(())
