"""A service's defaults (spec jobspec-hcl §14)."""

from __future__ import annotations

from typing import Any

from yurt.fsm.job.defaults import SECOND
from yurt.server.jobspec.canonical_task import canonicalize_resources, fill
from yurt.server.jobspec.decode import empty_block

_DEFAULTS = {"AddressMode": "auto", "OnUpdate": "require_healthy", "Provider": "consul", "Cluster": "default"}
_THRESHOLDS = ("SuccessBeforePassing", "FailuresBeforeCritical", "FailuresBeforeWarning")
_MAPS = ("Add", "Config", "Env", "EnvoyGatewayBindAddresses", "Meta", "Set")
_LOGS = {"MaxFiles": 10, "MaxFileSizeMB": 10, "Disabled": False}


def canonicalize_service(service: dict[str, Any], job: str, group: str, task: str) -> None:
    """The service, changed in place; `task` is empty for one of a group."""
    service["Name"] = service["Name"] or "-".join(one for one in (job, group, task) if one)
    for name, value in _DEFAULTS.items():
        service[name] = service[name] or value
    for name in ("Meta", "CanaryMeta", "TaggedAddresses"):
        service[name] = service[name] or None
    if service["Weights"] is not None:
        for name in ("Passing", "Warning"):
            if service["Weights"][name] <= 0:
                service["Weights"][name] = 1
    for check in service["Checks"] or ():
        _check(check, service)
    if service["Connect"] is not None:
        _connect(service["Connect"])


def _check(check: dict[str, Any], service: dict[str, Any]) -> None:
    of_service, own = service["CheckRestart"], check["CheckRestart"]
    if of_service is not None or own is not None:
        merged = dict(of_service or empty_block("check_restart"))
        for name, value in (own or {}).items():
            if value:
                merged[name] = value
        fill(merged, {"Grace": SECOND})
        check["CheckRestart"] = merged
    check["OnUpdate"] = check["OnUpdate"] or service["OnUpdate"]
    for name in _THRESHOLDS:
        check[name] = max(check[name], 0)


def _connect(connect: dict[str, Any]) -> None:
    task, gateway = connect["SidecarTask"], connect["Gateway"]
    if task is not None:
        task["Resources"] = task["Resources"] or empty_block("resources")
        canonicalize_resources(task["Resources"])
        task["LogConfig"] = task["LogConfig"] or empty_block("logs")
        fill(task["LogConfig"], _LOGS)
        fill(task, {"KillTimeout": 5 * SECOND, "ShutdownDelay": 0})
    if gateway is not None:
        _gateway(gateway)
    _drop_empty(connect)


def _gateway(gateway: dict[str, Any]) -> None:
    proxy, ingress = gateway["Proxy"], gateway["Ingress"]
    if proxy is not None:
        fill(proxy, {"ConnectTimeout": 5 * SECOND})
    for listener in (ingress or {}).get("Listeners") or ():
        listener["Protocol"] = listener["Protocol"] or "tcp"


def _drop_empty(found: dict[str, Any]) -> None:
    """Empty lists and maps, at any depth, are as if not given."""
    for name, value in found.items():
        if value == [] or (value == {} and name in _MAPS):
            found[name] = None
        for one in value if isinstance(value, list) else (value,):
            if isinstance(one, dict) and name not in ("Config", "Resources"):
                _drop_empty(one)
