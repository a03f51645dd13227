"""The task part of canonicalization (spec job-model §3.1, §3.2, §5.4, §5.9, §5.13)."""

from __future__ import annotations

from typing import Any

from yurt.fsm.job.canonicalize_service import canonicalize_services

AUDIENCES = ("nomadproject.io",)
SIGHUP = "SIGHUP"


def canonicalize_networks(networks: list[dict[str, Any]] | None) -> None:
    """Ports lie on the host network `default` unless they say another; devices are never kept."""
    for network in networks or ():
        network.pop("Device", None)
        for kind in ("ReservedPorts", "DynamicPorts"):
            for port in network.get(kind, ()):
                port["HostNetwork"] = port.get("HostNetwork") or "default"


def canonicalize_consul(holder: dict[str, Any]) -> None:
    """The Consul block of a group or task speaks of the default cluster unless it says another."""
    if "Consul" in holder:
        holder["Consul"]["Cluster"] = holder["Consul"].get("Cluster") or "default"


def canonicalize_task(task: dict[str, Any], job: dict[str, Any], group: dict[str, Any]) -> None:
    """Fill in one task; its restart policy is the group's, overlaid by its own."""
    task["RestartPolicy"] = {**group["RestartPolicy"], **task.get("RestartPolicy", {})}
    task["KillTimeout"] = task.get("KillTimeout") or 5_000_000_000
    task.setdefault("LogConfig", {})
    resources = task.setdefault("Resources", {})
    resources.pop("DiskMB", None)
    if "CPU" not in resources:
        resources["CPU"] = 0 if resources.get("Cores") else 100
    if "NUMA" in resources:
        resources["NUMA"]["Affinity"] = resources["NUMA"].get("Affinity") or "none"
    canonicalize_networks(resources.get("Networks"))
    canonicalize_consul(task)
    for template in task.get("Templates", ()):
        _template(template)
    for artifact in task.get("Artifacts", ()):
        _artifact(artifact)
    if "Vault" in task:
        _vault(task["Vault"])
    if "Schedule" in task and not task["Schedule"].get("Cron"):
        del task["Schedule"]
    for mount in task.get("VolumeMounts", ()):
        mount["PropagationMode"] = mount.get("PropagationMode") or "private"
    canonicalize_services(task.get("Services"), job, group_name=group.get("Name", ""), task_name=task.get("Name", ""))
    _identities(task)


def _template(template: dict[str, Any]) -> None:
    template["ChangeMode"] = template.get("ChangeMode") or "restart"
    signal = template.get("ChangeSignal", "")
    if template["ChangeMode"] == "signal" and "ChangeSignal" not in template:
        signal = SIGHUP
    template["ChangeSignal"] = signal.upper()


def _artifact(artifact: dict[str, Any]) -> None:
    mode = artifact["GetterMode"] = artifact.get("GetterMode") or "any"
    if not artifact.get("RelativeDest"):
        name = artifact.get("GetterSource", "").rstrip("/").rsplit("/", 1)[-1]
        artifact["RelativeDest"] = f"local/{name}" if mode == "file" else "local/"


def _vault(vault: dict[str, Any]) -> None:
    vault["Cluster"] = vault.get("Cluster") or "default"
    vault["ChangeMode"] = vault.get("ChangeMode") or "restart"
    vault["ChangeSignal"] = vault.get("ChangeSignal", SIGHUP).upper()


def _identities(task: dict[str, Any]) -> None:
    """The default identity is always there; the first one of that name among the others moves to its place."""
    own = task.get("Identity", {})
    others = task.get("Identities")
    if others is not None:
        place = next((at for at, identity in enumerate(others) if identity.get("Name") == "default"), None)
        if place is not None:
            own = others.pop(place)
        for identity in others:
            identity["ChangeSignal"] = identity.get("ChangeSignal", "").upper()
    task["Identity"] = {
        **own,
        "Name": "default",
        "Audience": AUDIENCES,
        "ChangeSignal": own.get("ChangeSignal", "").upper(),
    }
