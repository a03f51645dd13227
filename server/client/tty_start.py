"""Become the command of a terminal session: `python -I -S tty_start.py COMMAND ARGS…`, in a session of its own."""

from __future__ import annotations

import fcntl
import os
import sys
import termios

if __name__ == "__main__":
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    try:
        os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 (this is what it is for)
    except OSError as error:
        sys.exit(f"{sys.argv[1]}: {error.strerror}")
