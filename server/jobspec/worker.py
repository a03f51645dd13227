"""A process that parses job files for a server: frames on standard input and output, one answer a request.

A frame is four bytes of length, most significant first, then JSON. Memory is limited; time is the parent's matter:
it ends a process that takes too long. The process ends by itself when its input does.
"""

from __future__ import annotations

import resource
import sys
from typing import Any, BinaryIO

import orjson

MEMORY_BYTES_MAX = 1 << 30
LENGTH_BYTES = 4
FILE = "input.hcl"


def answer(request: dict[str, Any]) -> bytes:
    """The answer's body: one byte, 1 for a job and 0 for an error text, then the job's JSON or the text."""
    from yurt.server.hcl.diagnostics import HclError
    from yurt.server.jobspec.parse import Inputs, parse_job

    variables = request["variables"]
    inputs = Inputs(files=[(FILE, variables)] if variables else [])
    try:
        job = parse_job(request["source"], FILE, inputs, canonical=request["canonical"])
    except HclError as error:
        return b"\0" + str(error).encode("utf-8", "replace")
    except MemoryError:
        return b"\0" + limit_text("Parsing takes too much memory.").encode()
    return b"\1" + orjson.dumps(job)


def limit_text(detail: str) -> str:
    """The text of a limit that has no place in the source."""
    return f"<nil>: Limit exceeded; {detail}"


def serve(incoming: BinaryIO, outgoing: BinaryIO) -> None:
    """Answer requests until the input ends."""
    while len(length := incoming.read(LENGTH_BYTES)) == LENGTH_BYTES:
        body = answer(orjson.loads(incoming.read(int.from_bytes(length))))
        outgoing.write(len(body).to_bytes(LENGTH_BYTES) + body)
        outgoing.flush()


def main() -> None:
    """Run as a process of a server."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    # Loaded before the first request comes, so that it need not wait.
    answer({"source": 'job "warm" {}', "variables": "", "canonical": True})
    serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
