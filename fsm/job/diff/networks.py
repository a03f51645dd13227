"""The diff shape of networks: an edited one is one deleted and one added (spec job-model §7)."""

from __future__ import annotations

from operator import attrgetter

import msgspec

from yurt.fsm.job.diff.pairs import by
from yurt.fsm.job.diff.shape import Flat, Many, Shape
from yurt.fsm.structs.network import CNI, DNS, Network, Port

_content = msgspec.msgpack.Encoder(order="deterministic").encode
_by_label = by(attrgetter("label"))


def _joined(dns: DNS) -> dict[str, str]:
    lists = (("Servers", dns.servers), ("Searches", dns.searches), ("Options", dns.options))
    return {name: ",".join(texts) for name, texts in lists if texts}


def _arguments(cni: CNI) -> dict[str, str]:
    return cni.args or {}


NETWORKS = Many(
    "networks",
    "Network",
    Shape(
        Network,
        parts=(
            Many("reserved_ports", "Static Port", Shape(Port), _by_label),
            Many(
                "dynamic_ports",
                "Dynamic Port",
                Shape(Port, without=frozenset({"value", "ignore_collision"})),
                _by_label,
            ),
            Flat("dns", "DNS", read=_joined, contextual=False),
            Flat("cni", "CNIConfig", read=_arguments, contextual=False),
        ),
        without=frozenset({"device", "cidr", "ip", "mbits"}),
    ),
    by(_content),
)
