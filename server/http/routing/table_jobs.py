"""The part of the route table that is about jobs: /v1/jobs…, /v1/job/… (spec jobs-api §3)."""

from __future__ import annotations

from typing import Any

from yurt.fsm.job.requests import (
    DispatchRequest,
    EvaluateRequest,
    JobPlanRequest,
    JobsParseRequest,
    RegisterRequest,
    RevertRequest,
    ScaleRequest,
    StableRequest,
    TagRequest,
)
from yurt.fsm.structs.allocation import AllocationStub
from yurt.fsm.structs.deployment import Deployment
from yurt.fsm.structs.evaluation import Evaluation
from yurt.fsm.structs.job import Job, JobSubmission, JobSummary
from yurt.fsm.structs.policies import ScalingPolicy
from yurt.fsm.structs.registration import ServiceRegistration
from yurt.server.http.asgi.answers import IndexAnswer
from yurt.server.http.routes import (
    allocations,
    client,
    job_statuses,
    jobs_change,
    jobs_parse,
    jobs_read,
    jobs_write,
    scaling,
)
from yurt.server.http.routing.route import JOB_BYTES_MAX, REFUSED, Route

_J, _C = "/v1/job/:id", "list-jobs"
_R, _D = "its submit-job|register-job", "submit-job|deregister-job|purge-job"

JOBS_FIXED: tuple[Route, ...] = (
    Route(
        "/v1/jobs", _C, put_capability=_R,
        get=jobs_read.list_jobs, answer=list[jobs_read.JobStub],
        put=jobs_write.register, body=RegisterRequest, body_bytes_max=JOB_BYTES_MAX,
        put_answer=jobs_write.JobRegisterAnswer,
    ),
    Route(
        "/v1/jobs/parse", "parse-job", local=True,
        put=jobs_parse.parse, body=JobsParseRequest, body_bytes_max=JOB_BYTES_MAX, put_answer=dict[str, Any],
    ),
    Route(
        "/v1/validate/job", "its read-job", local=True,
        put=jobs_write.validate, body=RegisterRequest, body_bytes_max=JOB_BYTES_MAX,
        put_answer=jobs_write.JobValidateAnswer,
    ),
    Route(
        "/v1/jobs/statuses", "read-job", reads_by_post=True,
        get=job_statuses.statuses, body=job_statuses.StatusesRequest, answer=list[job_statuses.JobStatus],
    ),
    Route("/v1/scaling/policies", "own", get=scaling.list_policies, answer=list[scaling.ScalingPolicyStub]),
)  # fmt: skip

JOB = Route(
    _J, "read-job", put_capability=_R, delete_capability=_D,
    get=jobs_read.read_job, answer=Job,
    put=jobs_write.register, body=RegisterRequest, body_bytes_max=JOB_BYTES_MAX,
    put_answer=jobs_write.JobRegisterAnswer,
    delete=jobs_write.deregister, delete_answer=jobs_write.JobDeregisterAnswer,
)  # fmt: skip
# In this order: the first ending that fits is the endpoint.
JOB_SUFFIXES: tuple[tuple[str, Route], ...] = tuple(
    (route.path.removeprefix(_J), route)
    for route in (
        Route(
            f"{_J}/evaluate", "its submit-job|evaluate-job",
            put=jobs_write.evaluate, body=EvaluateRequest, put_answer=jobs_write.JobRegisterAnswer,
        ),
        Route(f"{_J}/allocations", "read-job", get=allocations.job_allocations, answer=list[AllocationStub]),
        Route(f"{_J}/evaluations", "read-job", get=jobs_read.job_evaluations, answer=list[Evaluation]),
        Route(
            f"{_J}/periodic/force", "dispatch-job|submit-job|force-periodic-job",
            put=jobs_change.force_periodic, put_answer=jobs_change.LaunchAnswer,
        ),
        Route(
            f"{_J}/plan", "its submit-job|plan-job",
            put=jobs_change.plan, body=JobPlanRequest, body_bytes_max=JOB_BYTES_MAX, put_answer=jobs_change.PlanAnswer,
        ),
        Route(f"{_J}/summary", "read-job", get=jobs_read.read_summary, any_method=True, answer=JobSummary),
        Route(
            f"{_J}/dispatch", "its dispatch-job",
            put=jobs_change.dispatch, body=DispatchRequest, put_answer=jobs_change.DispatchAnswer,
        ),
        Route(
            f"{_J}/dispatch/payload", "its dispatch-job",
            put=jobs_change.dispatch_payload, put_answer=jobs_change.DispatchAnswer,
        ),
        Route(
            f"{_J}/versions", "read-job", any_method=True,
            get=jobs_read.read_versions, answer=jobs_read.VersionsAnswer,
        ),
        Route(
            f"{_J}/revert", "its submit-job|revert-job",
            put=jobs_write.revert, body=RevertRequest, put_answer=jobs_write.JobRegisterAnswer,
        ),
        Route(f"{_J}/deployments", "read-job", get=jobs_read.job_deployments, answer=list[Deployment]),
        Route(f"{_J}/deployment", "read-job", get=jobs_read.job_deployment, answer=Deployment | None),
        Route(
            f"{_J}/stable", "its submit-job|stable-job",
            put=jobs_write.stable, body=StableRequest, put_answer=IndexAnswer,
        ),
        Route(
            f"{_J}/scale", "read-job|read-job-scaling", put_capability="scale-job|submit-job",
            get=jobs_read.read_scale, answer=jobs_read.ScaleAnswer,
            put=jobs_change.scale, body=ScaleRequest, put_answer=jobs_write.JobRegisterAnswer,
        ),
        Route(f"{_J}/services", "read-job", get=jobs_read.job_services, answer=list[ServiceRegistration]),
        Route(f"{_J}/submission", "read-job", get=jobs_read.read_submission, answer=JobSubmission),
        Route(f"{_J}/actions", "read-job", getter=jobs_read.job_actions, answer=list[jobs_read.JobAction]),
        Route(f"{_J}/action", "its alloc-exec", getter=client.no_websocket, any_method=True, answer=REFUSED),
    )
)  # fmt: skip
TAG = Route(
    f"{_J}/versions/:tag/tag", "submit-job|tag-job-version",
    put=jobs_change.tag, body=TagRequest, put_answer=jobs_change.TagAnswer,
    delete=jobs_change.untag, delete_answer=jobs_change.TagAnswer,
)  # fmt: skip
SCALING_PREFIX = Route("/v1/scaling/policy/:id", "own", get=scaling.read_policy, answer=ScalingPolicy)
