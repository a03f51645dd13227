"""Volumes that a group asks for and tasks mount (spec job-model §5.11)."""

from __future__ import annotations

import msgspec

from yurt.fsm.structs.base import Record


class MountOptions(Record, frozen=True):
    """How a volume is mounted."""

    fs_type: str = ""
    mount_flags: tuple[str, ...] | None = None


class VolumeRequest(Record, frozen=True):
    """A volume of the node or of a CSI plugin."""

    name: str = ""
    type: str = ""
    source: str = ""
    read_only: bool = False
    sticky: bool = False
    access_mode: str = ""
    attachment_mode: str = ""
    mount_options: MountOptions | None = None
    per_alloc: bool = False


class VolumeMount(Record, frozen=True):
    """Where a task sees a volume."""

    volume: str = ""
    destination: str = ""
    read_only: bool = False
    propagation_mode: str = "private"
    selinux_label: str = msgspec.field(default="", name="SELinuxLabel")
