"""Regular expressions from users: RE2 syntax, linear time, bounded length."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import re2

PATTERN_BYTES_MAX = 1000
_KINDS = {
    "missing )": "missing closing )",
    "missing ]": "missing closing ]",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid repetition size": "invalid repeat count",
    "no argument for repetition operator": "missing argument to repetition operator",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid named capture group": "invalid named capture",
    "trailing \\": "trailing backslash at end of expression",
}


class BadPattern(ValueError):
    """A pattern that does not compile."""


@lru_cache(256)
def compile_pattern(pattern: str) -> Any:
    """The compiled pattern; raises `BadPattern` with the text of the wire protocol."""
    if len(pattern.encode()) > PATTERN_BYTES_MAX:
        raise BadPattern(f"error parsing regexp: expression longer than {PATTERN_BYTES_MAX} bytes")
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error.args[0])
        raise BadPattern(f"error parsing regexp: {_in_words_of_the_wire(reason)}") from None


def _in_words_of_the_wire(reason: str) -> str:
    """RE2's `missing ): (` as the wire protocol says it: ``missing closing ): `(` ``."""
    kind, _, fragment = reason.partition(": ")
    return f"{_KINDS.get(kind, kind)}: `{fragment}`"


def found_in(pattern: str, text: str) -> bool:
    """Whether the pattern matches anywhere in the text; raises `BadPattern`."""
    return compile_pattern(pattern).search(text) is not None
