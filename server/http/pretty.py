"""JSON for people: indented by four spaces."""

from __future__ import annotations

import json
from typing import Any


def indented(value: Any, level: int = 0) -> bytes:
    """A value's JSON, its lines but the first moved in by some levels."""
    text = json.dumps(value, indent=4, ensure_ascii=False)
    return (text.replace("\n", "\n" + " " * 4 * level) if level else text).encode()
