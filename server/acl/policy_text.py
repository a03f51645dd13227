"""Policies from text: what blocks there may be, and what is said of wrong ones (spec acl §2)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from yurt.fsm.acl import capabilities as words
from yurt.fsm.structs.acl import (
    LabelledRule,
    NamespaceRule,
    OperatorRule,
    PathRule,
    PlainRule,
    PolicyRules,
    VariablesRule,
)
from yurt.server.acl.hcl1 import Hcl1Error, Member, Object, read

_NAME = re.compile(r"[a-zA-Z0-9*-]{1,128}\Z")
_POOL = re.compile(r"[a-zA-Z0-9*_-]{1,128}\Z")
_PLAIN = {
    "agent": ("deny", "read", "write", "scale"),
    "node": ("deny", "read", "write", "scale"),
    "quota": ("deny", "read", "write", "scale"),
    "plugin": ("deny", "list", "read", "write"),
    "sentinel": ("deny", "read", "write", "scale"),
}
_POLICIES = ("", "deny", "read", "write", "scale")
LABELLED = ("namespace", "node_pool", "host_volume")
KNOWN = (*LABELLED, "operator", *_PLAIN)


class RulesError(ValueError):
    """The rules cannot be taken; the message says why."""


def parse_rules(text: str) -> PolicyRules:
    """The rules of a policy's text; raises `RulesError`."""
    try:
        members = read(text)
    except Hcl1Error as error:
        raise RulesError(f"Failed to parse ACL Policy: {error}") from None
    extra = list(dict.fromkeys(one.keys[0] for one in members if one.keys[0] not in KNOWN))
    found: dict[str, Any] = {
        "namespaces": _all(_namespace(*one) for one in _blocks(members, "namespace")),
        "node_pools": _all(_pool(*one) for one in _blocks(members, "node_pool")),
        "host_volumes": _all(_volume(*one) for one in _blocks(members, "host_volume")),
    }
    for kind in (*_PLAIN, "operator"):
        blocks = _blocks(members, kind)
        if len(blocks) > 1:
            extra.append(kind)
        elif blocks:
            found[kind] = _operator(blocks[0][1]) if kind == "operator" else _plain(kind, blocks[0][1])
    if text.strip() and not any(found.values()):
        raise RulesError(f"Invalid policy: {text}")
    if extra:
        raise RulesError(f"Invalid or duplicate policy keys: {', '.join(extra)}")
    return PolicyRules(**found, raw=text)


def _all(rules: Iterable[Any]) -> tuple[Any, ...] | None:
    return tuple(rules) or None


def _blocks(members: Object, kind: str) -> list[tuple[str, Object]]:
    """The blocks of a kind with their labels; a label may also be the key of an object within."""
    found: list[tuple[str, Object]] = []
    for keys, value in members:
        if keys[0] != kind:
            continue
        if not _is_object(value):
            raise RulesError(f"Failed to parse ACL Policy: {kind}: want a block")
        if len(keys) > 1:
            found.append((keys[1], value))
        elif kind in LABELLED and value and all(_is_object(one.value) for one in value):
            found += [(one.keys[0], one.value) for one in value]
        else:
            found.append(("", value))
    return found


def _is_object(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, Member) for one in value)


def _text(body: Object, name: str) -> str:
    given = [one.value for one in body if one.keys == (name,)]
    if given and not isinstance(given[-1], str):
        raise RulesError(f"Failed to parse ACL Policy: {name}: want a text")
    return given[-1] if given else ""


def _texts(body: Object, name: str) -> tuple[str, ...]:
    found: list[str] = []
    for one in body:
        if one.keys != (name,):
            continue
        if not isinstance(one.value, list) or not all(isinstance(each, str) for each in one.value):
            raise RulesError(f"Failed to parse ACL Policy: {name}: want a list of texts")
        found += one.value
    return tuple(found)


