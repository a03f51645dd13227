"""Meta of a node that operators change."""

from __future__ import annotations

from pathlib import Path

import pytest

from yurt.fsm.errors import Refusal
from yurt.server.client.metadata import Metadata


def test_changes_go_over_the_configuration_and_outlive_the_agent(tmp_path: Path) -> None:
    one = Metadata({"rack": "r1", "zone": "a"}, tmp_path)
    one.apply({"rack": "r2", "zone": None, "new": "x"})
    assert one.merged == {"rack": "r2", "new": "x"} == Metadata({"rack": "r1", "zone": "a"}, tmp_path).merged


def test_a_disk_that_takes_nothing_changes_nothing(tmp_path: Path) -> None:
    one = Metadata({"rack": "r1"}, tmp_path / "missing")
    with pytest.raises(Refusal, match=r"not written to disk: .*nothing was changed") as refused:
        one.apply({"rack": "r2"})
    assert refused.value.status == 500 and one.merged == {"rack": "r1"}
