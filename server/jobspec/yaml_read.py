"""YAML documents as values, for `yamldecode`: blocks, flows, quoted and folded text, anchors (bounded)."""

from __future__ import annotations

import re

from yurt.server.jobspec.values import EMPTY, NULL, STRING, Value, object_of, text, tuple_of
from yurt.server.jobspec.yaml_flow import Flow, YamlError
from yurt.server.jobspec.yaml_scalars import plain_scalar

__all__ = ["YamlError", "from_yaml"]

DEPTH_MAX = 64
ALIASES_MAX = 1000
_KEY = re.compile(
    r"""((?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s#'"\[\]{},&*!|>%@`-][^#]*?|-[^\s#][^#]*?))\s*:(?=\s|\Z)"""
)
_COMMENT = re.compile(r"(?:^|\s)#.*\Z")
_PROPERTY = re.compile(r"(?:&(\S+)|!(\S*))(?:\s+|\Z)")


def from_yaml(document: str) -> Value:
    """The value of one document; raises `YamlError`."""
    return _Reader(document).document()


class _Reader:
    def __init__(self, document: str) -> None:
        self._lines = document.replace("\r\n", "\n").split("\n")
        self._at = 0
        self._depth = 0
        self._anchors: dict[str, Value] = {}
        self._aliases = 0

    def fail(self, why: str) -> YamlError:
        return YamlError(f"on line {self._at + 1}, column 1: {why}")

    def document(self) -> Value:
        if self._more() and self._lines[self._at].startswith("---"):
            self._lines[self._at] = self._lines[self._at][3:]
        if not self._more():
            raise self.fail("missing start of document")
        found = self._block(0)
        if self._more() and not self._lines[self._at].startswith(("...", "---")):
            raise self.fail("did not find expected end of document")
        return found

    def _more(self) -> bool:
        """Go to the next line that says something."""
        while self._at < len(self._lines):
            stripped = self._lines[self._at].strip()
            if stripped and stripped[0] != "#":
                return True
            self._at += 1
        return False

    def _line(self) -> tuple[int, str]:
        """The indentation of the line and what it says; raises for tabs."""
        line = self._lines[self._at]
        said = line.lstrip(" ")
        if said.startswith("\t"):
            raise YamlError("found character that cannot start any token")
        return len(line) - len(said), said

    def _block(self, least: int) -> Value:
        """A node whose lines are indented by at least `least`; null if there is none."""
        if not self._more() or self._line()[0] < least or self._lines[self._at].startswith(("...", "--- ")):
            return NULL
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise self.fail(f"nested more than {DEPTH_MAX} deep")
        indent, said = self._line()
        if said == "-" or said.startswith("- "):
            found = self._sequence(indent)
        elif _KEY.match(said):
            found = self._mapping(indent)
        else:
            self._at += 1
            found = self._value(said, indent - 1 if least else -1)
        self._depth -= 1
        return found

    def _sequence(self, indent: int) -> Value:
        items: list[Value] = []
        while self._more() and self._line()[0] == indent:
            said = self._line()[1]
            if said != "-" and not said.startswith("- "):
                break
            items.append(self._inline(said[1:], indent, indent + 1))
        return tuple_of(items)

    def _inline(self, rest: str, indent: int, inner: int) -> Value:
        """Return the node after a dash: on the same line, or a block that goes on below."""
        said = rest.lstrip(" ")
        if not said or said.startswith("#"):
            self._at += 1
            return self._block(inner)
        if said == "-" or said.startswith("- ") or _KEY.match(said):
            self._lines[self._at] = " " * (indent + 1 + len(rest) - len(said)) + said
            return self._block(inner)
        self._at += 1
        return self._value(said, indent)

    def _mapping(self, indent: int) -> Value:
        members: dict[str, Value] = {}
        while self._more() and self._line()[0] == indent:
            said = self._line()[1]
            match = _KEY.match(said)
            if match is None:
                break
            name = self._name(match[1])
            rest = said[match.end() :].strip()
            self._at += 1
            value = self._member(rest, indent)
            if name == "<<" and isinstance(value.raw, dict):
                members = {**value.raw, **members}
            else:
                members[name] = value
        if self._more() and self._line()[0] > indent:
            raise self.fail("did not find expected key")
        return object_of(members)

    def _name(self, word: str) -> str:
        value = Flow(word, self._alias).scalar() if word[0] in "\"'" else plain_scalar(word)
        return str(value.raw) if value.type == STRING else word

    def _member(self, rest: str, indent: int) -> Value:
        if rest and not rest.startswith("#"):
            return self._value(rest, indent)
        # A sequence may stand below its key without being indented.
        if self._more() and self._line()[0] == indent and re.match(r"-(?:\s|\Z)", self._line()[1]):
            return self._sequence(indent)
        return self._block(indent + 1)

    def _value(self, said: str, indent: int) -> Value:
        """A value that starts on a line already taken; `indent` is its parent's."""
        if match := _PROPERTY.match(said):
            rest = said[match.end() :]
            value = self._value(rest, indent) if rest and rest[0] != "#" else self._block(indent + 1)
            if match[1]:
                self._anchors[match[1]] = value
            elif match[2] == "!str" and value.raw is not None:
                value = text(rest.strip("\"'"))
            return value
        if said[0] in "|>":
            return self._literal(said, indent)
        if said[0] in "[{\"'":
            return self._flow(said)
        if said[0] == "*":
            return self._alias(_COMMENT.sub("", said)[1:].strip())
        if said[0] in "%@`":
            raise YamlError("found character that cannot start any token")
        if _KEY.match(said):
            raise YamlError("mapping values are not allowed in this context")
        words = [_COMMENT.sub("", said).strip()]
        while self._more() and self._line()[0] > indent and not _COMMENT.search(said):
            if _KEY.match(self._line()[1]) and indent >= 0:
                raise YamlError("mapping values are not allowed in this context")
            words.append(_COMMENT.sub("", self._line()[1]).strip())
            self._at += 1
        return plain_scalar(" ".join(words))

    def _alias(self, name: str) -> Value:
        self._aliases += 1
        if name not in self._anchors:
            raise self.fail(f'reference to undefined anchor "{name}"')
        if self._aliases > ALIASES_MAX:
            raise self.fail("too many aliases")
        return self._anchors[name]

    def _flow(self, said: str) -> Value:
        rest = "\n".join([said, *self._lines[self._at :]])
        flow = Flow(rest, self._alias)
        value = flow.value()
        taken = rest[: flow.at].count("\n")
        tail = rest[flow.at :].split("\n", 1)[0].strip()
        if tail and not tail.startswith("#"):
            raise self.fail("did not find expected end of the value")
        self._at += taken
        return value

    def _literal(self, said: str, indent: int) -> Value:
        header = _COMMENT.sub("", said).strip()
        explicit = next((int(one) for one in header if one.isdigit()), 0)
        lines: list[str] = []
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if line.strip() and len(line) - len(line.lstrip(" ")) <= indent:
                break
            lines.append(line)
            self._at += 1
        widths = [len(one) - len(one.lstrip(" ")) for one in lines if one.strip()]
        width = max(indent, 0) + explicit if explicit else (widths[0] if widths else 0)
        kept = [one[width:] for one in lines]
        body = "\n".join(kept).rstrip("\n") if header[0] == "|" else _folded(kept)
        if not body:
            return EMPTY
        tail = "" if "-" in header else "\n"
        if "+" in header:
            tail = "\n" * max(len(kept) - len("\n".join(kept).rstrip("\n").split("\n")), 1)
        return text(body + tail)


def _folded(lines: list[str]) -> str:
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    found = lines[0] if lines else ""
    blank = 0
    for line in lines[1:]:
        if not line.strip():
            blank += 1
            continue
        found += "\n" * blank if blank else " "
        found, blank = found + line, 0
    return found
