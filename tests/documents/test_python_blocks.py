"""Each block of Python in the documents runs: tests by pytest, scenarios by `yurt experiment`, the rest as programs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents.blocks import Block, blocks_of, documents
from tests.wheel import clean_environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

BLOCKS = [block for name in documents() for block in blocks_of(name, "python")]
SCENARIO_PROGRAM = """
from pathlib import Path
from random import Random
from block import SCENARIO
from yurt.server.testing.simulation.experiment import perform

Path("out").mkdir()
broken = perform(SCENARIO.steps, Path("out"), seed=1, servers=3, seconds=10.0, rate=20.0, swarm=False)
assert not broken, broken
assert "kill" in Path("out/faults.jsonl").read_text()
"""


def command(block: Block, directory: Path) -> list[str]:
    """Write the block down and return what runs it."""
    if "SCENARIO =" in block.text:
        (directory / "block.py").write_text(block.text)
        return [sys.executable, "-c", SCENARIO_PROGRAM]
    if "def test_" in block.text:
        (directory / "test_block.py").write_text(block.text)
        return [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_block.py"]
    (directory / "block.py").write_text(block.text)
    return [sys.executable, "block.py"]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_a_block_of_python_runs(block: Block, tmp_path: Path) -> None:
    done = subprocess.run(
        command(block, tmp_path), cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for line in block.text.splitlines():
        if line.startswith("print(") and "# " in line:
            for words in line.partition("# ")[2].split(" … "):
                assert words in done.stdout, f"{block.place} promises {words!r}; it printed {done.stdout!r}"
