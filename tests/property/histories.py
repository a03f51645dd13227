"""Random command histories: few names, so that commands meet each other's work."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.property.acl_histories import acl_commands
from tests.property.node_histories import node_commands, placements, start_nodes
from tests.property.variable_histories import variable_commands
from yurt.fsm import commands as c
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.deployment import Deployment, DeploymentState
from yurt.fsm.structs.evaluation import Evaluation
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import Job, JobSubmission, JobSummary, ParameterizedJob, Periodic
from yurt.fsm.structs.namespace import Namespace
from yurt.fsm.structs.node import NodePool
from yurt.fsm.structs.operator import AutopilotConfiguration, SchedulerConfiguration
from yurt.fsm.structs.policies import ScalingPolicy
from yurt.fsm.structs.task import Task

plain_ids = st.sampled_from(["web", "web2", "db"])
job_ids = st.one_of(plain_ids, st.sampled_from(["cron", "tmpl"]))
children = st.sampled_from(["tmpl/dispatch-1-x", "tmpl/dispatch-2-y", "cron/periodic-60", "cron/periodic-120"])
any_ids = st.one_of(job_ids, children)
spaces = st.sampled_from(["default", "default", "default", "team"])
ids = st.sampled_from([f"e{number}" for number in range(12)])
names = st.sampled_from(["g", "h"])
times = st.integers(0, 10**10)
tags = st.sampled_from(["v", "stable", "old"])
metas = st.one_of(st.none(), st.dictionaries(st.sampled_from(["a", "b", "c"]), st.sampled_from(["1", "2"]), max_size=3))
configs = st.dictionaries(
    st.sampled_from(["command", "args", "n"]),
    st.one_of(st.integers(-5, 5), st.just(0.5), st.lists(st.text(max_size=3))),
)
few = st.integers(1, 3)
kept = st.integers(2, 4)

tasks = st.builds(Task, name=st.just("t"), driver=st.just("exec"), config=configs, env=metas)
policies = st.one_of(st.none(), st.builds(ScalingPolicy, min=st.just(0), max=st.integers(2, 5)))
groups = st.builds(
    TaskGroup, name=names, count=st.integers(0, 3), tasks=st.tuples(tasks), scaling=policies, meta=metas,
)  # fmt: skip
group_lists = st.lists(groups, min_size=1, max_size=2, unique_by=lambda group: group.name).map(tuple)


def shaped(job: Job) -> Job:
    """The shape follows from the ID, as jobs may not change what they are."""
    if job.id == "cron":
        periodic: Job = replace(job, type="batch", periodic=Periodic(spec="* * * * *"))
        return periodic
    if job.id == "tmpl":
        rules = ParameterizedJob(meta_optional=("a", "b", "c"))
        parameterized: Job = replace(job, type="batch", parameterized_job=rules)
        return parameterized
    return job


jobs = st.builds(
    Job, id=job_ids, name=job_ids, namespace=spaces, priority=st.integers(1, 99), task_groups=group_lists, meta=metas,
    version=st.integers(0, 2),
).map(shaped)  # fmt: skip
submissions = st.one_of(
    st.none(),
    st.builds(JobSubmission, source=st.text(max_size=5), format=st.just("hcl2"), variable_flags=metas, job_id=any_ids),
)
evaluations = st.builds(
    Evaluation, id=ids, namespace=spaces, job_id=any_ids, type=st.just("service"), priority=st.just(50),
    status=st.sampled_from(["pending", "blocked", "complete", "failed", "canceled"]),
    queued_allocations=st.one_of(st.none(), st.dictionaries(names, st.integers(0, 3), max_size=2)),
)  # fmt: skip
deployments = st.builds(
    Deployment, id=ids, namespace=spaces, job_id=any_ids, job_version=st.integers(0, 3),
    task_groups=st.dictionaries(names, st.builds(DeploymentState, desired_total=few), max_size=2),
    status=st.sampled_from(["running", "successful", "failed"]),
)  # fmt: skip
updates = st.builds(
    c.DeploymentUpdate, deployment_id=ids, description=st.text(max_size=3),
    status=st.sampled_from(["running", "paused", "successful", "cancelled"]),
)  # fmt: skip
evaluation_lists = st.lists(evaluations, max_size=3).map(tuple)
id_lists = st.lists(ids, max_size=6).map(tuple)

registrations = st.builds(
    c.RegisterJob, now_ns=times, job=jobs, submission=submissions, enforce_index=st.sampled_from([False, False, True]),
    job_modify_index=st.integers(0, 8), preserve_counts=st.booleans(), preserve_resources=st.booleans(), eval_id=ids,
    scaling_policy_ids=st.just(("p1", "p2")), versions_kept=kept,
)  # fmt: skip
dispatches = st.builds(
    c.DispatchJob, now_ns=times, namespace=spaces, job_id=st.just("tmpl"), meta=metas, payload=st.binary(max_size=4),
    child_id=children, idempotency_token=st.sampled_from(["", "token"]), eval_id=ids,
)  # fmt: skip
others: dict[type[c.Command], st.SearchStrategy[Any]] = {
    c.DeregisterJob: st.builds(
        c.DeregisterJob, now_ns=times, namespace=spaces, job_id=any_ids, purge=st.booleans(), eval_id=ids,
        versions_kept=kept,
    ),
    c.DeregisterFamily: st.builds(
        c.DeregisterFamily, now_ns=times, namespace=spaces, job_id=any_ids, purge=st.booleans(), eval_id=ids,
        versions_kept=kept,
    ),
    c.RevertJob: st.builds(
        c.RevertJob, now_ns=times, namespace=spaces, job_id=any_ids, version=st.integers(0, 3),
        tag=st.sampled_from(["", "v"]), eval_id=ids, versions_kept=kept,
    ),
    c.SetJobStability: st.builds(
        c.SetJobStability, namespace=spaces, job_id=any_ids, version=st.integers(0, 3), stable=st.booleans()
    ),
    c.TagJobVersion: st.builds(
        c.TagJobVersion, now_ns=times, namespace=spaces, job_id=any_ids, tag=tags,
        version=st.one_of(st.none(), st.integers(0, 3)), versions_kept=kept,
    ),
    c.UntagJobVersion: st.builds(
        c.UntagJobVersion, namespace=spaces, job_id=any_ids, tag=tags, versions_kept=kept
    ),
    c.ScaleJob: st.builds(
        c.ScaleJob, now_ns=times, namespace=spaces, job_id=any_ids, group=names, meta=metas, eval_id=ids,
        count=st.one_of(st.none(), st.integers(0, 5)), error=st.booleans(), versions_kept=kept,
    ),
    c.DispatchJob: dispatches,
    c.LaunchPeriodicJob: st.builds(
        c.LaunchPeriodicJob, now_ns=times, namespace=spaces, job_id=job_ids, eval_id=ids, versions_kept=kept,
        launch_seconds=st.sampled_from([60, 120]),
    ),
    c.EvaluateJob: st.builds(
        c.EvaluateJob, now_ns=times, namespace=spaces, job_id=any_ids, eval_id=ids, force_reschedule=st.booleans()
    ),
    c.UpdateEvaluations: st.builds(c.UpdateEvaluations, now_ns=times, evaluations=evaluation_lists),
    c.ApplyPlan: st.builds(
        c.ApplyPlan, now_ns=times, eval_id=ids, deployment=st.one_of(st.none(), deployments),
        deployment_updates=st.lists(updates, max_size=2).map(tuple), evaluations=evaluation_lists, **placements,
    ),
    c.CollectGarbage: st.builds(
        c.CollectGarbage, now_ns=times, evaluation_ids=id_lists, deployment_ids=id_lists,
        jobs=st.lists(st.tuples(spaces, any_ids), max_size=4).map(tuple),
        allocation_ids=st.sampled_from([(), ("a1", "a2")]), node_ids=st.sampled_from([(), ("n1", "n2")]),
        keeps_tagged=st.booleans(),
    ),
    c.UpsertNodePool: st.builds(
        c.UpsertNodePool, pool=st.builds(NodePool, name=st.sampled_from(["gpu", "default"]), meta=metas)
    ),
    c.DeleteNodePool: st.builds(c.DeleteNodePool, name=st.sampled_from(["gpu", "gpu", "all"])),
    c.UpsertNamespace: st.builds(
        c.UpsertNamespace, namespace=st.builds(Namespace, name=st.sampled_from(["team", "default"]), meta=metas)
    ),
    c.DeleteNamespace: st.builds(c.DeleteNamespace, name=st.sampled_from(["team", "nowhere"])),
    c.SetSchedulerConfiguration: st.builds(
        c.SetSchedulerConfiguration, cas=st.one_of(st.none(), st.integers(0, 5)),
        configuration=st.builds(SchedulerConfiguration, scheduler_algorithm=st.sampled_from(["binpack", "spread"])),
    ),
    c.SetAutopilotConfiguration: st.builds(
        c.SetAutopilotConfiguration, cas=st.one_of(st.none(), st.integers(0, 5)),
        configuration=st.builds(AutopilotConfiguration, min_quorum=st.integers(0, 5)),
    ),
    c.ReconcileSummaries: st.builds(
        c.ReconcileSummaries, summaries=st.one_of(st.none(), st.tuples(st.builds(JobSummary, job_id=any_ids, namespace=spaces)))
    ),
    **node_commands,
    **acl_commands,
    **variable_commands,
}  # fmt: skip
assert {c.RegisterJob, *others} == set(c.COMMANDS), "every command is in the histories"

any_command = st.one_of(registrations, registrations, dispatches, *others.values())
payloads = any_command.map(c.encode)


def start() -> list[bytes]:
    """Something of everything, for the random commands to work on."""
    made: list[c.Command] = [c.UpsertNamespace(namespace=Namespace(name="team"))]
    for number, name in enumerate(("web", "db", "cron", "tmpl")):
        for count in (1, 2):
            groups = (TaskGroup(name="g", count=count, scaling=ScalingPolicy(max=4)), TaskGroup(name="h"))
            job = shaped(Job(id=name, name=name, task_groups=groups))
            made.append(c.RegisterJob(now_ns=count, job=job, eval_id=f"e{number}", scaling_policy_ids=("p1", "p2")))
    made += [
        c.TagJobVersion(namespace="default", job_id="web", tag="v", version=0),
        c.TagJobVersion(namespace="default", job_id="db", tag="w", version=0),
        c.UntagJobVersion(namespace="default", job_id="db", tag="w"),
        c.DispatchJob(namespace="default", job_id="tmpl", child_id="tmpl/dispatch-1-x", eval_id="e5"),
        c.LaunchPeriodicJob(namespace="default", job_id="cron", launch_seconds=60, eval_id="e6"),
    ]
    return [c.encode(command) for command in (*made, *start_nodes())]


histories = st.one_of(
    st.lists(payloads, max_size=15), st.lists(payloads, min_size=20, max_size=45).map(lambda more: [*start(), *more])
)