def _dump(kind: str, name: str, policy: str, listed: tuple[str, ...], *, variables: bool = False) -> str:
    """A block as refusals show it."""
    shown = f"[]string{{{', '.join(_quoted(one) for one in listed)}}}" if listed else "[]string(nil)"
    more = ", Variables:(*acl.VariablesPolicy)(nil)" if variables else ""
    return f"&acl.{kind}{{Name:{_quoted(name)}, Policy:{_quoted(policy)}, Capabilities:{shown}{more}}}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _namespace(name: str, body: Object) -> NamespaceRule:
    policy, listed = _text(body, "policy"), _texts(body, "capabilities")
    shown = _dump("NamespacePolicy", name, policy, listed, variables=True)
    _check_shown("namespace", name, policy, listed, words.NAMESPACE_CAPABILITIES, shown)
    blocks = _blocks(body, "variables")
    rule = _variables(name, blocks[0][1]) if blocks else None
    return NamespaceRule(
        name=name, policy=policy, capabilities=words.namespace_capabilities(listed, policy), variables=rule
    )


def _check_shown(kind: str, name: str, policy: str, listed: tuple[str, ...], known: frozenset[str], shown: str) -> None:
    """Refuse a labelled block with the whole of it in the text."""
    if not _NAME.match(name):
        raise RulesError(f"Invalid {kind} name: {shown}")
    if policy not in _POLICIES:
        raise RulesError(f"Invalid {kind} policy: {shown}")
    for word in listed:
        if word not in known:
            raise RulesError(f"Invalid {kind} capability '{word}': {shown}")


def _variables(namespace: str, body: Object) -> VariablesRule:
    paths = []
    for member in body:
        if member.keys[0] != "path":
            continue
        if not _is_object(member.value):
            raise RulesError("Failed to parse ACL Policy: path: want a block")
        if len(member.keys) > 1:
            paths.append(_path(namespace, member.keys[1], member.value))
        else:
            paths += [_path(namespace, one.keys[0], one.value) for one in member.value]
    if not paths:
        raise RulesError(f"Invalid variable policy: no variable paths in namespace {namespace}")
    return VariablesRule(paths=tuple(paths))


def _path(namespace: str, spec: str, body: Object) -> PathRule:
    if spec.startswith("/"):
        text = f"Invalid variable path \"{spec}\" in namespace {namespace}: cannot start with a leading '/'`"
        raise RulesError(text)
    if not _is_object(body):
        raise RulesError(f"Failed to parse ACL Policy: path {spec}: want a block")
    listed = _texts(body, "capabilities")
    for word in listed:
        if word not in words.VARIABLE_CAPABILITIES:
            raise RulesError(f"Invalid variable capability '{word}' in namespace {namespace}")
    return PathRule(path_spec=spec, capabilities=words.variable_capabilities(listed))


def _pool(name: str, body: Object) -> LabelledRule:
    policy, listed = _text(body, "policy"), _texts(body, "capabilities")
    if not _POOL.match(name):
        raise RulesError(f"Invalid node pool name '{name}'")
    if policy not in _POLICIES:
        raise RulesError(f"Invalid node pool policy '{policy}' for '{name}'")
    for word in listed:
        if word not in words.POOL_CAPABILITIES:
            raise RulesError(f"Invalid node pool capability '{word}' for '{name}'")
    return LabelledRule(
        name=name, policy=policy, capabilities=words.expanded(listed, policy, words.POOL_SHORTHANDS, {})
    )


def _volume(name: str, body: Object) -> LabelledRule:
    policy, listed = _text(body, "policy"), _texts(body, "capabilities")
    shown = _dump("HostVolumePolicy", name, policy, listed)
    _check_shown("host volume", name, policy, listed, words.VOLUME_CAPABILITIES, shown)
    return LabelledRule(
        name=name, policy=policy, capabilities=words.expanded(listed, policy, words.VOLUME_SHORTHANDS, {})
    )


def _plain(kind: str, body: Object) -> PlainRule:
    policy = _text(body, "policy")
    if policy not in _PLAIN[kind]:
        raise RulesError(f"Invalid {kind} policy: &acl.{kind.capitalize()}Policy{{Policy:{_quoted(policy)}}}")
    return PlainRule(policy=policy)


def _operator(body: Object) -> OperatorRule:
    policy, listed = _text(body, "policy"), _texts(body, "capabilities")
    if policy not in _POLICIES:
        raise RulesError(f"Invalid operator policy: &acl.OperatorPolicy{{Policy:{_quoted(policy)}}}")
    for word in listed:
        if word not in words.OPERATOR_CAPABILITIES:
            raise RulesError(f"Invalid operator capability '{word}'")
    return OperatorRule(policy=policy, capabilities=words.expanded(listed, policy, words.OPERATOR_SHORTHANDS, {}))
