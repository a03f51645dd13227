"""Constraints, affinities and spreads (spec job-model §5.6–5.8)."""

from __future__ import annotations

import pytest

from yurt.fsm.job.validate.constraint import (
    affinity_errors,
    affinity_list_errors,
    constraint_errors,
    constraint_list_errors,
    spread_errors,
    spread_list_errors,
)
from yurt.fsm.structs.constraint import Affinity, Constraint, Spread, SpreadTarget

NO_TARGET = "no attribute provided but is required by operator"


@pytest.mark.parametrize(
    ("ltarget", "operand", "rtarget", "texts"),
    [
        ("${attr.x}", "=", "1", []),
        ("literal", "<=", "1", []),
        ("", "", "", ["Missing constraint operand", 'Unknown constraint type ""', NO_TARGET]),
        ("", "bogus", "", ['Unknown constraint type "bogus"', NO_TARGET]),
        ("", "distinct_hosts", "", []),
        ("a", "set_contains", "", ["Set contains constraint requires an RTarget"]),
        ("a", "set_contains_any", "", ["Set contains constraint requires an RTarget"]),
        ("a", "set_contains_all", "x", []),
        ("a", "regexp", "(", ["Regular expression failed to compile: error parsing regexp: missing closing ): `(`"]),
        ("a", "regexp", "(a+)+$", []),
        ("a", "version", "1.x.y", ["Version constraint is invalid: malformed constraint: 1.x.y"]),
        ("a", "version", ">= 1, < 2.x", ["Version constraint is invalid: malformed constraint:  < 2.x"]),
        ("a", "version", "~> 1.0, != 1.2.3-beta+x", []),
        ("a", "semver", "~> 1.0", ["Semver constraint is invalid: Malformed constraint: ~> 1.0"]),
        ("a", "semver", ">= 1.7.0-a", []),
        ("a", "distinct_property", "", []),
        ("a", "distinct_property", "x", ['Failed to convert RTarget "x" to uint64: strconv.ParseUint: parsing "x": invalid syntax']),
        ("a", "distinct_property", "0", ["Distinct Property must have an allowed count of 1 or greater: 0 < 1"]),
        ("a", "is_set", "x", ['Operator "is_set" does not support an RTarget']),
        ("a", "is_not_set", "", []),
        *[("a", operand, "", [f'Operator "{operand}" requires an RTarget']) for operand in ("=", "==", "is", "!=", "not", "<", "<=", ">", ">=")],
        ("$attr.x", "=", "1", ['attribute "$attr.x" is missing an opening brace']),
        ("${attr.x", "=", "1", ['attribute "${attr.x" is missing a closing brace']),
        ("${x}", "=", "1", ['unsupported attribute "${x}"']),
        ("${node.pool}", "=", "1", []),
        ("${node.unique.id}", "=", "1", []),
        ("${node.other}", "=", "1", ['unsupported attribute "${node.other}"']),
        ("${meta.a}", "=", "1", []),
        ("${device.model}", "=", "1", []),
    ],
)  # fmt: skip
def test_constraints(ltarget: str, operand: str, rtarget: str, texts: list[str]) -> None:
    assert list(constraint_errors(Constraint(ltarget=ltarget, operand=operand, rtarget=rtarget))) == texts


@pytest.mark.parametrize(
    ("affinity", "texts"),
    [
        (Affinity(ltarget="a", operand="=", rtarget="b"), []),
        (Affinity(), ["Missing affinity operand", 'Unknown affinity operator ""', "No LTarget provided but is required"]),
        (Affinity(ltarget="a", operand="is_set"), ['Unknown affinity operator "is_set"']),
        (Affinity(ltarget="a", operand="set_contains_all"), ["Set contains operators require an RTarget"]),
        (Affinity(ltarget="a", operand="regexp", rtarget="["), ["Regular expression failed to compile: error parsing regexp: missing closing ]: `[`"]),
        (Affinity(ltarget="a", operand="version", rtarget="x"), ["Version affinity is invalid: malformed constraint: x"]),
        (Affinity(ltarget="a", operand="semver", rtarget="x"), ["Semver affinity is invalid: Malformed constraint: x"]),
        (Affinity(ltarget="a", operand="not"), ['Operator "not" requires an RTarget']),
        (Affinity(ltarget="a", operand="=", rtarget="b", weight=0), ["Affinity weight cannot be zero"]),
        (Affinity(ltarget="a", operand="=", rtarget="b", weight=-101), ["Affinity weight must be within the range [-100,100]"]),
        (Affinity(ltarget="a", operand="=", rtarget="b", weight=-100), []),
    ],
)  # fmt: skip
def test_affinities(affinity: Affinity, texts: list[str]) -> None:
    assert list(affinity_errors(affinity)) == texts


@pytest.mark.parametrize(
    ("spread", "texts"),
    [
        (Spread(attribute="a"), []),
        (Spread(), ["Missing spread attribute"]),
        (Spread(attribute="a", weight=0), ["Spread block must have a positive weight from 0 to 100"]),
        (Spread(attribute="a", weight=101), ["Spread block must have a positive weight from 0 to 100"]),
        (
            Spread(attribute="a", spread_target=(SpreadTarget(value="x", percent=60), SpreadTarget(value="x", percent=60))),
            ['Spread target value "x" already defined', "Sum of spread target percentages must not be greater than 100%; got 120%"],
        ),
        (
            Spread(attribute="a", spread_target=(SpreadTarget(value="x", percent=101),)),
            ['Spread target percentage for value "x" must be between 0 and 100', "Sum of spread target percentages must not be greater than 100%; got 101%"],
        ),
    ],
)  # fmt: skip
def test_spreads(spread: Spread, texts: list[str]) -> None:
    assert list(spread_errors(spread)) == texts


def test_lists_are_numbered_and_system_jobs_have_neither_affinities_nor_spreads() -> None:
    good, bad = Constraint(ltarget="a", operand="=", rtarget="b"), Constraint(operand="distinct_hosts", ltarget="${")
    assert not list(constraint_list_errors((good, bad)))
    (text,) = constraint_list_errors((good, Constraint(ltarget="a", operand="x")))
    assert text == 'Constraint 2 validation failed: 1 error occurred:\n\t* Unknown constraint type "x"\n\n'
    (text,) = affinity_list_errors((Affinity(ltarget="a", operand="=", rtarget="b", weight=0),), "batch")
    assert text == "Affinity 1 validation failed: 1 error occurred:\n\t* Affinity weight cannot be zero\n\n"
    assert list(affinity_list_errors((Affinity(),), "system")) == ["System jobs may not have an affinity block"]
    (text,) = spread_list_errors((Spread(),), "sysbatch")
    assert text == "Spread 1 validation failed: 1 error occurred:\n\t* Missing spread attribute\n\n"
    assert list(spread_list_errors((Spread(),), "system")) == ["System jobs may not have a spread block"]


def test_a_catastrophic_pattern_and_a_huge_one_are_no_danger() -> None:
    slow = Constraint(ltarget="a", operand="regexp", rtarget="((a{1,100}){1,100}){1,100}")
    assert len(list(constraint_errors(slow))) == 1
    assert len(list(constraint_errors(Constraint(ltarget="a", operand="regexp", rtarget="a" * 10**6)))) == 1
    assert len(list(constraint_errors(Constraint(ltarget="a", operand="version", rtarget="1" * 10**6)))) == 1
