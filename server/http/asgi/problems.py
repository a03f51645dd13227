"""Errors as `application/problem+json` (RFC 9457) for clients that ask for it; a true status and a word that stays.

Others get the wire protocol's own statuses and texts. The text is the same in both.
"""

from __future__ import annotations

import re
from typing import Annotated, NamedTuple

import msgspec

from yurt.fsm.structs.base import to_json
from yurt.server.http.asgi.context import Answer

MEDIA_TYPE = b"application/problem+json"
_HEADERS = ((b"content-type", MEDIA_TYPE), (b"vary", b"Accept"))
_HANDED_ON = "rpc error: "  # what another server answered


class Problem(NamedTuple):
    """`word` is for programs and never changes; `pattern` finds the texts that it is for."""

    word: str
    status: int
    title: str
    pattern: str


# The first that fits is taken. Texts without one are told by the status that they were answered with.
PROBLEMS = (
    Problem("no-leader", 503, "Nobody leads the cluster", r"\ANo cluster leader"),
    Problem("outcome-unknown", 504, "The write may or may not be stored", r"outcome is unknown"),
    Problem("storage-full", 507, "There is no room for the log", r"no space left|audit log cannot be written"),
    Problem("upgrading", 503, "The cluster is being upgraded", r"cluster is being upgraded"),
    Problem("not-ready", 503, "The server is not ready for this yet", r"no root key is ready|being asked of others"),
    Problem("token-unknown", 403, "The token is not known", r"ACL token not found|secret is that of another token"),
    Problem("permission-denied", 403, "The token may not do this", r"Permission denied"),
    Problem("disabled", 403, "This is switched off", r"\bdisabled\b|is not enabled"),
    Problem("unknown-region", 404, "There is no such region", r"No path to region"),
    Problem("enterprise-only", 501, "Only the enterprise edition has this", r"Enterprise only"),
    Problem(
        "index-conflict", 409, "It was changed meanwhile",
        r"Enforcing job modify index|conflicting job modify index|enforcing version|cas error|check-and-set",
    ),
    Problem("locked", 409, "Somebody holds the lock", r"locked variable|doesn't hold a lock"),
    Problem(
        "state-conflict", 409, "What is there now does not permit it",
        r"active deployment|terminal deployment|cannot update (non-)?p|already (done|exists)|in use|"
        r"\bcan'?t? ?not? (revert|force|evaluate|set|unblock|delete)|can't (revert|force|evaluate|set|unblock)|"
        r"must be paused|not safe to delete|call rotate first|while it is draining",
    ),
    Problem(
        "unreachable", 502, "Another agent did not answer",
        r"does not answer at|broke off|No path to node|is not what it should be|could be asked",
    ),
    Problem(
        "not-found", 404, "There is no such thing",
        r"not found|does(n't| not) exist|\b[Uu]nknown (node|allocation|Node|Allocation)|[Nn]onexistent|cannot find",
    ),
    Problem("too-large", 413, "It is larger than permitted", r"exceeds maximum|greater than configured|exceeded max"),
    Problem(
        "invalid", 422, "The content is not valid",
        r"errors? occurred:|\binvalid:|Missing|[Mm]ust |must be|unpermitted|required|forbidden by|is not valid",
    ),
)  # fmt: skip
_BY_STATUS = {
    400: Problem("bad-request", 400, "The request cannot be understood", ""),
    403: Problem("permission-denied", 403, "The token may not do this", ""),
    404: Problem("not-found", 404, "There is no such thing", ""),
    405: Problem("method-not-allowed", 405, "The endpoint has no such method", ""),
    409: Problem("state-conflict", 409, "What is there now does not permit it", ""),
    410: Problem("gone", 410, "It is not held any more", ""),
    412: Problem("not-healthy", 412, "It is not as it should be", ""),
    413: Problem("too-large", 413, "It is larger than permitted", ""),
    429: Problem("too-many-requests", 429, "Ask less, or later", ""),
    501: Problem("enterprise-only", 501, "Only the enterprise edition has this", ""),
}
_INTERNAL = Problem("internal", 500, "The server failed", "")
_REQUEST = Problem("refused", 400, "The request was refused", "")
_PATTERNS = tuple((problem, re.compile(problem.pattern)) for problem in PROBLEMS)
_KEPT = frozenset({b"retry-after", b"x-nomad-index", b"x-nomad-knownleader", b"x-nomad-lastcontact"})
_LIST = re.compile(r"\d errors? occurred:")  # the rest quotes what users wrote, and is looked at for nothing else
_INVALID = next(one for one in PROBLEMS if one.word == "invalid")
WORDS = tuple(dict.fromkeys(one.word for one in (*PROBLEMS, *_BY_STATUS.values(), _INTERNAL, _REQUEST)))


class ProblemDetails(msgspec.Struct, frozen=True):
    """An error, told in a form that programs read; `code` never changes."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(WORDS)})]


def is_asked_for(accept: bytes) -> bool:
    """Whether a client's Accept header names problem details."""
    return MEDIA_TYPE in accept


def problem_of(status: int, text: str) -> Problem:
    """Return the problem of an error, by the status and text that the wire protocol has for it."""
    if status in (405, 410, 412, 429):
        return _BY_STATUS[status]
    if _LIST.search(text):
        return _INVALID
    for problem, pattern in _PATTERNS:
        if pattern.search(text):
            return problem
    if status == 500 and not text.startswith("internal error"):
        return _REQUEST
    return _BY_STATUS.get(status, _INTERNAL)


def as_problem(answer: Answer, path: str) -> Answer:
    """An error's answer as problem details."""
    text = answer.body.decode(errors="replace").removeprefix(_HANDED_ON)
    problem = problem_of(answer.status, text)
    body = ProblemDetails(
        type=f"urn:yurt:problem:{problem.word}",
        title=problem.title,
        status=problem.status,
        detail=text.strip(),
        instance=path,
        code=problem.word,
    )
    kept = tuple(pair for pair in answer.headers if pair[0] in _KEPT)
    return Answer(problem.status, to_json(body), (*_HEADERS, *kept))
