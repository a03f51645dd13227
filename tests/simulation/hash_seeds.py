"""The same program in processes whose sets and dictionaries hash otherwise."""

from __future__ import annotations

import os
import subprocess
import sys


def outputs_by_hash_seed(program: str) -> set[bytes]:
    """What it prints with different hash seeds: one output if it does not depend on them."""
    return {
        subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("0", "1", "random")
    }
