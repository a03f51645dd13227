"""What the rest of a server knows of Raft."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Callback = Callable[[Any, Exception | None], None]
