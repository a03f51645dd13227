"""A submitted job with everything filled in that it left out (spec job-model §3).

The first step works on the decoded dictionary, where absent and given members still differ; defaults merge from job to
group to task. The result is a frozen `Job`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from yurt.fsm.job import defaults
from yurt.fsm.job.canonicalize_service import canonicalize_services
from yurt.fsm.job.canonicalize_task import canonicalize_consul, canonicalize_networks, canonicalize_task
from yurt.fsm.structs.job import Job

# What clients send back from a read, and only the servers set.
_SERVER_SET = (
    "ParentID", "Dispatched", "DispatchIdempotencyToken", "NomadTokenID", "Status", "StatusDescription", "Stable",
    "SubmitTime", "CreateIndex", "ModifyIndex", "JobModifyIndex",
)  # fmt: skip
_DROPPED_OF_GROUPS = ("StopAfterClientDisconnect", "MaxClientDisconnect", "PreventRescheduleOnLost")


def canonicalize(body: dict[str, Any], *, namespace: str, region: str, priority: int = 50) -> Job:
    """The job of a request's dictionary (which is used up), in a namespace and region.

    `priority` is the configured default. Nothing is checked here but what the types say.
    """
    for name in _SERVER_SET:
        body.pop(name, None)
    consul_namespace = body.pop("ConsulNamespace", "")
    body["Namespace"], body["Region"] = namespace, region
    body["Type"] = job_type = body.get("Type") or "service"
    body["Name"] = body.get("Name") or body.get("ID", "")
    body["Priority"] = body.get("Priority") or priority
    body["Datacenters"] = body.get("Datacenters") or ["*"]
    body["NodePool"] = body.get("NodePool") or "default"
    _update(body, job_type)
    shared = {
        "Update": body["_update"],
        "Reschedule": body.pop("Reschedule", None),
        "Migrate": body.pop("Migrate", None),
    }
    for group in body.get("TaskGroups", ()):
        _group(group, body, shared)
        if consul_namespace:
            consul = group.setdefault("Consul", {})
            consul["Namespace"] = consul.get("Namespace") or consul_namespace
    del body["_update"]
    if not body.get("Payload"):
        body.pop("Payload", None)
    if "Periodic" in body:
        body["Periodic"].setdefault("SpecType", "cron")
        body["Periodic"]["TimeZone"] = body["Periodic"].get("TimeZone") or "UTC"
    if "ParameterizedJob" in body:
        body["ParameterizedJob"]["Payload"] = body["ParameterizedJob"].get("Payload") or "optional"
    return msgspec.convert(body, Job)


def _update(body: dict[str, Any], job_type: str) -> None:
    """The job's update block, whole for its groups, and the part of it that the job itself keeps."""
    given = body.pop("Update", None)
    whole = None
    if given is not None:
        whole = {**defaults.UPDATE, **given}
    elif job_type in ("service", "system"):
        whole = defaults.UPDATE
    body["_update"] = whole
    if whole is not None and whole["MaxParallel"] > 0:
        body["Update"] = {"Stagger": whole["Stagger"], "MaxParallel": whole["MaxParallel"]}


def _group(group: dict[str, Any], job: dict[str, Any], shared: dict[str, Any]) -> None:
    job_type, name = job["Type"], group.get("Name", "")
    for dropped in _DROPPED_OF_GROUPS:
        group.pop(dropped, None)
    if "Count" not in group:
        group["Count"] = group.get("Scaling", {}).get("Min", 1)
    group.setdefault("EphemeralDisk", {})
    if "Update" in group:
        group["Update"] = {**(shared["Update"] or defaults.UPDATE), **group["Update"]}
    elif shared["Update"] is not None and any(shared["Update"].values()):
        group["Update"] = shared["Update"]
    _merge(group, "ReschedulePolicy", defaults.reschedule(job_type), shared["Reschedule"])
    _merge(group, "Migrate", defaults.MIGRATE if job_type == "service" else None, shared["Migrate"])
    group["RestartPolicy"] = {**defaults.restart(job_type), **group.get("RestartPolicy", {})}
    if "Scaling" in group:
        _scaling(
            group["Scaling"], group["Count"], {"Namespace": job["Namespace"], "Job": job.get("ID", ""), "Group": name}
        )
    if "Disconnect" in group:
        group["Disconnect"]["Reconcile"] = group["Disconnect"].get("Reconcile") or "best_score"
    canonicalize_consul(group)
    if "Volumes" in group:
        kept = {key: volume for key, volume in group["Volumes"].items() if volume.get("Type") in ("host", "csi")}
        group["Volumes"] = kept or None
    canonicalize_networks(group.get("Networks"))
    canonicalize_services(group.get("Services"), job, group_name=name, task_name="")
    for task in group.get("Tasks", ()):
        canonicalize_task(task, job, group)


def _scaling(policy: dict[str, Any], count: int, target: dict[str, str]) -> None:
    """The bounds and the target of a policy; who it is only the servers say."""
    for server_set in ("ID", "CreateIndex", "ModifyIndex"):
        policy.pop(server_set, None)
    policy.setdefault("Min", count)
    policy["Type"] = policy.get("Type") or "horizontal"
    policy["Target"] = {**target, **{key: value for key, value in policy.get("Target", {}).items() if value}}


def _merge(group: dict[str, Any], name: str, default: dict[str, Any] | None, of_job: dict[str, Any] | None) -> None:
    """Group over job over default, member by member; nothing if none of them says anything."""
    given = group.get(name)
    if default is None and of_job is None and given is None:
        return
    group[name] = {**(default or {}), **(of_job or {}), **(given or {})}
