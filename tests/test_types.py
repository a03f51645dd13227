"""The type checker sees the engine: a misspelt name in any part of it is found."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PLANTS = {  # a file: what stands there, and the misspelling
    "replication.py": ("progress.match = max(progress.match", "progress.match = max(progress.macth"),
    "election.py": ("self.term_start = self.log.last_index + 1", "self.term_start = self.log.last_indx + 1"),
    "engine.py": ("self.queue.append((payload, callback))", "self.queue.apend((payload, callback))"),
    "state.py": ("self.own_match = min(self.own_match", "self.own_match = min(self.own_macth"),
    "reads.py": ("self.last_applied", "self.last_aplied"),
}


@pytest.mark.slow
def test_misspelt_names_in_the_engine_are_type_errors(tmp_path: Path) -> None:
    shadows: list[str] = []
    for name, (right, wrong) in PLANTS.items():
        source = ROOT / "src/yurt/server/raft/core" / name
        text = source.read_text()
        assert right in text, f"{name} has changed: plant something else"
        planted = tmp_path / name
        planted.write_text(text.replace(right, wrong, 1))
        shadows += ["--shadow-file", str(source), str(planted)]
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache"), *shadows]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    found = set(re.findall(r"raft/core/(\w+\.py):\d+: error: .*(?:attribute|has no)", done.stdout))
    assert found == set(PLANTS), done.stdout + done.stderr
