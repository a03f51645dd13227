"""The validation of a group's volumes and their mounts (spec job-model §5.11)."""

from __future__ import annotations

from collections.abc import Iterator

from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.volume import VolumeMount, VolumeRequest

HOST_MODES = ("", "single-node-writer", "single-node-single-writer", "single-node-multi-writer")
READER_MODES = ("single-node-reader-only", "multi-node-reader-only")
_USERS = {
    "single-node-reader-only": "reader",
    "single-node-writer": "reader or writer",
    "multi-node-single-writer": "writer",
}


def volume_errors(volume: VolumeRequest, group: TaskGroup, job_type: str) -> Iterator[str]:
    """Yield the errors of one volume of the group, in order."""
    if not volume.source:
        yield "volume has an empty source"
    if volume.per_alloc:
        if job_type in ("system", "sysbatch"):
            yield "volume cannot be per_alloc for system or sysbatch jobs"
        if group.update is not None and group.update.canary > 0:
            yield "volume cannot be per_alloc when canaries are in use"
        if volume.sticky:
            yield "volume cannot be per_alloc and sticky at the same time"
    if volume.type == "host":
        yield from _host_errors(volume)
    else:
        yield from _csi_errors(volume, group.count)


def _host_errors(volume: VolumeRequest) -> Iterator[str]:
    if volume.mount_options is not None:
        yield "host volumes cannot have mount options"
    if volume.access_mode == "single-node-reader-only":
        if not volume.read_only:
            yield "single-node-reader-only volumes must be read-only"
    elif volume.access_mode not in HOST_MODES:
        yield f"host volumes cannot be mounted with {volume.access_mode} access mode"


def _csi_errors(volume: VolumeRequest, count: int) -> Iterator[str]:
    mode = volume.access_mode
    if not volume.attachment_mode:
        yield "CSI volumes must have an attachment mode"
    elif volume.attachment_mode == "block-device" and volume.mount_options is not None:
        yield "block devices cannot have mount options"
    if not mode:
        yield "CSI volumes must have an access mode"
    if mode in READER_MODES and not volume.read_only:
        yield f"{mode} volumes must be read-only"
    if mode in _USERS and count > 1 and not volume.per_alloc:
        yield f"volume with {mode} access mode allows only one {_USERS[mode]}"


def mount_errors(mount: VolumeMount) -> Iterator[str]:
    """Yield the errors of one mount of a task, in order."""
    if not mount.volume:
        yield "volume mount references an empty volume"
    if mount.propagation_mode not in ("private", "host-to-task", "bidirectional"):
        yield f'volume mount has an invalid propagation mode: "{mount.propagation_mode}"'
    if mount.selinux_label not in ("", "z", "Z"):
        yield f'volume mount has an invalid SELinux label: "{mount.selinux_label}"'
