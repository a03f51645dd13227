"""The base class of all commands, and their simplest result."""

from __future__ import annotations

from typing import ClassVar

import msgspec


class Command(msgspec.Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """A command. `now_ns` is the proposer's clock, nanoseconds since 1970."""

    since: ClassVar[int] = 1
    now_ns: int = 0

    def needs(self) -> int:
        """The vocabulary's version that knows all of this command: of its kind, and of the fields that it uses."""
        return self.since


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing to say but the index, and whether anything was written."""

    index: int = 0
    updated: bool = True
