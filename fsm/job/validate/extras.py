"""The validation of a task's actions, secrets, Vault and CSI blocks (spec job-model §5.4)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from yurt.fsm.job.multierror import multierror
from yurt.fsm.structs.task import Action, CSIPluginConfig, Secret, Task, Vault

_ACTION_NAME = re.compile(r"[^\s\0]{1,128}")
_SECRET_NAME = re.compile(r"[a-zA-Z0-9_]{1,128}")
_BUILT_IN_PROVIDERS = ("nomad", "vault")
_PLUGIN_TYPES = ("node", "controller", "monolith")


def vault_errors(vault: Vault) -> Iterator[str]:
    """Yield the errors of a Vault block."""
    if vault.change_mode == "signal":
        if not vault.change_signal:
            yield 'Signal must be specified when using change mode "signal"'
    elif vault.change_mode not in ("noop", "restart"):
        yield f'Unknown change mode "{vault.change_mode}"'


def action_list_errors(actions: tuple[Action, ...] | None) -> Iterator[str]:
    """A bullet for each action that is wrong, then one for each name that comes again."""
    seen: set[str] = set()
    told: set[str] = set()
    for action in actions or ():
        if errors := list(_action_errors(action)):
            yield f"Action {action.name} validation failed: {multierror(errors)}"
        if action.name in seen and action.name not in told:
            told.add(action.name)
            yield f"Action {action.name} defined multiple times"
        seen.add(action.name)


def _action_errors(action: Action) -> Iterator[str]:
    if not action.command:
        yield "command cannot be empty"
    if not _ACTION_NAME.fullmatch(action.name):
        yield f"invalid name '{action.name}'"


def secret_list_errors(task: Task) -> Iterator[str]:
    """Yield the errors of the task's secrets, in their order."""
    seen: set[str] = set()
    for secret in task.secrets or ():
        if secret.name in seen:
            yield f'Duplicate secret "{secret.name}" found'
        seen.add(secret.name)
        if secret.provider == "vault" and task.vault is None:
            yield f'Secret "{secret.name}" has provider "vault" but no vault block'
        if errors := list(_secret_errors(secret)):
            yield f'Secret "{secret.name}" is invalid: {multierror(errors)}'


def _secret_errors(secret: Secret) -> Iterator[str]:
    if not secret.name:
        yield "secret name cannot be empty"
    if not _SECRET_NAME.fullmatch(secret.name):
        yield "secret name must match regex ^[a-zA-Z0-9_]{1,128}$"
    if not secret.provider:
        yield "secret provider cannot be empty"
    if not secret.path:
        yield "secret path cannot be empty"
    if secret.provider in _BUILT_IN_PROVIDERS:
        if secret.env:
            yield f"{secret.provider} provider cannot use the env block"
    elif secret.config:
        yield f"custom plugin provider {secret.provider} cannot use the config block"


def plugin_errors(plugin: CSIPluginConfig) -> Iterator[str]:
    """Yield the errors of a task's CSI plugin block."""
    if not plugin.id:
        yield "CSIPluginConfig must have a non-empty PluginID"
    if plugin.type not in _PLUGIN_TYPES:
        yield f"CSIPluginConfig PluginType must be one of 'node', 'controller', or 'monolith', got: \"{plugin.type}\""
