"""The C library's allocator: large blocks go back to the system when they are freed."""

from __future__ import annotations

import ctypes

MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of malloc.h
LARGE_BLOCK_BYTES = 256 << 10


def return_large_blocks() -> bool:
    """Map blocks of 256 KiB and more on their own; return whether the C library knows how.

    By itself glibc raises that bound to the size of the largest block ever freed (up to 32 MiB) and keeps the rest in
    heaps that never shrink below their highest block in use: a burst of large bodies stays in memory for good.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(MMAP_THRESHOLD, LARGE_BLOCK_BYTES))
