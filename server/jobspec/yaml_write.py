"""Values as YAML: all strings and keys in double quotes, block style (spec jobspec-hcl §15)."""

from __future__ import annotations

from yurt.server.jobspec.jsontext import PARTS_MAX, JsonError, json_text
from yurt.server.jobspec.values import STRING, Value


def yaml_text(value: Value) -> str:
    """The value as a YAML document; raises JsonError if it has too many parts."""
    lines: list[str] = []
    if _is_scalar(value):
        lines.append(_scalar(value))
    else:
        _write(value, 0, lines, first="")
    return "\n".join(lines) + "\n"


def _is_scalar(value: Value) -> bool:
    return not isinstance(value.raw, list | dict) or not value.raw


def _scalar(value: Value) -> str:
    text = json_text(value)
    for escape, character in (("\\u003c", "<"), ("\\u003e", ">"), ("\\u0026", "&")):
        text = text.replace(escape, character)
    return text


def _write(value: Value, indent: int, lines: list[str], first: str) -> None:
    """Add a collection's lines; `first` stands before the first of them (the dash of a sequence)."""
    if len(lines) > PARTS_MAX:
        raise JsonError("the value has too many parts")
    space = " " * indent
    if isinstance(value.raw, list):
        for one in value.raw:
            prefix, first = first or space, ""
            if _is_scalar(one):
                lines.append(f"{prefix}- {_scalar(one)}")
            else:
                _write(one, indent + 2, lines, prefix + "- ")
        return
    for name, one in value.raw.items():
        prefix, first = first or space, ""
        key = _scalar(Value(STRING, name))
        if _is_scalar(one):
            lines.append(f"{prefix}{key}: {_scalar(one)}")
        else:
            lines.append(f"{prefix}{key}:")
            _write(one, indent if isinstance(one.raw, list) else indent + 2, lines, "")
