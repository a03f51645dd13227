"""A task's defaults (spec jobspec-hcl §14)."""

from __future__ import annotations

import posixpath
from typing import Any

from yurt.fsm.job.defaults import SECOND
from yurt.server.jobspec.decode import empty_block

_LOGS = {"MaxFiles": 10, "MaxFileSizeMB": 10, "Disabled": False}
_RESTART = ("Interval", "Attempts", "Delay", "Mode", "RenderTemplates")
_TEMPLATE: dict[str, Any] = {
    "SourcePath": "", "DestPath": "", "EmbeddedTmpl": "", "Once": False, "Envvars": False, "LeftDelim": "{{",
    "RightDelim": "}}", "VaultGrace": 0,
}  # fmt: skip
_VAULT: dict[str, Any] = {"Namespace": "", "ChangeSignal": "SIGHUP", "AllowTokenExpiration": False}
_MOUNT = {"PropagationMode": "private", "ReadOnly": False, "SELinuxLabel": ""}
_PLUGIN = {"MountDir": "/csi", "StagePublishBaseDir": "/local/csi", "HealthTimeout": 30 * SECOND}


def fill(found: dict[str, Any], defaults: dict[str, Any]) -> None:
    """Set what is null to its default; lists and maps are new ones."""
    for name, value in defaults.items():
        if found[name] is None:
            found[name] = type(value)(value) if isinstance(value, list | dict) else value


def set_weights(found: dict[str, Any]) -> None:
    """Affinities and spreads without a weight weigh 50."""
    for name in ("Affinities", "Spreads"):
        for one in found.get(name) or ():
            fill(one, {"Weight": 50})


def canonicalize_task(task: dict[str, Any], group: dict[str, Any], job: dict[str, Any]) -> None:
    """The task, changed in place; its group has its restart policy already."""
    set_weights(task)
    if task["Resources"] is None:
        task["Resources"] = empty_block("resources")
    canonicalize_resources(task["Resources"])
    fill(task, {"KillTimeout": 5 * SECOND})
    task["LogConfig"] = task["LogConfig"] or empty_block("logs")
    fill(task["LogConfig"], _LOGS)
    own = task["RestartPolicy"] or dict.fromkeys(_RESTART)
    task["RestartPolicy"] = {
        name: own[name] if own[name] is not None else group["RestartPolicy"][name] for name in _RESTART
    }
    if task["Lifecycle"] is not None and not task["Lifecycle"]["Hook"]:
        task["Lifecycle"] = None
    for artifact in task["Artifacts"] or ():
        _artifact(artifact)
    for template in task["Templates"] or ():
        _template(template)
    if task["Vault"] is not None:
        fill(task["Vault"], _VAULT)
        task["Vault"]["Cluster"] = task["Vault"]["Cluster"] or "default"
    if task["Consul"] is not None:
        task["Consul"]["Cluster"] = task["Consul"]["Cluster"] or "default"
        task["Consul"]["Namespace"] = task["Consul"]["Namespace"] or job["ConsulNamespace"]
    for mount in task["VolumeMounts"] or ():
        fill(mount, _MOUNT)
    for name, value in _PLUGIN.items() if "CSIPluginConfig" in task else ():
        task["CSIPluginConfig"][name] = task["CSIPluginConfig"][name] or value


def canonicalize_resources(found: dict[str, Any]) -> None:
    """The resources, changed in place."""
    if found["Cores"] is None:
        found["Cores"] = 0
        fill(found, {"CPU": 100})
    else:
        fill(found, {"CPU": 0})
    fill(found, {"MemoryMB": 300})
    for device in found["Devices"] or ():
        fill(device, {"Count": 1})
        set_weights(device)
    if found["NUMA"] is not None:
        found["NUMA"]["Affinity"] = found["NUMA"]["Affinity"] or "none"


def _artifact(found: dict[str, Any]) -> None:
    fill(found, {"GetterMode": "any", "GetterInsecure": False, "GetterSource": ""})
    for name in ("GetterOptions", "GetterHeaders"):
        found[name] = found[name] or None
    if found["RelativeDest"] is None:
        base = posixpath.basename(found["GetterSource"].rstrip("/")) or "."
        found["RelativeDest"] = f"local/{base}" if found["GetterMode"] == "file" else "local/"


def _template(found: dict[str, Any]) -> None:
    fill(found, _TEMPLATE)
    signal = found["ChangeSignal"]
    if signal is not None:
        found["ChangeSignal"] = signal.upper()
    else:
        found["ChangeSignal"] = "SIGHUP" if found["ChangeMode"] == "signal" else ""
