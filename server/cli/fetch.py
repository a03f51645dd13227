"""Files from a URL for commands that take a file: http and https only, bounded in size and time."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from http.client import HTTPMessage
from typing import IO

SECONDS_MAX = 30.0
BYTES_MAX = 16 << 20
SCHEMES = ("http://", "https://")


class _SameSchemes(urllib.request.HTTPRedirectHandler):
    """Redirections may not leave for another scheme than these two, nor from https to http."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        allowed = SCHEMES if req.full_url.startswith("http://") else SCHEMES[1:]
        if not newurl.lower().startswith(allowed):
            raise urllib.error.URLError(f"redirected to {newurl}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def is_url(path: str) -> bool:
    """Whether a command's FILE is a URL."""
    return path.lower().startswith(SCHEMES)


def fetch(url: str) -> bytes:
    """The body at a URL. Raises OSError (urllib's errors are some) with what went wrong."""
    opener = urllib.request.build_opener(_SameSchemes())
    try:
        with opener.open(url, timeout=SECONDS_MAX) as answer:
            data: bytes = answer.read(BYTES_MAX + 1)
    except (http.client.HTTPException, ValueError) as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
    if len(data) > BYTES_MAX:
        raise OSError(f"more than {BYTES_MAX >> 20} MiB")
    return data
