"""A node's computed class: equal for nodes that no constraint of a class can tell apart (spec scheduling §11.4)."""

from __future__ import annotations

import hashlib

import msgspec

from yurt.fsm.structs.base import to_builtins
from yurt.fsm.structs.node import Node

_encoder = msgspec.json.Encoder(order="sorted")


def computed_class(node: Node) -> str:
    """`v1:<number>` over what placement looks at, but for attributes and meta that are the node's own (`unique.`)."""
    resources = to_builtins(node.node_resources) or {}
    seen = [
        node.datacenter,
        node.node_class,
        node.node_pool,
        _shared(node.attributes),
        _shared(node.meta),
        resources.get("Devices"),
    ]
    digest = hashlib.blake2b(_encoder.encode(seen), digest_size=8).digest()
    return f"v1:{int.from_bytes(digest) | 1 << 62}"


def _shared(values: dict[str, str] | None) -> dict[str, str]:
    return {key: value for key, value in (values or {}).items() if not key.startswith("unique.")}
