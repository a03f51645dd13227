"""A task and its blocks (spec job-model §5.4)."""

from __future__ import annotations

from typing import Any

import msgspec

from yurt.fsm.structs.base import Record
from yurt.fsm.structs.constraint import Affinity, Constraint
from yurt.fsm.structs.identity import DEFAULT_IDENTITY, WorkloadIdentity
from yurt.fsm.structs.policies import ConsulBlock, RestartPolicy, ScalingPolicy
from yurt.fsm.structs.resources import LogConfig as LogConfig
from yurt.fsm.structs.resources import Resources
from yurt.fsm.structs.service import Service
from yurt.fsm.structs.volume import VolumeMount

SECOND = 1_000_000_000


class Lifecycle(Record, frozen=True):
    """When a task runs, beside the main tasks."""

    hook: str = ""
    sidecar: bool = False


class DispatchPayload(Record, frozen=True):
    """Where a dispatched payload is written."""

    file: str = ""


class ChangeScript(Record, frozen=True):
    """A command that runs when a template changed."""

    command: str = ""
    args: tuple[str, ...] = ()
    timeout: int = 5 * SECOND
    fail_on_error: bool = False
    run_on_first_render: bool = False


class WaitBlock(Record, frozen=True):
    """How long a template waits for its sources to settle."""

    min: int | None = None
    max: int | None = None


class Template(Record, frozen=True):
    """A file rendered into the task directory."""

    source_path: str = ""
    dest_path: str = ""
    embedded_tmpl: str = ""
    change_mode: str = "restart"
    change_signal: str = ""
    change_script: ChangeScript | None = None
    once: bool = False
    splay: int = 5 * SECOND
    perms: str = "0644"
    uid: int | None = None
    gid: int | None = None
    left_delim: str = "{{"
    right_delim: str = "}}"
    envvars: bool = False
    vault_grace: int = 0
    wait: WaitBlock | None = None
    err_missing_key: bool = False


class Artifact(Record, frozen=True):
    """A file fetched before the task starts."""

    getter_source: str = ""
    getter_options: dict[str, str] | None = None
    getter_headers: dict[str, str] | None = None
    getter_mode: str = "any"
    getter_insecure: bool = False
    relative_dest: str = "local/"
    chown: bool = False


class Vault(Record, frozen=True):
    """Access to Vault."""

    role: str = ""
    namespace: str = ""
    cluster: str = "default"
    env: bool = True
    disable_file: bool = False
    change_mode: str = "restart"
    change_signal: str = "SIGHUP"
    allow_token_expiration: bool = False


class Action(Record, frozen=True):
    """A command that users may run in a task."""

    name: str = ""
    command: str = ""
    args: tuple[str, ...] | None = None


class Secret(Record, frozen=True):
    """A secret of a provider."""

    name: str = ""
    provider: str = ""
    path: str = ""
    config: dict[str, Any] | None = None
    env: dict[str, str] | None = None


class CSIPluginConfig(Record, frozen=True):
    """A task that is a CSI plugin."""

    id: str = ""
    type: str = ""
    mount_dir: str = "/csi"
    stage_publish_base_dir: str = "/local/csi"
    health_timeout: int = 30 * SECOND


class ScheduleCron(Record, frozen=True):
    """Start and end of a task schedule."""

    start: str = ""
    end: str = ""
    timezone: str = ""


class Schedule(Record, frozen=True):
    """When a task may run."""

    cron: ScheduleCron | None = None


class Task(Record, frozen=True):
    """One process of a group."""

    name: str = ""
    driver: str = ""
    user: str = ""
    kill_signal: str = ""
    kind: str = ""
    config: dict[str, Any] | None = None
    env: dict[str, str] | None = None
    meta: dict[str, str] | None = None
    leader: bool = False
    kill_timeout: int = 5 * SECOND
    shutdown_delay: int = 0
    lifecycle: Lifecycle | None = None
    log_config: LogConfig | None = None
    resources: Resources | None = None
    restart_policy: RestartPolicy | None = None
    dispatch_payload: DispatchPayload | None = None
    services: tuple[Service, ...] | None = None
    templates: tuple[Template, ...] | None = None
    artifacts: tuple[Artifact, ...] | None = None
    constraints: tuple[Constraint, ...] | None = None
    affinities: tuple[Affinity, ...] | None = None
    volume_mounts: tuple[VolumeMount, ...] | None = None
    scaling_policies: tuple[ScalingPolicy, ...] | None = None
    identities: tuple[WorkloadIdentity, ...] | None = None
    actions: tuple[Action, ...] | None = None
    secrets: tuple[Secret, ...] | None = None
    identity: WorkloadIdentity | None = DEFAULT_IDENTITY
    vault: Vault | None = None
    consul: ConsulBlock | None = None
    csi_plugin_config: CSIPluginConfig | None = msgspec.field(default=None, name="CSIPluginConfig")
    schedule: Schedule | None = None
