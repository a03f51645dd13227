"""The web page's files at /ui/: static, from this package, under a policy that lets nothing else run."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response

INDEX = "index.html"
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
    "Vary": "Accept-Encoding",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file, also compressed, with its type and tag."""

    kind: str
    body: bytes
    packed: bytes
    tag: str


@cache
def assets() -> dict[str, Asset]:
    """All files by their path below /ui/."""
    found: dict[str, Asset] = {}
    _gather(files("yurt.server.http") / "ui", "", found)
    return found


def _gather(folder: Traversable, prefix: str, found: dict[str, Asset]) -> None:
    for one in folder.iterdir():
        if one.is_dir():
            _gather(one, f"{prefix}{one.name}/", found)
            continue
        kind = _KINDS.get(f".{one.name.rpartition('.')[2]}")
        if kind is not None:
            body = one.read_bytes()
            tag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
            found[f"{prefix}{one.name}"] = Asset(kind, body, gzip.compress(body, 9), tag)


async def serve(request: Request) -> Response:
    """GET /ui/…: a file, or the page itself for a path of a view."""
    path = request.path_params["path"] or INDEX
    is_view = "." not in path.rpartition("/")[2] or path.startswith("jobs/")  # names of jobs may have dots
    return answer(request, assets().get(path) or (assets()[INDEX] if is_view else None))


async def describe(request: Request) -> Response:
    """GET /docs: the API's description as a page."""
    return answer(request, assets()["docs.html"])


def answer(request: Request, asset: Asset | None) -> Response:
    """A file, as the client wants it."""
    if asset is None:
        return Response(status_code=404, headers=HEADERS)
    headers = {**HEADERS, "ETag": asset.tag}
    if request.headers.get("if-none-match") == asset.tag:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(asset.packed, media_type=asset.kind, headers={**headers, "Content-Encoding": "gzip"})
    return Response(asset.body, media_type=asset.kind, headers=headers)
