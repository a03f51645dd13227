"""What is filled in, moved and dropped on the way in (spec job-model §3)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from yurt.fsm.job.canonicalize import canonicalize
from yurt.fsm.job.decode import decode_body
from yurt.fsm.job.requests import RegisterRequest
from yurt.fsm.structs.base import to_json


def stored(group: dict[str, Any] | None = None, task: dict[str, Any] | None = None, **job: Any) -> Any:
    tasks = [{"Name": "t", "Driver": "d", **(task or {})}]
    given = {"ID": "j", "TaskGroups": [{"Name": "g", "Tasks": tasks, **(group or {})}], **job}
    body = decode_body(json.dumps({"Job": given}).encode(), RegisterRequest)["Job"]
    return json.loads(to_json(canonicalize(body, namespace="default", region="global")))


def pick(found: Any, path: str) -> Any:
    for step in path.split("."):
        found = found[int(step)] if step.isdecimal() else found[step]
    return found


SERVICE = "TaskGroups.0.Services.0"


@pytest.mark.parametrize(
    ("job", "path", "value"),
    [
        ({"Payload": ""}, "Payload", None),
        ({"Payload": "aGk="}, "Payload", "aGk="),
        ({"Version": 7, "Stop": True, "VaultNamespace": "v"}, "Version", 7),
        ({"Status": "x", "StatusDescription": "y"}, "StatusDescription", ""),
        ({"ConsulNamespace": "n"}, "ConsulNamespace", ""),
        ({"Name": "", "Datacenters": []}, "Name", "j"),
        ({"Update": {"MaxParallel": 0}}, "Update.Stagger", 0),
        ({"Update": {"MaxParallel": 0}}, "TaskGroups.0.Update.Stagger", 30 * 10**9),
        ({"Update": dict.fromkeys(("Stagger", "MaxParallel", "MinHealthyTime", "HealthyDeadline", "ProgressDeadline"), 0) | {"HealthCheck": ""}}, "TaskGroups.0.Update", None),
        ({"Type": "batch", "Update": {}}, "TaskGroups.0.Update.MaxParallel", 1),
        ({"Periodic": {"TimeZone": ""}}, "Periodic", {"Enabled": True, "Spec": "", "Specs": [], "SpecType": "cron", "ProhibitOverlap": False, "TimeZone": "UTC"}),
    ],
)  # fmt: skip
def test_jobs(job: dict[str, Any], path: str, value: Any) -> None:
    assert pick(stored(**job), path) == value


@pytest.mark.parametrize(
    ("group", "path", "value"),
    [
        ({"Scaling": {"Max": 5, "Min": 2}}, "Count", 2),
        ({"Scaling": {"Max": 5}, "Count": 3}, "Scaling.Min", 3),
        ({"Scaling": {"Max": 5, "ID": "x", "Target": {"Group": "other"}}}, "Scaling.Target", {"Namespace": "default", "Job": "j", "Group": "other"}),
        ({"Consul": {"Cluster": ""}}, "Consul", {"Namespace": "", "Cluster": "default", "Partition": ""}),
        ({"Disconnect": {"Reconcile": ""}}, "Disconnect.Reconcile", "best_score"),
        ({"Volumes": {"a": {"Type": "host"}, "b": {"Type": "x"}}}, "Volumes.a.Type", "host"),
        ({"Volumes": {"b": {"Type": "x"}}}, "Volumes", None),
        ({"MaxClientDisconnect": 5, "PreventRescheduleOnLost": True}, "PreventRescheduleOnLost", False),
        ({"Services": [{}]}, "Services.0.Name", "j-g"),
        ({"Services": [{"Name": "${JOB}-${TASKGROUP}-${TASK}"}]}, "Services.0.Name", "j-g-group"),
        ({"Services": [{"Name": "${BASE}", "Provider": "nomad", "Namespace": "x"}]}, "Services.0.Name", "j-g-group"),
        ({"Services": [{"Weights": {"Passing": 0}}]}, "Services.0.Weights", {"Passing": 1, "Warning": 1}),
        ({"Services": [{"Checks": [{"SuccessBeforePassing": -1, "FailuresBeforeCritical": -2, "FailuresBeforeWarning": -3}]}]}, "Services.0.Checks.0.FailuresBeforeCritical", 0),
        ({"Services": [{"CheckRestart": {"Limit": 3}, "Checks": [{"CheckRestart": {"Grace": 5}}]}]}, "Services.0.Checks.0.CheckRestart", {"Limit": 3, "Grace": 5, "IgnoreWarnings": False}),
        ({"Services": [{"OnUpdate": "ignore", "Checks": [{}]}]}, "Services.0.Checks.0.OnUpdate", "ignore"),
        ({"Services": [{"Connect": {"Gateway": {"Ingress": {"Listeners": [{"Port": 5}]}}}}]}, "Services.0.Connect.Gateway.Proxy.ConnectTimeout", 5 * 10**9),
        ({"Networks": [{"Device": "eth0", "DynamicPorts": [{"Label": "a"}]}]}, "Networks", [{"DynamicPorts": [{"Label": "a", "HostNetwork": "default"}]}]),
    ],
)  # fmt: skip
def test_groups(group: dict[str, Any], path: str, value: Any) -> None:
    assert pick(stored(group)["TaskGroups"][0], path) == value


def test_the_jobs_consul_namespace_seeds_its_groups() -> None:
    assert pick(stored(ConsulNamespace="n"), "TaskGroups.0.Consul.Namespace") == "n"
    assert pick(stored({"Consul": {"Partition": "p"}}, ConsulNamespace="n"), "TaskGroups.0.Consul.Namespace") == "n"
    assert pick(stored({"Consul": {"Namespace": "m"}}, ConsulNamespace="n"), "TaskGroups.0.Consul.Namespace") == "m"


@pytest.mark.parametrize(
    ("task", "path", "value"),
    [
        ({"KillTimeout": 0}, "KillTimeout", 5 * 10**9),
        ({"Resources": {"Cores": 2}}, "Resources.CPU", 0),
        ({"Resources": {"CPU": 0, "DiskMB": 5, "NUMA": {"Affinity": ""}}}, "Resources.NUMA.Affinity", "none"),
        ({"Schedule": {}}, "Schedule", None),
        ({"Vault": {"ChangeSignal": "sigint"}}, "Vault.ChangeSignal", "SIGINT"),
        ({"Templates": [{"ChangeMode": "signal"}]}, "Templates.0.ChangeSignal", "SIGHUP"),
        ({"Templates": [{"ChangeMode": "signal", "ChangeSignal": ""}]}, "Templates.0.ChangeSignal", ""),
        ({"Artifacts": [{"GetterSource": "http://x/a/b.tgz", "GetterMode": "file"}]}, "Artifacts.0.RelativeDest", "local/b.tgz"),
        ({"Identity": {"ChangeMode": "signal", "ChangeSignal": "sighup", "Audience": ["x"]}}, "Identity.ChangeSignal", "SIGHUP"),
        ({"Identity": {"Audience": ["x"]}}, "Identity.Audience", ["nomadproject.io"]),
        ({"Identities": [{"Name": "default", "File": True}]}, "Identities", []),
        ({"Identities": [{"Name": "default", "File": True}]}, "Identity.File", True),
        ({"Identities": [{"Name": "default"}, {"Name": "default"}]}, "Identities.0.Name", "default"),
        ({"Services": [{"TaskName": "other"}]}, "Services.0.TaskName", "other"),
        ({"Services": [{}]}, "Services.0.TaskName", "t"),
        ({"Services": [{"Name": "${BASE}"}]}, "Services.0.Name", "j-g-t"),
        ({"VolumeMounts": [{"PropagationMode": ""}]}, "VolumeMounts.0.PropagationMode", "private"),
        ({"RestartPolicy": {"Attempts": 9}}, "RestartPolicy.Mode", "fail"),
        ({"Meta": {}, "Env": {}, "Config": {}}, "Config", None),
        ({"Templates": [{"ChangeScript": {"Args": []}}]}, "Templates.0.ChangeScript.Args", []),
    ],
)  # fmt: skip
def test_tasks(task: dict[str, Any], path: str, value: Any) -> None:
    assert pick(stored(task=task)["TaskGroups"][0]["Tasks"][0], path) == value
