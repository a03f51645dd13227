"""Meta of a node: what its configuration says, and what operators changed since (spec cluster §3)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from yurt.fsm.errors import Refusal
from yurt.fsm.structs.base import Record
from yurt.server.platform.atomic_file import write_whole

_KEY = re.compile(r"[a-zA-Z_][\w-]*(?:\.[a-zA-Z_][\w-]*)*\Z")
FILE = "metadata.json"


class MetadataShown(Record, frozen=True):
    """The changed, the merged and the configured meta; null takes a key away."""

    dynamic: dict[str, str | None] | None
    meta: dict[str, str]
    static: dict[str, str]


class Metadata:
    """`dynamic` goes over `static`; None takes a key away. What was changed outlives the agent."""

    def __init__(self, static: dict[str, str], directory: Path) -> None:
        self.static, self._path = dict(static), directory / FILE
        self.dynamic = self._kept()

    def _kept(self) -> dict[str, str | None]:
        try:
            found = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def merged(self) -> dict[str, str]:
        """The meta in effect: the changes over the configuration, without the keys taken away."""
        whole = {**self.static, **self.dynamic}
        return {key: value for key, value in whole.items() if value is not None}

    def apply(self, given: Any) -> None:
        """Change some keys, durably; raises Refusal: 400 for what is no meta, 500 for a disk."""
        if not isinstance(given, dict) or not given:
            raise Refusal(400, "missing required Meta object")
        for key, value in given.items():
            if not _KEY.match(key):
                raise Refusal(400, f'"{key}" is invalid; metadata keys must be valid dotted hcl identifiers')
            if value is not None and not isinstance(value, str):
                raise Refusal(400, f'the value of "{key}" is no text')
        dynamic = {**self.dynamic, **given}
        dynamic = {key: value for key, value in dynamic.items() if value is not None or key in self.static}
        try:
            write_whole(self._path, json.dumps(dynamic).encode())
        except OSError as error:
            raise Refusal(500, f"the meta was not written to disk: {error.strerror}; nothing was changed") from error
        self.dynamic = dynamic

    def shown(self) -> MetadataShown:
        """As GET /v1/client/metadata answers."""
        return MetadataShown(dynamic=self.dynamic or None, meta=self.merged, static=self.static)
