"""The newest events on disk, written with each snapshot: a server tells after a restart what it told before."""

from __future__ import annotations

import asyncio
import logging
from itertools import groupby
from pathlib import Path

import msgspec

from yurt.fsm.events import Entry, Event, EventRing
from yurt.server.platform.atomic_file import write_whole

log = logging.getLogger("events")

NAME = "events"
BYTES_MAX = 16 << 20  # of their JSON; older ones are left out


class _Event(msgspec.Struct, array_like=True, gc=False):
    topic: str
    namespace: str
    key: str
    keys: list[str]
    body: bytes


class _Entry(msgspec.Struct, array_like=True, gc=False):
    index: int
    events: list[_Event]


class _Packed(msgspec.Struct, array_like=True):
    """`told`: the index of the state that all of it led to; `gone` as in the ring."""

    format: int
    told: int
    gone: int
    entries: list[_Entry]


def pack(entries: list[Entry], gone: int, told: int, *, enough: int = BYTES_MAX, most: int = BYTES_MAX) -> bytes:
    """Pack the events of a ring in (`gone`, `told`], for a file or another server.

    The newest commands are taken, whole ones, until there are `enough` bytes of JSON: one at least, unless it has more
    than `most`. The packed `gone` is then the newest index left out. May run in another thread.
    """
    kept: list[_Entry] = []
    size = 0
    for index, parts in groupby(reversed(entries), key=lambda one: one.index):
        told_of = [_packed(one) for one in parts]
        size += sum(len(event.body) for one in told_of for event in one.events)
        if size > most or (kept and size > enough):
            gone = index
            break
        kept += told_of
    return msgspec.msgpack.encode(_Packed(1, told, gone, kept[::-1]))


def _packed(entry: Entry) -> _Entry:
    events = [_Event(one.topic, one.namespace, one.key, sorted(one.keys), one.body) for one in entry.events]
    return _Entry(entry.index, events)


def unpack(data: bytes) -> tuple[list[Entry], int, int]:
    """The entries, `gone` and `told`; raises msgspec.MsgspecError if it is something else."""
    found = msgspec.msgpack.decode(data, type=_Packed)
    if found.format != 1:
        raise msgspec.ValidationError(f"events of format {found.format}")
    entries = [
        Entry.told(one.index, [Event.told(e.topic, e.namespace, e.key, e.keys, e.body) for e in one.events])
        for one in found.entries
    ]
    return entries, found.gone, found.told


class EventFile:
    """The file of one ring. One that cannot be read or written costs old events, nothing else."""

    def __init__(self, ring: EventRing, directory: str, *, sync: bool) -> None:
        self._ring, self._path, self._sync = ring, Path(directory) / NAME, sync
        self._writing: asyncio.Task[None] | None = None
        self._next: tuple[list[Entry], int, int] | None = None

    def save(self, told: int) -> None:
        """Write what the ring holds, in the background; `told` is the index of the state."""
        self._next = self._ring.held(), self._ring.gone, told
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._save())

    async def _save(self) -> None:
        while self._next is not None:
            (entries, gone, told), self._next = self._next, None
            try:
                await asyncio.to_thread(self._write, entries, gone, told)
            except OSError as error:
                log.warning("the newest events were not written", extra={"reason": str(error)})
            except Exception:
                log.exception("newest events not written")

    def _write(self, entries: list[Entry], gone: int, told: int) -> None:
        write_whole(self._path, pack(entries, gone, told), sync=self._sync)

    def refill(self, index: int) -> None:
        """Give the ring, which begins at the state of an index, back what led to it, if the file reaches that far."""
        try:
            entries, gone, told = unpack(self._path.read_bytes())
        except FileNotFoundError:
            return
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("the newest events cannot be read", extra={"reason": str(error)})
            return
        if index <= told:
            self._ring.refill([one for one in entries if gone < one.index <= index], gone, index)
