"""A small part of the template language: text, comments, and `env` (spec node-agent §13).

    {{ env "NAME" }}                     a variable of the task's environment
    {{ env "NAME" | toUpper }}           through toUpper, toLower, trimSpace, base64Encode, toJSON, in any number
    {{ "text" }}                         a text in quotes
    {{- … -}}                            cuts the white space before or after
    {{/* comment */}}

Anything else is an error that names the function, and fails the task: a file that is half rendered helps nobody.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping

from yurt.fsm.errors import YurtError

_WORD = re.compile(r'\s*("(?:[^"\\]|\\.)*"|`[^`]*`|[|]|[^\s|"`]+)')
_PIPES: dict[str, Callable[[str], str]] = {
    "toUpper": str.upper,
    "toLower": str.lower,
    "trimSpace": str.strip,
    "base64Encode": lambda text: base64.b64encode(text.encode()).decode(),
    "base64Decode": lambda text: base64.b64decode(text, validate=True).decode(),
    "toJSON": json.dumps,
}


class TemplateError(YurtError):
    """The template says something that is not in our part of the language."""


def render(text: str, variables: Mapping[str, str], left: str = "{{", right: str = "}}") -> str:
    """The template's text with its actions carried out; raises `TemplateError`."""
    found: list[str] = []
    position, line = 0, 1
    trims = False
    while (start := text.find(left, position)) >= 0:
        end = text.find(right, start + len(left))
        plain = text[position:start]
        line += plain.count("\n")
        if end < 0:
            raise TemplateError(f"(dynamic): parse: template: :{line}: unclosed action")
        action = text[start + len(left) : end]
        if trims:
            plain = plain.lstrip()
        if action.startswith(("- ", "-\n", "-\t")):
            plain, action = plain.rstrip(), action[1:]
        trims = action.endswith((" -", "\n-", "\t-"))
        found.append(plain)
        found.append(_action(action.removesuffix("-") if trims else action, variables, line))
        line += action.count("\n")
        position = end + len(right)
    rest = text[position:]
    found.append(rest.lstrip() if trims else rest)
    return "".join(found)


def _action(action: str, variables: Mapping[str, str], line: int) -> str:
    stripped = action.strip()
    if stripped.startswith("/*") and stripped.endswith("*/"):
        return ""
    stages: list[list[str]] = [[]]
    for word in _WORD.findall(stripped):
        if word == "|":
            stages.append([])
        else:
            stages[-1].append(word)
    value = _first(stages[0], variables, line)
    for stage in stages[1:]:
        if len(stage) != 1 or stage[0] not in _PIPES:
            raise _unknown(stage, line)
        try:
            value = _PIPES[stage[0]](value)
        except ValueError as error:
            raise TemplateError(f"(dynamic): execute: template: :{line}: {stage[0]}: {error}") from error
    return value


def _first(words: list[str], variables: Mapping[str, str], line: int) -> str:
    if len(words) == 1 and words[0][0] in '"`':
        return _literal(words[0])
    if len(words) == 2 and words[0] == "env" and words[1][0] in '"`':
        return variables.get(_literal(words[1]), "")
    if len(words) == 2 and words[0] in _PIPES and words[1][0] in '"`':
        return _PIPES[words[0]](_literal(words[1]))
    raise _unknown(words, line)


def _unknown(words: list[str], line: int) -> TemplateError:
    name = words[0] if words else ""
    return TemplateError(f'(dynamic): parse: template: :{line}: function "{name}" not defined')


def _literal(word: str) -> str:
    if word.startswith("`"):
        return word[1:-1]
    try:
        return str(json.loads(word))
    except ValueError:
        raise TemplateError(f"(dynamic): parse: template: bad text {word}") from None


def env_of(body: str) -> dict[str, str]:
    """The variables of a file of NAME=VALUE lines, with comments and quotes; raises `TemplateError`."""
    found: dict[str, str] = {}
    for number, line in enumerate(body.splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.removeprefix("export ").partition("=")
        if not equals or not name.strip():
            raise TemplateError(f'error parsing env template "line {number}": no NAME=VALUE in "{line}"')
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        found[name.strip()] = value
    return found
