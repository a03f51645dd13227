"""The newest events on disk, written with each snapshot: a server tells after a restart what it told before."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import msgspec

from yurt.fsm.events import Entry, Event, EventRing
from yurt.server.wholefile import write_whole

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


class _File(msgspec.Struct, array_like=True):
    """`told`: the index of the state that all of it led to; `gone` as in the ring."""

    format: int
    told: int
    gone: int
    entries: list[_Entry]


class EventFile:
    """The file of one ring. One that cannot be read or written costs old events, nothing else."""

    def __init__(self, ring: EventRing, directory: str, *, sync: bool) -> None:
        self._ring, self._path, self._sync = ring, Path(directory) / NAME, sync
        self._writing: asyncio.Task[None] | None = None

    def save(self, told: int) -> None:
        """Write what the ring holds, in the background; `told` is the index of the state."""
        if self._writing is None or self._writing.done():
            entries, gone = self._ring.held(), self._ring.gone
            self._writing = asyncio.get_running_loop().create_task(self._save(entries, gone, told))

    async def _save(self, entries: list[Entry], gone: int, told: int) -> None:
        try:
            await asyncio.to_thread(self._write, entries, gone, told)
        except OSError as error:
            log.warning("the newest events were not written", extra={"reason": str(error)})

    def _write(self, entries: list[Entry], gone: int, told: int) -> None:
        kept: list[_Entry] = []
        size = 0
        for entry in reversed(entries):
            events = [_Event(one.topic, one.namespace, one.key, sorted(one.keys), one.body) for one in entry.events]
            size += sum(len(one.body) for one in events)
            if size > BYTES_MAX:
                gone = max(gone, entry.index)
                break
            kept.append(_Entry(entry.index, events))
        body = msgspec.msgpack.encode(_File(1, told, gone, kept[::-1]))
        write_whole(self._path, body, sync=self._sync)

    def refill(self, index: int) -> None:
        """Give the ring back what led to the state of an index, if the file reaches that far."""
        try:
            found = msgspec.msgpack.decode(self._path.read_bytes(), type=_File)
        except FileNotFoundError:
            return
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("the newest events cannot be read; older ones are gone", extra={"reason": str(error)})
            return
        if found.format == 1 and found.gone <= index <= found.told:
            entries = [
                Entry.told(one.index, [Event.told(e.topic, e.namespace, e.key, e.keys, e.body) for e in one.events])
                for one in found.entries
                if one.index <= index
            ]
            self._ring.refill(entries, found.gone)
