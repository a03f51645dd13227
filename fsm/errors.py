"""The one tree of errors of Yurt's pure rooms.

    YurtError
    └── Refusal          a command, or a request before it became one, is refused; nothing changed

A `Refusal` is data: the HTTP layer turns it into an answer, the command line into a line on stderr.
"""

from __future__ import annotations


class YurtError(Exception):
    """Base of every error that Yurt raises on purpose."""


class Refusal(YurtError):
    """A request is refused and nothing changed.

    `status` is the HTTP status that the wire protocol gives this refusal (spec jobs-api §2.2: 500 unless coded),
    `text` the exact body of the answer.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
