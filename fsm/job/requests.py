"""Bodies of requests about jobs (spec jobs-api §3). Members that a request ignores are not here.

`wire_type` is the request's name in the texts of errors.
"""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

import msgspec

from yurt.fsm.job.decode import decode_body
from yurt.fsm.structs.base import Record
from yurt.fsm.structs.constraint import UInt64
from yurt.fsm.structs.job import Job, JobSubmission
from yurt.fsm.structs.namespace import Namespace

R = TypeVar("R", bound=Record)


class RegisterRequest(Record, frozen=True):
    """POST /v1/jobs, /v1/job/:id and /v1/validate/job."""

    wire_type: ClassVar[str] = "JobRegisterRequest"
    job: Job | None = None
    submission: JobSubmission | None = None
    enforce_index: bool = False
    job_modify_index: UInt64 = 0
    policy_override: bool = False
    preserve_counts: bool = False
    preserve_resources: bool = False
    eval_priority: int = 0
    region: str = ""
    namespace: str = ""


class JobPlanRequest(Record, frozen=True):
    """POST /v1/job/:id/plan (errors of the body name it)."""

    job: Job | None = None
    diff: bool = False
    policy_override: bool = False
    region: str = ""
    namespace: str = ""


class DispatchRequest(Record, frozen=True):
    """POST /v1/job/:id/dispatch."""

    wire_type: ClassVar[str] = "JobDispatchRequest"
    job_id: str = ""
    payload: bytes | None = None
    meta: dict[str, str] | None = None
    id_prefix_template: str = ""
    priority: int = 0
    namespace: str = ""
    region: str = ""


class RevertRequest(Record, frozen=True):
    """POST /v1/job/:id/revert."""

    wire_type: ClassVar[str] = "JobRevertRequest"
    job_id: str = ""
    job_version: UInt64 = 0
    tagged_version: str = ""
    enforce_prior_version: UInt64 | None = None
    namespace: str = ""
    region: str = ""


class StableRequest(Record, frozen=True):
    """POST /v1/job/:id/stable."""

    wire_type: ClassVar[str] = "JobStabilityRequest"
    job_id: str = ""
    job_version: UInt64 = 0
    stable: bool = False
    namespace: str = ""
    region: str = ""


class EvalOptions(Record, frozen=True):
    """How a job is evaluated by hand."""

    force_reschedule: bool = False


class EvaluateRequest(Record, frozen=True):
    """POST /v1/job/:id/evaluate."""

    wire_type: ClassVar[str] = "JobEvaluateRequest"
    job_id: str = ""
    eval_options: EvalOptions = EvalOptions()
    namespace: str = ""
    region: str = ""


class ScaleTarget(Record, frozen=True):
    """The target of a scaling request."""

    job: str = ""
    group: str = ""
    namespace: str = ""


class ScaleRequest(Record, frozen=True):
    """POST /v1/job/:id/scale."""

    wire_type: ClassVar[str] = "ScalingRequest"
    target: ScaleTarget = ScaleTarget()
    count: int | None = None
    message: str = ""
    error: bool = False
    meta: dict[str, Any] | None = None
    policy_override: bool = False
    job_modify_index: UInt64 = 0
    namespace: str = ""
    region: str = ""


class TagRequest(Record, frozen=True):
    """POST /v1/job/:id/versions/:tag/tag."""

    wire_type: ClassVar[str] = "TagVersionRequest"
    version: UInt64 | None = None
    description: str = ""
    latest: bool = False


class NamespaceRequest(Namespace, frozen=True):
    """PUT /v1/namespace."""


class JobsParseRequest(Record, frozen=True):
    """POST /v1/jobs/parse."""

    job_hcl: str = msgspec.field(default="", name="JobHCL")
    variables: str = ""
    canonicalize: bool = False


def decode_request(body: bytes, request: type[R]) -> R:
    """The typed request of a body; raises Refusal(400)."""
    return msgspec.convert(decode_body(body, request), request)
