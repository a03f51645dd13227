"""A parsed job with its defaults filled in, as clients show it (spec jobspec-hcl §14).

It is not what registration makes of the job (`fsm.job.canonicalize`): members stay that the servers would drop.
"""

from __future__ import annotations

import copy
from typing import Any

from yurt.fsm.job.defaults import MIGRATE, UPDATE, reschedule, restart
from yurt.server.jobspec.canonical_service import canonicalize_service
from yurt.server.jobspec.canonical_task import canonicalize_task, fill, set_weights

_JOB: dict[str, Any] = {
    "ParentID": "", "ConsulNamespace": "", "VaultNamespace": "", "NomadTokenID": "", "Status": "",
    "StatusDescription": "", "NodePool": "", "Namespace": "default", "Priority": 50, "Stop": False, "AllAtOnce": False,
    "Stable": False, "Region": "global", "Type": "service", "Version": 0, "CreateIndex": 0, "ModifyIndex": 0,
    "JobModifyIndex": 0,
}  # fmt: skip
_PERIODIC: dict[str, Any] = {
    "Enabled": True, "Spec": "", "Specs": [], "SpecType": "cron", "ProhibitOverlap": False, "TimeZone": "UTC",
}  # fmt: skip
_NO_RESCHEDULE: dict[str, Any] = {
    "Attempts": 0, "Interval": 0, "Delay": 0, "DelayFunction": "", "MaxDelay": 0, "Unlimited": False,
}  # fmt: skip
_DISK = {"Sticky": False, "Migrate": False, "SizeMB": 300}


def canonicalize(job: dict[str, Any]) -> dict[str, Any]:
    """The job, changed in place."""
    fill(job, _JOB)
    job["Name"] = job["Name"] or job["ID"]
    if job["Periodic"] is not None:
        fill(job["Periodic"], _PERIODIC)
        job["Periodic"]["TimeZone"] = job["Periodic"]["TimeZone"] or "UTC"
    if job["Multiregion"] is not None:
        _multiregion(job["Multiregion"])
    given = job["Update"]
    if given is not None:
        fill(given, UPDATE)
    elif job["Type"] in ("service", "system"):
        job["Update"] = dict(UPDATE)
    set_weights(job)
    for group in job["TaskGroups"] or ():
        _group(group, job)
    return job


def _multiregion(found: dict[str, Any]) -> None:
    if found["Strategy"] is None:
        found["Strategy"] = {"MaxParallel": None, "OnFailure": None}
    fill(found["Strategy"], {"MaxParallel": 0, "OnFailure": ""})
    found["Regions"] = found["Regions"] or []
    for region in found["Regions"]:
        fill(region, {"Count": 1, "Datacenters": [], "Meta": {}})


def _group(group: dict[str, Any], job: dict[str, Any]) -> None:
    scaling = group["Scaling"]
    if group["Count"] is None:
        group["Count"] = scaling["Min"] if scaling is not None and scaling["Min"] is not None else 1
    if scaling is not None:
        fill(scaling, {"Enabled": True, "Min": group["Count"]})
        scaling["Type"] = scaling["Type"] or "horizontal"
    _consul(group, job)
    group["EphemeralDisk"] = _filled(group["EphemeralDisk"], _DISK)
    _policies(group, job)
    if group["Disconnect"] is not None:
        fill(group["Disconnect"], {"Replace": True, "Reconcile": "best_score"})
    set_weights(group)
    for service in group["Services"] or ():
        canonicalize_service(service, job["ID"], group["Name"], "")
    for task in group["Tasks"] or ():
        canonicalize_task(task, group, job)
        for service in task["Services"] or ():
            canonicalize_service(service, job["ID"], group["Name"], task["Name"])


def _consul(group: dict[str, Any], job: dict[str, Any]) -> None:
    if group["Consul"] is not None:
        group["Consul"]["Cluster"] = group["Consul"]["Cluster"] or "default"
        group["Consul"]["Namespace"] = group["Consul"]["Namespace"] or job["ConsulNamespace"]


def _filled(given: dict[str, Any] | None, defaults: dict[str, Any]) -> dict[str, Any]:
    found = given if given is not None else dict.fromkeys(defaults)
    fill(found, defaults)
    return found


def _policies(group: dict[str, Any], job: dict[str, Any]) -> None:
    kind = job["Type"]
    of_job, own = job["Update"], group["Update"]
    if own is not None or (of_job is not None and any(of_job.values())):
        group["Update"] = _over(dict(of_job or UPDATE), own)
    restart_ = {**restart(kind), "RenderTemplates": False}
    group["RestartPolicy"] = _filled(group["RestartPolicy"], restart_)
    of_kind = reschedule(kind)
    if of_kind is not None or job["Reschedule"] is not None or group["ReschedulePolicy"] is not None:
        base = _over(dict(of_kind or _NO_RESCHEDULE), job["Reschedule"])
        group["ReschedulePolicy"] = _over(base, group["ReschedulePolicy"])
    if kind == "service" or job["Migrate"] is not None or group["Migrate"] is not None:
        base = _over(dict(MIGRATE), job["Migrate"])
        group["Migrate"] = _over(base, group["Migrate"])


def _over(base: dict[str, Any], given: dict[str, Any] | None) -> dict[str, Any]:
    return copy.copy(base | {name: value for name, value in (given or {}).items() if value is not None})
