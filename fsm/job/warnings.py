"""The warnings about an admitted job (spec job-model §4.4)."""

from __future__ import annotations

from collections.abc import Iterator

from yurt.fsm.job.multierror import multierror
from yurt.fsm.store.reader import Reader
from yurt.fsm.store.schema import SCHEDULER_CONFIG
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.identity import WorkloadIdentity
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.task import Task

_PARALLEL = (
    "Update max parallel count is greater than task group count ({} > {}). "
    "A destructive change would result in the simultaneous replacement of all allocations."
)
_MBITS = "mbits has been deprecated as of Nomad 0.12.0. Please remove mbits from the network block"
_IOPS = "IOPS has been deprecated as of Nomad 0.9.0. Please remove IOPS from resource block."
_TASK_NETWORK = (
    "task network resources have been deprecated as of Nomad 0.12.0. "
    "Please configure networking via group network block."
)
_GRACE = (
    "Template[{}] VaultGrace has been deprecated as of Nomad 0.11 and ignored since Vault 0.5. "
    "Please remove VaultGrace / vault_grace from template block."
)
_MEMORY = (
    'Memory oversubscription is not enabled; Task "{}.{}" memory_max value will be ignored. '
    "Update the Scheduler Configuration to allow oversubscription."
)


def job_warnings(job: Job) -> Iterator[str]:
    """The warnings about the job itself, in order."""
    groups = job.task_groups or ()
    for group in groups:
        if found := list(_group(group)):
            yield f'Group "{group.name}" has warnings: {multierror(found)}'
    for group in groups:
        yield from _shutdown_delay(group)
    if any(group.update is not None and group.update.auto_promote for group in groups) and any(
        group.update is not None and group.update.canary > 0 and not group.update.auto_promote for group in groups
    ):
        yield "auto_promote must be true for all groups to enable automatic promotion"
    if job.periodic is not None and job.periodic.spec:
        yield "cron is deprecated and may be removed in a future release. Use crons instead"
    for group in groups:
        for task in group.tasks or ():
            for identity in task.identities or ():
                if task.vault is None and identity.name.startswith("vault_"):
                    yield f"Task {task.name} has an identity called {identity.name} but no vault block"


def memory_warnings(job: Job, reader: Reader) -> Iterator[str]:
    """A warning for each task that asks for more memory than this cluster hands out."""
    asking = [
        (group.name, task.name)
        for group in job.task_groups or ()
        for task in group.tasks or ()
        if task.resources is not None and task.resources.memory_max_mb > task.resources.memory_mb
    ]
    if not asking:
        return
    config = reader.get(SCHEDULER_CONFIG, "")
    if config is None or not config.memory_oversubscription_enabled:
        for names in asking:
            yield _MEMORY.format(*names)


def _group(group: TaskGroup) -> Iterator[str]:
    if group.update is not None and group.count > 1 and group.update.max_parallel > group.count:
        yield _PARALLEL.format(group.update.max_parallel, group.count)
    if any(network.mbits for network in group.networks or ()):
        yield _MBITS
    for service in group.services or ():
        if service.identity is not None:
            for text in _identity(service.identity):
                yield f'Service "{service.name}": {text}'
    for task in group.tasks or ():
        if found := list(_task(task)):
            yield f'Task "{task.name}" has warnings: {multierror(found)}'


def _task(task: Task) -> Iterator[str]:
    if task.resources is not None:
        if task.resources.iops:
            yield _IOPS
        if task.resources.networks:
            yield _TASK_NETWORK
    for number, template in enumerate(task.templates or ()):
        if template.vault_grace:
            yield _GRACE.format(number)
    for identity in task.identities or ():
        if found := [f"Identity[{identity.name}] {text}" for text in _identity(identity)]:
            yield multierror(found)


def _identity(identity: WorkloadIdentity) -> Iterator[str]:
    audiences = len(identity.audience or ())
    if audiences == 0:
        yield "identities without an audience are insecure"
    elif audiences > 1:
        yield "while multiple audiences is allowed, it is more secure to use 1 audience per identity"
    if identity.ttl == 0:
        yield "identities without an expiration are insecure"
    if identity.env and identity.change_mode != "restart":
        yield 'using env=true without change_mode="restart" may result in task not getting updated identity'


def _shutdown_delay(group: TaskGroup) -> Iterator[str]:
    """Services that are gone before their clients notice."""
    delayed = {task.name for task in group.tasks or () if task.shutdown_delay}
    bare = False
    for service in group.services or ():
        if service.connect is not None and service.connect.sidecar_task is not None:
            if not service.connect.sidecar_task.shutdown_delay:
                yield (
                    f'service "{service.name}" defines a sidecar task in Consul Connect definition, '
                    "but the task has no shutdown_delay set"
                )
        elif service.task_name:
            if service.task_name not in delayed:
                yield (
                    f'group "{group.name}" references task "{service.task_name}" in a service definition, '
                    "but the task has no shutdown_delay set"
                )
        else:
            bare = True
    for task in group.tasks or ():
        if task.services and task.name not in delayed:
            yield f'task "{task.name}" in group "{group.name}" defines services, but has no shutdown_delay set'
    if bare and not delayed and not group.shutdown_delay:
        yield (
            f'group "{group.name}" defines services, but neither the group nor any of its tasks have shutdown_delay set'
        )
