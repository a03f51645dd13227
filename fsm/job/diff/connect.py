"""The diff shape of a service's Connect block: every nested block under its own name (spec job-model §7)."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from yurt.fsm.job.diff.fields import flatten
from yurt.fsm.job.diff.pairs import by
from yurt.fsm.job.diff.resources import RESOURCES
from yurt.fsm.job.diff.shape import Flat, Many, One, Set, Shape
from yurt.fsm.structs.base import Record, to_builtins
from yurt.fsm.structs.service import (
    Connect,
    Expose,
    ExposePath,
    Proxy,
    SidecarService,
    SidecarTask,
    TransparentProxy,
    Upstream,
)


def _places(values: tuple[Any, ...]) -> dict[str, str]:
    """A list's leaves by place."""
    return flatten({str(place): _present(one) for place, one in enumerate(to_builtins(values))})


def _leaves(record: Record) -> dict[str, str]:
    """A record's leaves under their wire names, but those that are not there."""
    return flatten(_present(to_builtins(record)))


def _present(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _present(one) for key, one in value.items() if one is not None}
    return [_present(one) for one in value] if isinstance(value, list | tuple) else value


_UPSTREAM = Shape(Upstream, parts=(Flat("mesh_gateway", "MeshGateway"), Flat("config", "Config")))
_TRANSPARENT = Shape(
    TransparentProxy,
    parts=(
        Set("exclude_inbound_ports", "ExcludeInboundPorts"),
        Flat("exclude_outbound_ports", "ExcludeOutboundPorts", read=_places),
        Set("exclude_outbound_cidrs", "ExcludeOutboundCIDRs"),
        Set("exclude_uids", "ExcludeUIDs"),
    ),
)
_PROXY = Shape(
    Proxy,
    parts=(
        Many(
            "upstreams",
            "Upstream",
            _UPSTREAM,
            by(attrgetter("destination_name", "destination_namespace", "datacenter")),
        ),
        One(
            "expose",
            "Expose",
            Shape(Expose, parts=(Many("paths", "Path", Shape(ExposePath), by(attrgetter("path"))),)),
        ),
        One("transparent_proxy", "TransparentProxy", _TRANSPARENT),
        Flat("config", "Config"),
    ),
)
_TASK = Shape(
    SidecarTask,
    parts=(
        Flat("config", "Config"),
        RESOURCES,
        Flat("log_config", "LogConfig", read=_leaves),
        Flat("volume_mounts", "VolumeMounts", read=_places),
    ),
)
CONNECT = One(
    "connect",
    "ConsulConnect",
    Shape(
        Connect,
        parts=(
            One(
                "sidecar_service",
                "SidecarService",
                Shape(SidecarService, parts=(Set("tags", "Tags"), One("proxy", "Proxy", _PROXY))),
            ),
            One("sidecar_task", "SidecarTask", _TASK),
            Flat("gateway", "Gateway", read=_leaves),
        ),
    ),
)
