"""POST /v1/jobs/parse: a job file in, the job as JSON out (spec jobspec-hcl §1, jobs-api §3.3)."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from yurt.fsm.errors import Refusal
from yurt.fsm.job.requests import JobsParseRequest, decode_request
from yurt.server.http.asgi.context import Answer, Context, json_answer
from yurt.server.http.query.parsing import Parsing
from yurt.server.server import Server

_parsing: WeakKeyDictionary[Server, Parsing] = WeakKeyDictionary()


async def parse(context: Context) -> Answer:
    """The job of a source, canonical if that is asked for; nothing is stored."""
    request = decode_request(context.body, JobsParseRequest)
    if not request.job_hcl:
        raise Refusal(400, "Job spec is empty")
    parsing = _parsing.setdefault(context.server, Parsing())
    source, variables = _sound(request.job_hcl), _sound(request.variables)
    return json_answer(await parsing.parse(source, variables, canonical=request.canonicalize))


def _sound(text: str) -> str:
    """The text without halves of characters, which JSON can hold and UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode()
