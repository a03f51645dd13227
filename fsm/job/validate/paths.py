"""Whether a path of a task stays inside its allocation (spec job-model §5.4)."""

from __future__ import annotations

NAME_BYTES_MAX = 1024  # of names that stand in URLs: a target has 8 KiB, and each byte may take three
ESCAPES = "destination escapes allocation directory"


def escapes(path: str) -> bool:
    """Whether the path, joined below the task directory, leaves the allocation directory one level above it."""
    if ".." not in path:
        return False
    depth = 1
    for part in path.split("/"):
        if part == "..":
            depth -= 1
            if depth < 0:
                return True
        elif part not in ("", "."):
            depth += 1
    return False
