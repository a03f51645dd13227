"""A task's driver configuration against the keys that a driver knows (spec node-agent §11)."""

from __future__ import annotations

from typing import Any

from yurt.fsm.lang.duration import parse_duration
from yurt.server.client.drivers.base import ConfigError

Keys = dict[str, Any]  # key → kind (duration, int, text, bool, list, map), or the keys of a block
_ZERO: dict[str, Any] = {"duration": 0.0, "int": 0, "text": "", "bool": False, "list": (), "map": None}


def decode_config(given: dict[str, Any] | None, keys: Keys, required: tuple[str, ...] = ()) -> dict[str, Any]:
    """All keys with their values, durations in seconds; raises `ConfigError` with every fault."""
    found = {key: _ZERO[kind] if isinstance(kind, str) else None for key, kind in keys.items()}
    errors = [
        f'Missing required argument: The argument "{key}" is required, but no definition was found.'
        for key in required
        if key not in (given or {})
    ]
    for key, value in (given or {}).items():
        kind = keys.get(key)
        if kind is None:
            errors.append(f'Invalid label: No argument or block type is named "{key}".')
            continue
        if kind != "list" and isinstance(value, list) and len(value) == 1:
            value = value[0]
        try:
            found[key] = _converted(value, kind)
        except (KeyError, TypeError, ValueError):
            errors.append(f'Incorrect attribute value type: Inappropriate value for attribute "{key}".')
    if errors:
        lines = ["failed to parse config: ", *errors]
        listed = "".join(f"\t* {line}\n" for line in lines)
        raise ConfigError(f"{len(lines)} errors occurred:\n{listed}\n")
    return found


def _converted(value: Any, kind: Any) -> Any:
    if isinstance(kind, dict):
        return decode_config(dict(value), kind)
    if kind == "duration":
        return (parse_duration(value) if isinstance(value, str) else int(value)) / 1e9
    if kind == "int":
        return int(value)
    if kind == "bool":
        return value if isinstance(value, bool) else {"true": True, "false": False}[str(value)]
    if kind == "list":
        if not isinstance(value, list):
            raise TypeError
        return tuple(_text(one) for one in value)
    if kind == "map":
        return {str(name): _text(one) for name, one in dict(value).items()}
    return _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise TypeError
    return str(value)
