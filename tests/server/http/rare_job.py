"""Jobs with what jobs seldom have: they are registered to be shown, not to run."""

from __future__ import annotations

from typing import Any

_SECOND = 10**9
_CONDITION = {"LTarget": "${attr.kernel.name}", "RTarget": "linux", "Operand": "="}
_CHECK = {
    "Name": "c", "Type": "http", "Path": "/", "Interval": 2 * _SECOND, "Timeout": _SECOND, "Method": "GET",
    "Header": {"X": ["1"]}, "PortLabel": "http",
}  # fmt: skip
_UPSTREAM = {
    "DestinationName": "db", "LocalBindPort": 5000, "MeshGateway": {"Mode": "local"}, "Config": {"a": 1},
}  # fmt: skip
_PROXY = {
    "Upstreams": [_UPSTREAM], "Config": {"a": 1},
    "Expose": {"Paths": [{"Path": "/x", "Protocol": "http", "LocalPathPort": 80, "ListenerPort": "http"}]},
    "TransparentProxy": {"UID": "101", "OutboundPort": 15001, "ExcludeInboundPorts": ["http"]},
}  # fmt: skip
_MESH = {
    "Name": "mesh", "PortLabel": "http", "Checks": [_CHECK], "Meta": {"a": "b"}, "CanaryTags": ["c"],
    "CanaryMeta": {"c": "d"}, "TaggedAddresses": {"lan": "10.0.0.1"}, "Weights": {"Passing": 2, "Warning": 1},
    "Identity": {"Name": "consul-service_mesh-http", "Audience": ["consul.io"]},
    "Connect": {"SidecarService": {"Proxy": _PROXY, "Tags": ["s"]}, "SidecarTask": {"Driver": "mock_driver"}},
}  # fmt: skip
_INGRESS = {
    "TLS": {"Enabled": True},
    "Listeners": [{"Port": 80, "Protocol": "http", "Services": [{"Name": "x", "Hosts": ["h"]}]}],
}  # fmt: skip
_GATEWAY = {
    "Name": "gate", "PortLabel": "http",
    "Connect": {"Gateway": {
        "Proxy": {"ConnectTimeout": _SECOND, "EnvoyGatewayBindAddresses": {"a": {"Name": "x", "Address": "::", "Port": 1}}},
        "Ingress": _INGRESS,
    }},
}  # fmt: skip
_TASK = {
    "Name": "t", "Driver": "mock_driver", "ShutdownDelay": _SECOND, "KillSignal": "SIGINT",
    "Artifacts": [{"GetterSource": "https://example.org/x", "GetterOptions": {"depth": "1"}}],
    "Templates": [{
        "EmbeddedTmpl": "x", "DestPath": "local/x", "ChangeMode": "script", "Uid": 1, "Gid": 1,
        "ChangeScript": {"Command": "true", "Args": ["x"]}, "Wait": {"Min": _SECOND, "Max": 2 * _SECOND},
    }],
    "Consul": {"Namespace": ""}, "VolumeMounts": [{"Volume": "v", "Destination": "/v"}],
    "CSIPluginConfig": {"ID": "p", "Type": "node", "MountDir": "/csi"},
    "Resources": {
        "CPU": 10, "MemoryMB": 10,
        "Devices": [{"Name": "gpu", "Count": 1, "Constraints": [_CONDITION], "Affinities": [{**_CONDITION, "Weight": 5}]}],
    },
    "Services": [{"Name": "own"}],
    "ScalingPolicies": [{"Type": "vertical_cpu", "Min": 1, "Max": 10, "Policy": {"x": 1}}],
}  # fmt: skip


def rare() -> dict[str, Any]:
    """No allocation of it is wanted."""
    network = {
        "Mode": "bridge", "Hostname": "h", "DNS": {"Servers": ["1.1.1.1"]}, "CNI": {"Args": {"a": "b"}},
        "ReservedPorts": [{"Label": "http", "Value": 8080, "To": 80}],
    }  # fmt: skip
    group = {
        "Name": "g", "Count": 0, "Tasks": [_TASK], "Networks": [network], "Services": [_MESH, _GATEWAY],
        "Affinities": [{**_CONDITION, "Weight": 5}], "Consul": {"Namespace": ""}, "ShutdownDelay": _SECOND,
        "Volumes": {
            "v": {"Type": "host", "Source": "v", "Name": "v"},
            "c": {
                "Type": "csi", "Source": "c", "Name": "c", "AccessMode": "single-node-writer",
                "AttachmentMode": "file-system", "MountOptions": {"FSType": "ext4", "MountFlags": ["noatime"]},
            },
        },
        "Disconnect": {"StopOnClientAfter": 60 * _SECOND},
    }  # fmt: skip
    conditions = {"Affinities": [{**_CONDITION, "Weight": 5}], "Multiregion": {}}
    return {"ID": "rare", "Datacenters": ["dc1"], "TaskGroups": [group], **conditions}
