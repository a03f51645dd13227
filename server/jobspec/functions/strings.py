"""Functions of strings; characters are grapheme clusters."""

from __future__ import annotations

import re

from yurt.fsm.lang.regex import BadPattern, compile_pattern
from yurt.server.hcl.graphemes import clusters, count_clusters
from yurt.server.jobspec.functions.signature import (
    ArgumentError,
    FunctionError,
    bounded_text,
    check_text,
    function,
    text_of,
    whole,
)
from yurt.server.jobspec.values import EMPTY, Value, number, strings

_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_TRIM = re.compile(f"^[{_SPACE}]+|[{_SPACE}]+\\Z")
_EXPANSION = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})")


@function("chomp", "str:string")
def _chomp(text: Value) -> Value:
    return text_of(text.raw.rstrip("\r\n"))


@function("indent", "spaces:number", "str:string")
def _indent(spaces: Value, text: Value) -> Value:
    width = whole(spaces, 0)
    check_text(len(text.raw) + max(width, 0) * text.raw.count("\n"))
    return text_of(text.raw.replace("\n", "\n" + " " * width))


@function("join", "separator:string", "lists:strings...")
def _join(separator: Value, *lists: Value) -> Value:
    if not lists:
        raise FunctionError("at least one list is required")
    parts: list[str] = []
    for at, one in enumerate(lists, 1):
        for position, item in enumerate(one.raw):
            if item.raw is None:
                raise ArgumentError(at, f"element {position} is null; cannot concatenate null values")
            parts.append(item.raw)
    check_text(sum(map(len, parts)) + len(separator.raw) * len(parts))
    return text_of(separator.raw.join(parts))


def _each(text: str, method: str) -> str:
    """Upper or lower case, character by character: those that would become two stay."""
    changed = (getattr(one, method)() for one in text)
    return "".join(new if len(new) == 1 else old for old, new in zip(text, changed, strict=True))


@function("lower", "str:string")
def _lower(text: Value) -> Value:
    return text_of(_each(text.raw, "lower"))


@function("upper", "str:string")
def _upper(text: Value) -> Value:
    return text_of(_each(text.raw, "upper"))


@function("title", "str:string")
def _title(text: Value) -> Value:
    found, begins = [], True
    for one in text.raw:
        found.append(_each(one, "upper") if begins else one)
        begins = not (one.isalnum() or one == "_") if one.isascii() else one.isspace()
    return text_of("".join(found))


@function("replace", "str:string", "substr:string", "replace:string")
def _replace(text: Value, old: Value, new: Value) -> Value:
    check_text(len(text.raw) + (text.raw.count(old.raw) if old.raw else len(text.raw) + 1) * len(new.raw))
    return text_of(text.raw.replace(old.raw, new.raw))


@function("regex_replace", "str:string", "pattern:string", "replace:string")
def _regex_replace(text: Value, pattern: Value, new: Value) -> Value:
    try:
        compiled = compile_pattern(pattern.raw)
    except BadPattern as error:
        raise FunctionError(str(error)) from None
    found: list[str] = []
    at = size = 0
    for match in compiled.finditer(text.raw):
        piece = _expanded(new.raw, match)
        found += [text.raw[at : match.start()], piece]
        size += len(piece)
        check_text(size)
        at = match.end()
    return text_of("".join([*found, text.raw[at:]]))


def _expanded(template: str, match: re.Match[str]) -> str:
    names = match.re.groupindex

    def value(reference: re.Match[str]) -> str:
        if reference[0] == "$$":
            return "$"
        name = reference[1] or reference[2]
        if name.isdigit():
            return (match[int(name)] or "") if int(name) <= match.re.groups else ""
        return (match[name] or "") if name in names else ""

    return bounded_text(_EXPANSION.sub(value, template))


@function("reverse", "str:string")
@function("strrev", "str:string")
def _reverse(text: Value) -> Value:
    return text_of("".join(reversed(clusters(text.raw))))


@function("split", "separator:string", "str:string")
def _split(separator: Value, text: Value) -> Value:
    if not separator.raw:
        return strings(text.raw)
    return strings(text.raw.split(separator.raw))


@function("strlen", "str:string")
def _strlen(text: Value) -> Value:
    return number(count_clusters(text.raw))


@function("substr", "str:string", "offset:number", "length:number")
def _substr(text: Value, offset: Value, length: Value) -> Value:
    characters = clusters(text.raw)
    start, count = whole(offset, 1), whole(length, 2)
    if start < 0:
        start = max(start + len(characters), 0)
    if count == 0 or start > len(characters):
        return EMPTY
    return text_of("".join(characters[start : start + count] if count > 0 else characters[start:]))


@function("trim", "str:string", "cutset:string")
def _trim(text: Value, characters: Value) -> Value:
    return text_of(text.raw.strip(characters.raw) if characters.raw else text.raw)


@function("trimprefix", "str:string", "prefix:string")
def _trimprefix(text: Value, prefix: Value) -> Value:
    return text_of(text.raw.removeprefix(prefix.raw))


@function("trimsuffix", "str:string", "suffix:string")
def _trimsuffix(text: Value, suffix: Value) -> Value:
    return text_of(text.raw.removesuffix(suffix.raw))


@function("trimspace", "str:string")
def _trimspace(text: Value) -> Value:
    return text_of(_TRIM.sub("", text.raw))
