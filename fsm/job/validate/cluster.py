"""Whether the cluster has what a job asks for: the mesh, Vault, Consul, its namespace, its pool (spec job-model §4.2).

Yurt talks to no Vault, and to one Consul cluster at most.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from yurt.fsm.store.reader import Reader
from yurt.fsm.store.schema import NAMESPACES, NODE_POOLS
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.namespace import NamespaceCapabilities
from yurt.fsm.structs.policies import ConsulBlock
from yurt.fsm.structs.service import Service


def cluster_errors(job: Job, reader: Reader) -> Iterator[str]:
    """Yield the errors of the job on this cluster, in order; they come before those of the job itself."""
    groups = job.task_groups or ()
    for group in groups:
        if group.services:
            yield from _mesh_errors(group)
    for group in groups:
        if group.services:
            yield from _expose_errors(group)
    vaults = [task.vault.cluster for group in groups for task in group.tasks or () if task.vault is not None]
    if vaults:
        yield f'Vault "{vaults[0]}" not enabled but used in the job'
    if any(cluster != "default" for cluster in vaults):
        yield "non-default Vault cluster requires Nomad Enterprise"
    yield from _consul_errors(groups)
    namespace = reader.get(NAMESPACES, job.namespace)
    if namespace is None:
        yield f'job "{job.id}" is in nonexistent namespace "{job.namespace}"'
    elif namespace.capabilities is not None:
        yield from _capability_errors(groups, namespace.capabilities, namespace.name)
    if reader.get(NODE_POOLS, job.node_pool) is None:
        yield f'job "{job.id}" is in nonexistent node pool "{job.node_pool}"'


def edition_errors(job: Job) -> Iterator[str]:
    """Yield an error for each feature of the job that this edition lacks; they come last of all."""
    tasks = [task for group in job.task_groups or () for task in group.tasks or ()]
    if any(
        task.resources is not None and task.resources.numa is not None and task.resources.numa.affinity != "none"
        for task in tasks
    ):
        yield "numa scheduling requires Nomad Enterprise"
    if any(task.schedule is not None for task in tasks):
        yield "task schedules requires Nomad Enterprise"


def _mesh_errors(group: TaskGroup) -> Iterator[str]:
    """A sidecar needs one network that is the group's own (spec job-model §5.5.3)."""
    if not any(_has_sidecar(service) for service in group.services or ()):
        return
    networks = group.networks or ()
    if len(networks) != 1:
        yield (
            "connect sidecar: must have exactly one network for Consul Connect: "
            f'group "{group.name}" has {len(networks)} networks'
        )
    elif (mode := networks[0].mode) != "bridge" and not mode.startswith("cni/"):
        yield (
            "connect sidecar: invalid network mode for Consul Connect: "
            f'group "{group.name}" uses network mode "{mode}"; must be "bridge" or "cni/*"'
        )


def _expose_errors(group: TaskGroup) -> Iterator[str]:
    for service in group.services or ():
        if not _has_sidecar(service):
            for check in service.checks or ():
                if check.expose:
                    name = f"{group.name}->{service.name}->{check.name}"
                    yield f"exposed service check {name} requires use of sidecar_proxy"


def _has_sidecar(service: Service) -> bool:
    return service.connect is not None and service.connect.sidecar_service is not None


def _consul_errors(groups: tuple[TaskGroup, ...]) -> Iterator[str]:
    tasks = [(task, group) for group in groups for task in group.tasks or ()]
    blocks: list[ConsulBlock | None] = [*(group.consul for group in groups), *(task.consul for task, _ in tasks)]
    clusters = {block.cluster for block in blocks if block is not None}
    for services in (*(group.services for group in groups), *(task.services for task, _ in tasks)):
        clusters.update(service.cluster for service in services or () if service.provider == "consul")
    if clusters - {"default"}:
        yield "non-default Consul cluster requires Nomad Enterprise"
    for task, group in tasks:
        ours, theirs = task.consul, group.consul
        if ours and theirs and ours.partition and theirs.partition and ours.partition != theirs.partition:
            yield (
                f'task.consul.partition "{ours.partition}" must match group.consul.partition "{theirs.partition}" '
                "if both are set"
            )


def _capability_errors(
    groups: tuple[TaskGroup, ...], capabilities: NamespaceCapabilities, namespace: str
) -> Iterator[str]:
    drivers = _refused(
        (task.driver for group in groups for task in group.tasks or ()),
        capabilities.enabled_task_drivers,
        capabilities.disabled_task_drivers,
    )
    yield from _not_allowed("used task driver", drivers, namespace)
    modes = _refused(
        (network.mode or "host" for group in groups for network in group.networks or ()),
        capabilities.enabled_network_modes,
        capabilities.disabled_network_modes,
    )
    yield from _not_allowed("used group network mode", modes, namespace)


def _refused(used: Iterable[str], enabled: tuple[str, ...] | None, disabled: tuple[str, ...] | None) -> list[str]:
    """Return the used names that are not allowed, each once: `disabled` wins, and an empty `enabled` allows all."""
    found = dict.fromkeys(used)
    return [one for one in found if one in (disabled or ()) or (enabled and one not in enabled)]


def _not_allowed(what: str, names: list[str], namespace: str) -> Iterator[str]:
    if len(names) == 1:
        yield f'{what} "{names[0]}" is not allowed in namespace "{namespace}"'
    elif names:
        listed = " ".join(f'"{name}"' for name in names)
        yield f'{what}s [{listed}] are not allowed in namespace "{namespace}"'
