"""The normalisation of every job after decoding, canonical or not (spec jobspec-hcl §13)."""

from __future__ import annotations

import copy
from typing import Any

from yurt.server.jobspec.decode import empty_block


def normalise(job: dict[str, Any]) -> dict[str, Any]:
    """The job with its ID and name, its loose tasks in groups of their own, vault and secrets handed down."""
    label = job.pop("_label")
    job["ID"] = label if job["ID"] is None else job["ID"]
    job["Name"] = label if job["Name"] is None else job["Name"]
    vault, secrets, loose = job.pop("_vault"), job.pop("_secrets"), job.pop("_tasks")
    if loose:
        job["TaskGroups"] = [*map(_group_of, loose), *(job["TaskGroups"] or [])]
    for group in job["TaskGroups"] or ():
        _hand_down(group, vault, secrets or [])
    return job


def _group_of(task: dict[str, Any]) -> dict[str, Any]:
    return {**empty_block("group"), "Name": task["Name"], "Tasks": [task]}


def _hand_down(group: dict[str, Any], vault: dict[str, Any] | None, secrets: list[dict[str, Any]]) -> None:
    vault = group.pop("_vault") or vault
    own = group.pop("_secrets") or []
    for task in group["Tasks"] or ():
        if task["Vault"] is None and vault is not None:
            task["Vault"] = copy.deepcopy(vault)
        if own or secrets:
            task["Secrets"] = [*(task["Secrets"] or []), *copy.deepcopy(own), *copy.deepcopy(secrets)]
