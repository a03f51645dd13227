"""Functions of IP networks."""

from __future__ import annotations

import ipaddress

from yurt.server.jobspec.functions.signature import ArgumentError, FunctionError, check_count, function, whole
from yurt.server.jobspec.values import Value, strings, text

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _network(prefix: Value) -> Network:
    try:
        if "/" not in prefix.raw:
            raise ValueError
        return ipaddress.ip_network(prefix.raw, strict=False)
    except ValueError:
        raise FunctionError(f"invalid CIDR expression: invalid CIDR address: {prefix.raw}") from None


@function("cidrhost", "prefix:string", "hostnum:number")
def _cidrhost(prefix: Value, host: Value) -> Value:
    network, number = _network(prefix), whole(host, 1)
    if number < 0:
        number += network.num_addresses
    if not 0 <= number < network.num_addresses:
        raise FunctionError(f"prefix of {network.prefixlen} does not accommodate a host numbered {host.raw}")
    return text(str(network.network_address + number))


@function("cidrnetmask", "prefix:string")
def _cidrnetmask(prefix: Value) -> Value:
    return text(str(_network(prefix).netmask))


@function("cidrsubnet", "prefix:string", "newbits:number", "netnum:number")
def _cidrsubnet(prefix: Value, bits: Value, number: Value) -> Value:
    network, extra, at = _network(prefix), whole(bits, 1), whole(number, 2)
    length = network.prefixlen + extra
    if extra < 0 or length > network.max_prefixlen:
        raise FunctionError(f"insufficient address space to extend prefix of {network.prefixlen} by {extra}")
    if not 0 <= at < 1 << extra:
        raise FunctionError(f"prefix extension of {extra} does not accommodate a subnet numbered {at}")
    first = int(network.network_address) + (at << (network.max_prefixlen - length))
    return text(str(type(network)((first, length))))


@function("cidrsubnets", "prefix:string", "newbits:number...")
def _cidrsubnets(prefix: Value, *bits: Value) -> Value:
    network = _network(prefix)
    check_count(len(bits))
    found: list[str] = []
    at, end = int(network.network_address), int(network.broadcast_address) + 1
    for position, one in enumerate(bits, 1):
        extra = whole(one, position)
        length = network.prefixlen + extra
        if extra < 1:
            raise ArgumentError(position, "must extend prefix by at least one bit")
        if extra > 32:
            raise ArgumentError(position, "may not extend prefix by more than 32 bits")
        if length > network.max_prefixlen:
            shown = "IPv4" if network.version == 4 else "IPv6"
            text_ = f"would extend prefix to {length} bits, which is too long for an {shown} address"
            raise ArgumentError(position, text_)
        size = 1 << (network.max_prefixlen - length)
        at = -(-at // size) * size
        if at + size > end:
            text_ = f"not enough remaining address space for a subnet with a prefix of {length} bits"
            raise ArgumentError(position, text_ + f" after {found[-1] if found else prefix.raw}")
        found.append(str(type(network)((at, length))))
        at += size
    return strings(found)
