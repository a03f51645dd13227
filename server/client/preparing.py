"""Before a task starts: directories, payload, artifacts, templates, environment (spec node-agent §6, §13)."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from typing import Any

import msgspec

from yurt.fsm.errors import YurtError
from yurt.fsm.structs.allocation import AllocatedTask, Allocation, TaskEvent
from yurt.fsm.structs.identity import DEFAULT_IDENTITY, WorkloadIdentity
from yurt.fsm.structs.resources import LogConfig
from yurt.fsm.structs.task import Task, Template
from yurt.server.client import task_events as events
from yurt.server.client.allocdir import AllocDir, Escapes, Inside, Owner, TaskDir
from yurt.server.client.artifacts import ArtifactError
from yurt.server.client.drivers.base import DriverError, Logs, TaskStart
from yurt.server.client.drivers.raw_exec import identity_of
from yurt.server.client.environment import Environment, clean, environment
from yurt.server.client.surroundings import Surroundings
from yurt.server.client.templates import TemplateError, env_of, render

Emit = Callable[[TaskEvent], None]


class HookError(DriverError):
    """A step before the start failed; `event` says so to users."""

    def __init__(self, event: TaskEvent, *, recoverable: bool = False) -> None:
        super().__init__(event.display_message, recoverable=recoverable)
        self.event = event


class Preparation:
    """Prepares one task; what was done once is not done again when the task restarts."""

    def __init__(self, surroundings: Surroundings, directory: AllocDir, allocation: Allocation, task: Task) -> None:
        self._surroundings, self._directory, self._allocation, self._task = surroundings, directory, allocation, task
        self._has_artifacts = self._has_templates = False
        self._template_env: dict[str, str] = {}
        self._identity_env: dict[str, str] = {}

    async def prepare(self, emit: Emit) -> TaskStart:
        """Do all that comes before the start; raises `HookError`."""
        task = self._task
        try:
            made = self._directory.build_task(task.name, self.owner(), is_root=self._driver_says("makes_root"))
        except OSError as error:
            raise HookError(events.hook_failed("task_dir", str(error)), recoverable=True) from error
        except Escapes as error:
            raise HookError(events.hook_failed("task_dir", str(error))) from error
        await self._sign_identities(made)
        self._write_payload(made)
        await self._fetch_artifacts(made, emit)
        self._render_templates(made)
        return self.describe()

    def describe(self) -> TaskStart:
        """How the task is started, without doing anything."""
        task, allocation = self._task, self._allocation
        made = self._directory.task(task.name)
        env = self.environment(made)
        limits = task.log_config or LogConfig()
        logs = Logs(self._directory.logs, task.name, limits.max_files, limits.max_file_size_mb << 20)
        whole = allocation.allocated_resources
        given = (whole.tasks or {}).get(task.name) if whole is not None else None
        given = given or AllocatedTask()
        return TaskStart(
            id=f"{allocation.id}/{task.name}",
            config=env.within(task.config or {}),
            env=env.variables,
            inherited=env.inherited,
            user=task.user,
            directory=made.path,
            state=self._surroundings.state_dir / "tasks" / allocation.id / task.name,
            logs=None if limits.disabled else logs,
            memory_bytes=(given.memory.memory_max_mb or given.memory.memory_mb) << 20,
            cpu_shares=given.cpu.cpu_shares,
        )

    def interpolate(self, text: str) -> str:
        """A text with what the task's environment and node say in place of its references."""
        return self.environment().text(text)

    def environment(self, made: TaskDir | None = None) -> Environment:
        """The task's environment, with what its templates add."""
        around, made = self._surroundings, made or self._directory.task(self._task.name)
        directories = {
            "NOMAD_ALLOC_DIR": str(self._directory.shared),
            "NOMAD_TASK_DIR": str(made.local),
            "NOMAD_SECRETS_DIR": str(made.secrets),
        }
        found = environment(self._allocation, self._task, around.node, directories, around.host, around.region)
        found.variables.update(self._identity_env)
        found.variables.update(self._template_env)
        return found

    def owner(self) -> Owner:
        """Return the user that the task runs as, None for the agent's own."""
        user = self._task.user or self._driver_says("default_user")
        if not user or os.geteuid() != 0:
            return None
        try:
            found = identity_of(user)
        except DriverError:
            return None  # the driver will say so
        return (found["uid"], found["gid"]) if found else None

    def _driver_says(self, name: str) -> Any:
        """Return an optional attribute of the task's driver."""
        return getattr(self._surroundings.drivers.get(self._task.driver), name, None)

    async def _sign_identities(self, made: TaskDir) -> None:
        """Get the identities that the task wants as a file or variable, anew at each start."""
        wanted = [one for one in (self._task.identity, *(self._task.identities or ())) if one is not None]
        wanted = [one for one in wanted if one.env or one.file]
        operations = self._surroundings.operations
        if not wanted or operations is None:
            return
        try:
            signed = await operations.sign(self._allocation.id, self._task.name, [one.name for one in wanted])
        except YurtError as error:
            raise HookError(events.hook_failed("identity", str(error)), recoverable=True) from error
        for one in wanted:
            is_default, text = one.name == DEFAULT_IDENTITY.name, signed[one.name]
            if one.env:
                name = "NOMAD_TOKEN" if is_default else f"NOMAD_TOKEN_{clean(one.name)}"
                self._identity_env[name] = text
            if one.file:
                self._write_identity(made, one, "nomad_token" if is_default else f"nomad_{one.name}.jwt", text)

    def _write_identity(self, made: TaskDir, wanted: WorkloadIdentity, name: str, text: str) -> None:
        path = f"{made.path.name}/{wanted.filepath}" if wanted.filepath else f"{made.path.name}/secrets/{name}"
        parent, file = os.path.split(path)
        try:
            with Inside(self._directory.path, parent, make=True) as directory:
                directory.write(file, text.encode(), 0o600, self.owner())
        except (OSError, ValueError, Escapes) as error:
            raise HookError(events.hook_failed("identity", str(error))) from error

    def _write_payload(self, made: TaskDir) -> None:
        wanted, job = self._task.dispatch_payload, self._allocation.job
        if wanted is None or not wanted.file or job is None or not job.payload:
            return
        try:
            body = base64.b64decode(job.payload) if isinstance(job.payload, str) else bytes(job.payload)
            parent, name = os.path.split(wanted.file.lstrip("/"))
            with Inside(made.local, parent, make=True, owner=self.owner()) as directory:
                directory.write(name, body, 0o777, self.owner())
        except (OSError, ValueError, Escapes) as error:
            raise HookError(events.hook_failed("dispatch_payload", str(error))) from error

    async def _fetch_artifacts(self, made: TaskDir, emit: Emit) -> None:
        if self._has_artifacts or not self._task.artifacts:
            return
        emit(events.downloading_artifacts())
        env = self.environment(made)
        for artifact in self._task.artifacts:
            try:
                wanted = env.within(msgspec.structs.asdict(artifact))
                await self._surroundings.artifacts.fetch(wanted, made.path, self._directory.path, self.owner())
            except ArtifactError as error:
                raise HookError(events.failed_artifact(str(error)), recoverable=True) from error
        self._has_artifacts = True

    def _render_templates(self, made: TaskDir) -> None:
        restart = self._task.restart_policy
        if self._has_templates and not (restart is not None and restart.render_templates):
            return
        env = self.environment(made)
        for template in self._task.templates or ():
            try:
                text = template.embedded_tmpl
                if template.source_path:
                    text = self._source(made, env.text(template.source_path))
                body = render(text, env.variables, template.left_delim or "{{", template.right_delim or "}}")
                self._put(made, env.text(template.dest_path), body, template)
                if template.envvars:
                    self._template_env.update(env_of(body))
            except TemplateError as error:
                raise HookError(events.template_failed(str(error))) from error
            except (OSError, ValueError, Escapes) as error:
                raise HookError(events.hook_failed("template", str(error))) from error
        self._has_templates = True

    def _source(self, made: TaskDir, name: str) -> str:
        """The text of a template's file; raises OSError, ValueError, `Escapes`."""
        with Inside(self._directory.path, self._within(made, name, "source")) as found:
            return found.read().decode()

    def _put(self, made: TaskDir, name: str, body: str, template: Template) -> None:
        """Write what was rendered; raises OSError, ValueError, `Escapes`."""
        parent, file = os.path.split(self._within(made, name, "destination"))
        owner = self.owner()
        if template.uid is not None and template.uid >= 0 and os.geteuid() == 0:
            owner = (template.uid, template.gid if template.gid is not None else -1)
        with Inside(self._directory.path, parent, make=True, owner=self.owner()) as directory:
            directory.write(file, body.encode(), int(template.perms or "0644", 8), owner)

    def _within(self, made: TaskDir, name: str, what: str) -> str:
        """A template's path, relative to the allocation's directory; raises ValueError."""
        path = os.path.normpath(made.path / name)
        if not path.startswith(f"{self._directory.path}/"):
            raise ValueError(f"template {what} path escapes alloc directory")
        return path[len(str(self._directory.path)) + 1 :]
