"""Devices such as GPUs: which ones match a request, and which instances an allocation gets (spec scheduling §11)."""

from __future__ import annotations

import re

from yurt.fsm.structs.constraint import Affinity, Constraint
from yurt.fsm.structs.node import DeviceAttribute, Node, NodeDevice
from yurt.fsm.structs.resources import Device
from yurt.scheduler.feasible.operands import compares, holds

_QUANTITY = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)\s*([A-Za-z/]*)\s*")
_UNITS = {
    "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
    "B/s": 1, "kB/s": 10**3, "MB/s": 10**6, "GB/s": 10**9, "KiB/s": 2**10, "MiB/s": 2**20, "GiB/s": 2**30,
    "Hz": 1, "kHz": 10**3, "MHz": 10**6, "GHz": 10**9, "mW": 1, "W": 10**3, "kW": 10**6, "": 1,
}  # fmt: skip


def matching(node: Node, request: Device) -> list[NodeDevice]:
    """The node's device groups that a request names, that meet its constraints and have enough healthy instances."""
    return [
        device
        for device in (node.node_resources.devices or () if node.node_resources else ())
        if _is_named(device, request.name)
        and sum(one.healthy for one in device.instances or ()) >= request.count
        and all(_meets(device, constraint) for constraint in request.constraints or ())
    ]


def affinity(device: NodeDevice, request: Device) -> int:
    """The sum of the weights of the request's affinities that a device group matches."""
    return sum(one.weight for one in request.affinities or () if _meets(device, one))


def instances(node: Node, request: Device, used: set[str]) -> tuple[NodeDevice, tuple[str, ...]] | str:
    """The free instances for a request in the group that it likes best, or why there are none."""
    candidates = matching(node, request)
    if not candidates:
        return "devices: no devices match request"
    for device in sorted(candidates, key=lambda one: -affinity(one, request)):
        free = [one.id for one in device.instances or () if one.healthy and one.id not in used]
        if len(free) >= request.count:
            return device, tuple(free[: request.count])
    return "devices: no devices available"


def _is_named(device: NodeDevice, name: str) -> bool:
    """A name is `type`, `vendor/type` or `vendor/type/name`."""
    parts = name.split("/")
    if len(parts) == 1:
        return parts == [device.type]
    if len(parts) == 2:
        return parts == [device.vendor, device.type]
    return parts[:2] == [device.vendor, device.type] and "/".join(parts[2:]) == device.name


def _meets(device: NodeDevice, condition: Constraint | Affinity) -> bool:
    left, right = _resolve(condition.ltarget, device), _resolve(condition.rtarget, device)
    if condition.operand in ("!=", "not") and left is None and right is None:
        return False
    one, other = _quantity(left), _quantity(right)
    if one is not None and other is not None:
        order = (one > other) - (one < other)
        if condition.operand in ("<", "<=", ">", ">="):
            return compares(condition.operand, order)
        if condition.operand in ("=", "==", "is"):
            return order == 0
        if condition.operand in ("!=", "not"):
            return order != 0
    return holds(condition.operand, left, right)


def _resolve(target: str, device: NodeDevice) -> str | None:
    if not target.startswith("${"):
        return target
    name = target[2:].removesuffix("}")
    if name.startswith("device.attr."):
        return _text((device.attributes or {}).get(name[12:]))
    ids = ",".join(one.id for one in device.instances or ())
    fixed = {"device.vendor": device.vendor, "device.type": device.type, "device.model": device.name, "device.ids": ids}
    return fixed.get(name)


def _text(attribute: DeviceAttribute | None) -> str | None:
    if attribute is None:
        return None
    if attribute.bool_value is not None:
        return "true" if attribute.bool_value else "false"
    if attribute.string_value is not None:
        return attribute.string_value
    number = attribute.int_value if attribute.int_value is not None else attribute.float_value
    return f"{number} {attribute.unit}".strip()


def _quantity(text: str | None) -> float | None:
    match = _QUANTITY.fullmatch(text) if text is not None and len(text) < 64 else None
    if match is None or match[2] not in _UNITS:
        return None
    return float(match[1]) * _UNITS[match[2]]
