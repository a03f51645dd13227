"""The diff shapes of volumes and their mounts (spec job-model §7)."""

from __future__ import annotations

from yurt.fsm.job.diff.pairs import by_map_key, by_place
from yurt.fsm.job.diff.shape import Many, One, Set, Shape
from yurt.fsm.structs.volume import MountOptions, VolumeMount, VolumeRequest

_OPTIONS = One("mount_options", "MountOptions", Shape(MountOptions, parts=(Set("mount_flags", "MountFlags"),)))
VOLUMES = Many("volumes", "Volume", Shape(VolumeRequest, parts=(_OPTIONS,)), by_map_key)
MOUNTS = Many("volume_mounts", "VolumeMount", Shape(VolumeMount), by_place)
